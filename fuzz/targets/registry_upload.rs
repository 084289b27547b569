//! libFuzzer feeds `fuzz_inputs::registry_upload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::registry_upload(data));
