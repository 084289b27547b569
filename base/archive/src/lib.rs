//! Tar streams to and from trees: layers, archives of `cp`, images saved and loaded.
//!
//! Purpose: read and write every kind of tar that images and people bring, without a path, link, size or number in it
//! ever having an effect outside of the directory it is unpacked to.
//! Owns: the tar dialects (ustar, GNU long names and sparse files, PAX with extended attributes), whiteouts in both
//! forms, compression and its detection, limits on everything that comes from outside.
//! Must not know: images, containers, Docker's API. Works without root for the client's `cp`.
//!
//! Unpacking opens the parent directory of each entry with openat2 below the target and then acts on one name in it,
//! never following a link there; a link met on the way resolves inside the target. Attributes are set on descriptors.
//! Writing a tree gives the same bytes for the same tree: entries sorted, no times of reading.
//!
//! Reading order: `entry`, `limits`, `reader`, `extract`; `tree`, `writer`; `compression`; `copy` for `cp`.

#![forbid(unsafe_code)]

pub mod compare;
pub mod compression;
pub mod copy;
pub mod encoder;
pub mod entry;
pub mod error;
pub mod extract;
pub mod file_sink;
mod header;
mod id_map;
pub mod limits;
pub mod overlay;
mod pax;
pub mod pipe;
pub mod reader;
pub mod rewrite;
mod sparse;
pub mod tree;
pub mod writer;

pub use compare::{Difference, compare_layer};
pub use compression::{Compression, Decoder};
pub use encoder::Encoder;
pub use entry::{Entry, EntryKind};
pub use error::ArchiveError;
pub use extract::{ExtractOptions, Owner, Summary, Usage, Whiteouts, extract};
pub use file_sink::FileSink;
pub use id_map::{IdMap, IdRange};
pub use limits::Limits;
pub use reader::Reader;
pub use tree::{TreeOptions, write_path, write_tree};
pub use writer::Writer;
