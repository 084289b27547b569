//! How overlayfs and layer archives each say that something below is gone.

/// In an archive: a file of this prefix hides the name behind it.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// In an archive: a file of this name hides everything below its directory.
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// In an archive: other names of this prefix are old bookkeeping and mean nothing.
pub const META_PREFIX: &[u8] = b".wh..wh.";
/// In overlayfs: the attribute of a directory that hides everything below, with the value `y`.
pub const OPAQUE_XATTR: &std::ffi::CStr = c"trusted.overlay.opaque";

/// Whether an attribute steers overlayfs itself: such ones never go in or out with an archive, or a layer could
/// redirect names to whatever it likes.
pub fn is_overlay_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// What the name of a member means in a layer.
#[derive(Debug, PartialEq, Eq)]
pub enum Mark<'name> {
    /// A usual name.
    Plain,
    /// The directory hides everything below.
    Opaque,
    /// The name is hidden.
    Whiteout(&'name [u8]),
    /// To be left out.
    Ignored,
}

/// What a name means.
pub fn mark(name: &[u8]) -> Mark<'_> {
    if name == OPAQUE_NAME {
        return Mark::Opaque;
    }
    if name.starts_with(META_PREFIX) {
        return Mark::Ignored;
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        Some(b"" | b"." | b"..") => Mark::Ignored,
        Some(hidden) => Mark::Whiteout(hidden),
        None => Mark::Plain,
    }
}
