//! libFuzzer feeds `fuzz_inputs::image_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::image_config(data));
