//! The one table of limits on what images bring from outside.

use std::time::Duration;

/// How much of each an image, or an archive of images, may have; beyond it nothing is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The archive of images itself: its files, names and sizes.
    pub archive: archive::Limits,
    /// Bytes in a manifest, an index or a configuration.
    pub document: u64,
    /// Indexes in indexes are followed so deep.
    pub index_depth: usize,
    /// Bytes kept of blobs that came in only in part, all together; the oldest go first.
    pub partial_bytes: u64,
    /// How long such bytes are kept after the last of them came.
    pub partial_age: Duration,
}

impl Limits {
    /// Far above anything real, far below what hurts a machine.
    pub const DEFAULT: Self = Self {
        archive: archive::Limits { entries: 100_000, ..archive::Limits::DEFAULT },
        document: 8 << 20,
        index_depth: 4,
        partial_bytes: 20 << 30,
        partial_age: Duration::from_secs(7 * 24 * 3600),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
