//! libFuzzer feeds `fuzz_inputs::ssh_agent_connection`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inputs::ssh_agent_connection(data));
