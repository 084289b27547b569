//! Content types of streams, and the frame header that carries stdout and stderr over one connection.

/// Raw bytes: the container has a terminal.
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// Framed stdout and stderr.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// JSON lines of events from API 1.52.
pub const JSON_LINES: &str = "application/jsonl";
/// JSON lines, by its other name.
pub const NDJSON: &str = "application/x-ndjson";
/// JSON texts, each after a record separator (RFC 7464).
pub const JSON_SEQUENCE: &str = "application/json-seq";
/// One JSON document.
pub const JSON: &str = "application/json";
/// A tar archive.
pub const TAR: &str = "application/x-tar";

/// Bytes before each frame's payload.
pub const HEADER_LENGTH: usize = 8;

/// Which stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Towards the process; never sent by a server.
    Stdin = 0,
    /// The process's output.
    Stdout = 1,
    /// The process's error output.
    Stderr = 2,
    /// An error of the engine itself.
    SystemError = 3,
}

impl Channel {
    /// The header of a frame with `length` payload bytes.
    pub fn header(self, length: u32) -> [u8; HEADER_LENGTH] {
        let [a, b, c, d] = length.to_be_bytes();
        [self as u8, 0, 0, 0, a, b, c, d]
    }

    /// Reads a header back; `None` when the first byte names no channel.
    pub fn parse(header: [u8; HEADER_LENGTH]) -> Option<(Self, u32)> {
        let [channel, _, _, _, a, b, c, d] = header;
        let channel = match channel {
            0 => Self::Stdin,
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::SystemError,
            _ => return None,
        };
        Some((channel, u32::from_be_bytes([a, b, c, d])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        for channel in [Channel::Stdin, Channel::Stdout, Channel::Stderr, Channel::SystemError] {
            assert_eq!(Channel::parse(channel.header(0x0102_0304)), Some((channel, 0x0102_0304)));
        }
        assert_eq!(Channel::parse([4, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
