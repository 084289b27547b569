//! libFuzzer feeds `fuzz_inputs::challenge`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::challenge(data));
