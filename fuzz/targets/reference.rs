//! libFuzzer feeds `fuzz_inputs::reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::reference(data));
