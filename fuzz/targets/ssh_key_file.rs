//! libFuzzer feeds `fuzz_inputs::ssh_key_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::ssh_key_file(data));
