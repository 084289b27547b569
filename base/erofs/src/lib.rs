//! File systems in the EROFS format whose files' contents stay where they are: in the tars of an image's layers.
//!
//! Purpose: turn the tar of a layer into a tree in memory in one pass, put the trees of several layers together as
//! overlayfs would, and write the result as a small EROFS image. The image holds names, attributes and, for each
//! file, where its bytes are in the tars, which the kernel is given as further devices when it mounts the image.
//! Owns: what a layer's tar means as a tree (the same as `archive::extract` makes of it, refusals included), and the
//! on-disk format (Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h).
//! Must not know: where images are kept, how they are mounted, images and containers.
//!
//! Blocks have 512 bytes, as in a tar: every file's content begins at a block of its tar and needs no copy. What is
//! not so aligned (runs of odd sparse files) is copied into the image itself.
//!
//! Reading order: `tree`, `index`, `merge`, `write`, `read`; `format` for the numbers.

#![forbid(unsafe_code)]

mod acl;
mod build;
mod error;
mod format;
mod index;
mod merge;
mod read;
mod source;
pub mod tree;
mod write;
mod xattr;

pub use error::ErofsError;
pub use index::index;
pub use merge::merge;
pub use read::read;
pub use source::{CopySource, FileSource, Source};
pub use tree::{Totals, Tree};
pub use write::write;
