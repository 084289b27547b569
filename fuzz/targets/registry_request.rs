//! libFuzzer feeds `fuzz_inputs::registry_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::registry_request(data));
