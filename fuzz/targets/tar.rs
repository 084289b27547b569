//! libFuzzer feeds `fuzz_inputs::tar`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::tar(data));
