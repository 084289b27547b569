//! libFuzzer feeds `fuzz_inputs::dockerfile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::dockerfile(data));
