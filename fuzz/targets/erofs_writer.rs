//! libFuzzer feeds `fuzz_inputs::erofs_writer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::erofs_writer(data));
