//! libFuzzer feeds `fuzz_inputs::ignore_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::ignore_file(data));
