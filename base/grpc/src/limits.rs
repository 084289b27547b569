//! What a peer may ask of one connection.

use std::time::Duration;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, in bytes, in both directions.
    pub message: usize,
    /// Calls a peer may have open at once.
    pub streams: u32,
    /// Handlers that may run at once, those of calls that were given up included: each is a thread.
    pub handlers: usize,
    /// Bytes of all headers of one call.
    pub header_list: u32,
    /// Bytes of messages that wait for a handler, for each call; one message is always let in.
    pub waiting: usize,
    /// How long a peer may take to greet.
    pub greeting: Duration,
}

impl Limits {
    /// What BuildKit and its clients use: 16 MiB for a message; the rest is far above what they need.
    pub const DEFAULT: Self = Self {
        message: 16 << 20,
        streams: 100,
        handlers: 128,
        header_list: 64 << 10,
        waiting: 1 << 20,
        greeting: Duration::from_secs(20),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
