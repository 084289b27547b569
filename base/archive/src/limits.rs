//! Limits on everything an archive from outside can ask for.

/// How much of each an archive may have; beyond it reading fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one file.
    pub file_size: u64,
    /// Bytes in all files together, holes included.
    pub total_size: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes in a name or link text.
    pub path_length: usize,
    /// Components in a name.
    pub depth: usize,
    /// Bytes in the extended header records of one entry.
    pub extended_header: usize,
    /// Extended attributes of one entry.
    pub xattrs: usize,
    /// Pieces of a sparse file.
    pub sparse_pieces: usize,
}

impl Limits {
    /// For layers and copies: far above anything real, far below what hurts the machine's memory.
    pub const DEFAULT: Self = Self {
        file_size: 1 << 40,
        total_size: 1 << 42,
        entries: 20_000_000,
        path_length: 4095,
        depth: 1024,
        extended_header: 1 << 20,
        xattrs: 128,
        sparse_pieces: 65_536,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
