//! The one table of limits on what images bring from outside.

use std::time::Duration;

/// How much of each an image, or an archive of images, may have; beyond it nothing is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The archive of images itself: its files, names and sizes.
    pub archive: archive::Limits,
    /// Bytes in a manifest, an index or a configuration.
    pub document: u64,
    /// Layers of an image; the kernel stacks no more.
    pub layers: usize,
    /// Manifests in an index.
    pub manifests: usize,
    /// How much compressed bytes may become.
    pub expansion: Expansion,
    /// Indexes in indexes are followed so deep.
    pub index_depth: usize,
    /// Bytes kept of blobs that came in only in part, all together; the oldest go first.
    pub partial_bytes: u64,
    /// How long such bytes are kept after the last of them came.
    pub partial_age: Duration,
}

/// How much compressed bytes may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expansion {
    /// Uncompressed bytes for each compressed one; gzip of zeros has about a thousand.
    pub ratio: u64,
    /// As many may come out of anything.
    pub allowance: u64,
}

impl Limits {
    /// Far above anything real, far below what hurts a machine.
    pub const DEFAULT: Self = Self {
        archive: archive::Limits { entries: 100_000, ..archive::Limits::DEFAULT },
        document: 8 << 20,
        layers: 500,
        manifests: 1_000,
        expansion: Expansion { ratio: 200, allowance: 4 << 30 },
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
