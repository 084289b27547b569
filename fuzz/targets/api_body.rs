//! libFuzzer feeds `fuzz_inputs::api_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::api_body(data));
