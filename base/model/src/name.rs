//! Names people give to containers, volumes and networks, and names made up when they give none.

/// Whether the text is a name Docker accepts: `[a-zA-Z0-9][a-zA-Z0-9_.-]+` (at least two characters).
pub fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

const ADJECTIVES: [&str; 48] = [
    "able", "amber", "brave", "bright", "calm", "clever", "cosmic", "crisp", "daring", "deep", "eager",
    "early", "fair", "fleet", "fresh", "gentle", "glad", "golden", "grand", "happy", "hardy", "honest",
    "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "mighty", "nimble", "noble", "open",
    "patient", "placid", "proud", "quick", "quiet", "rapid", "ready", "sharp", "silver", "sturdy", "sunny",
    "swift", "tidy", "vivid", "warm",
];

const HARBOUR_WORDS: [&str; 48] = [
    "anchor", "barge", "bay", "beacon", "berth", "bollard", "bow", "breeze", "buoy", "capstan", "cargo",
    "channel", "clipper", "compass", "cove", "crane", "crew", "current", "cutter", "deck", "dinghy", "dock",
    "ferry", "frigate", "galley", "gull", "harbor", "helm", "hull", "jetty", "keel", "ketch", "lagoon",
    "lantern", "mast", "mooring", "oar", "pier", "pilot", "port", "quay", "rudder", "sail", "schooner",
    "sextant", "sloop", "tide", "tug",
];

/// A made-up name `adjective_noun`; later attempts add a digit, as Docker does when names collide.
pub fn generate(attempt: u32) -> String {
    let mut random = [0u8; 4];
    crate::id::fill_random(&mut random);
    let adjective = ADJECTIVES[usize::from(u16::from_le_bytes([random[0], random[1]])) % ADJECTIVES.len()];
    let noun = HARBOUR_WORDS[usize::from(u16::from_le_bytes([random[2], random[3]])) % HARBOUR_WORDS.len()];
    if attempt == 0 { format!("{adjective}_{noun}") } else { format!("{adjective}_{noun}{attempt}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_valid() {
        for attempt in 0..100 {
            assert!(is_valid(&generate(attempt)));
        }
        for name in ["", "a", "-ab", "a b", "ä1", "a/b"] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
