//! libFuzzer feeds `fuzz_inputs::build_context_packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::build_context_packets(data));
