//! Getting a folder of the client: what is there already stays, what changed is sent, what is gone is removed.
//!
//! ```text
//! client                         here
//!   Stat, Stat, ... in order  →    compared with the directory; changed files are noted
//!                             ←  Req n, Req m, ... at most 64 under way
//!   Data n ..., Data n (empty) →   written
//!                             ←  Fin, when every file is there
//!   Fin                       →    done
//! ```

mod error;
mod folder;
mod order;
mod receiver;

use std::path::PathBuf;

use grpc::{Cancellation, Metadata};
use linux::root::RootDir;

pub use error::SyncError;

use super::{Session, Under};
use crate::services::method;
use receiver::Receiver;

/// Which files of which folder are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The client's name of the folder: `context`, `dockerfile`, or that of a named context.
    pub name: String,
    /// Only these, all when empty.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
    /// These, and what the links in them lead to; all when empty.
    pub follow: Vec<String>,
}

/// What a client may send at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncLimits {
    /// Files, directories and links together.
    pub entries: u64,
    /// Bytes of all files sent, and of all that are said to be there.
    pub bytes: u64,
    /// Directories in each other; each is an open descriptor for a while.
    pub depth: usize,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self { entries: 5_000_000, bytes: 1 << 40, depth: 128 }
    }
}

/// What came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Files, directories and links in the folder now.
    pub entries: u64,
    /// Files whose bytes were sent.
    pub sent_files: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Entries that were removed.
    pub removed: u64,
}

impl Session {
    /// Makes a directory the same as a folder of the client. Nobody else may change it meanwhile, and what it holds
    /// afterwards is only whole when this succeeds; a later call makes it whole again.
    ///
    /// Files that change become new files: links and descriptors to the old ones keep the old bytes.
    /// `progress` hears the bytes sent so far.
    ///
    /// # Errors
    /// When the client fails or breaks the rules, or the directory cannot be written.
    pub fn sync(
        &self,
        wanted: &Wanted,
        into: &RootDir,
        limits: SyncLimits,
        until: &Cancellation,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Synced, SyncError> {
        let under = self.start(method::FILE_SYNC, metadata(wanted), until).map_err(SyncError::Peer)?;
        let Under { call, _hook } = under;
        let mut receiver = Receiver::new(into, limits).map_err(|source| SyncError::Disk {
            path: PathBuf::from("."),
            action: "open",
            source,
        })?;
        receiver.run(call.inbound, call.outbound, progress)
    }
}

/// Puts a result's files beside what is in a directory; they belong to whoever runs this.
///
/// # Errors
/// When the builder fails or breaks the rules, or the directory cannot be written.
pub(crate) fn merge(
    into: &RootDir,
    limits: SyncLimits,
    inbound: grpc::Inbound,
    outbound: grpc::Outbound,
) -> Result<Synced, SyncError> {
    let disk = |source| SyncError::Disk { path: PathBuf::from("."), action: "open", source };
    let mut receiver = Receiver::new(into, limits).map_err(disk)?.merging();
    receiver.run(inbound, outbound, &mut |_| {})
}

/// What the call says besides its messages.
fn metadata(wanted: &Wanted) -> Metadata {
    let mut metadata = Metadata::new().with("dir-name", wanted.name.as_str());
    for (name, values) in [
        ("include-patterns", &wanted.include),
        ("exclude-patterns", &wanted.exclude),
        ("followpaths", &wanted.follow),
    ] {
        let encoded = values.iter().any(|value| !value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        for value in values {
            metadata.push(name, if encoded { escape(value) } else { value.clone() });
        }
        if encoded {
            metadata.push(&format!("{name}-encoded"), "1");
        }
    }
    metadata
}

/// Text as in the query of an address.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            b' ' => escaped.push('+'),
            _ => {
                escaped.push('%');
                for half in [byte >> 4, byte & 15] {
                    escaped.push(char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
    escaped
}

/// What the fuzzer drives: packets of a client, as bytes of messages one after the other, against a directory.
///
/// # Errors
/// What is wrong with the packets.
pub fn receive_packets(
    into: &RootDir,
    limits: SyncLimits,
    packets: impl IntoIterator<Item = crate::fsutil::Packet>,
) -> Result<Synced, SyncError> {
    let disk = |source| SyncError::Disk { path: PathBuf::from("."), action: "open", source };
    let mut receiver = Receiver::new(into, limits).map_err(disk)?;
    for packet in packets {
        if receiver.take(packet)? {
            break;
        }
        receiver.requests()?;
    }
    receiver.summary()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_patterns_travel_as_they_are_and_others_escaped() {
        let wanted = Wanted {
            name: "context".into(),
            include: vec!["a b".into(), "*.rs".into()],
            exclude: vec!["ä b/%".into(), "x".into()],
            follow: vec!["line\nbreak".into()],
        };
        let metadata = metadata(&wanted);
        let all: Vec<_> =
            metadata.iter().map(|(name, value)| (name, std::str::from_utf8(value).expect("text"))).collect();
        assert_eq!(
            all,
            [
                ("dir-name", "context"),
                ("include-patterns", "a b"),
                ("include-patterns", "*.rs"),
                ("exclude-patterns", "%C3%A4+b%2F%25"),
                ("exclude-patterns", "x"),
                ("exclude-patterns-encoded", "1"),
                ("followpaths", "line%0Abreak"),
                ("followpaths-encoded", "1"),
            ]
        );
    }
}
