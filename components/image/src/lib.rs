//! Images: blobs by digest, records with names, and their ways in and out.
//!
//! Purpose: keep exactly the bytes an image is made of, know them by name, and give them back unchanged.
//! Owns: `<data-root>/images` (blobs and unfinished ingests), the tables of image records and names, Docker's rules
//! for tagging and removal, the archives of `save` and `load`.
//! Must not know: unpacked layers (the engine feeds them from [`Images::layer`]), containers (their uses of images
//! are passed in), registries.
//!
//! The id of an image is the digest of its manifest, or of the index it was loaded by. Every byte that comes in is
//! hashed before it gets its name; a document that could be read as both manifest and index is refused.
//!
//! A blob nobody refers to is garbage. Who takes in blobs holds a lease, so that garbage collection never takes what is
//! about to be referred to. What came of a blob whose digest was known (pull) stays for the next attempt.
//!
//! Reading order: `image` (what others see), `images` (the facade), `limits`, `content`, `lease`, `record`, then one file per verb:
//! `tag`, `remove`, `create`, `import`, `load`, `save`.

#![forbid(unsafe_code)]

mod check;
pub mod content;
mod create;
pub mod error;
mod find;
pub mod image;
mod images;
mod import;
mod last_use;
mod layout;
mod lease;
pub mod limits;
mod load;
mod manifests;
mod pending;
mod ratio;
mod record;
pub mod remove;
mod save;
mod tag;
mod verified;

pub use check::{CheckReport, Fault, Problem};
pub use content::{Content, ContentUsage, Follow, Ingest, Resumed};
pub use create::{LayerWriter, NewLayer};
pub use error::ImageError;
pub use image::{Image, Layer, Variant};
pub use images::Images;
pub use import::import_config;
pub use last_use::waiting_since;
pub use layout::Layout;
pub use lease::Lease;
pub use limits::Limits;
pub use load::{LoadEvent, Loaded};
pub use manifests::{ManifestInfo, ManifestKind};
pub use pending::{Kept, Pending};
pub use remove::{Removed, Use};
pub use save::Selection;
pub use verified::unpacked;
