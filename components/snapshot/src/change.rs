//! What a snapshot changed, as `diff` shows it.

use std::path::PathBuf;

/// How a path differs from the layers below; the numbers are those of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Its content or attributes, or something in the directory.
    Modified = 0,
    /// It was not there.
    Added = 1,
    /// It is not there any more.
    Deleted = 2,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path from the root, with a leading slash.
    pub path: PathBuf,
    /// How it differs.
    pub kind: ChangeKind,
}
