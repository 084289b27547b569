//! libFuzzer feeds `fuzz_inputs::port`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::port(data));
