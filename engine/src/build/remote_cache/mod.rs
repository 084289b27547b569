//! Cache that travels: results of builds in a registry, in a folder of the client's, or within an image.
//!
//! The documents are BuildKit's (`application/vnd.buildkit.cacheconfig.v0`), so that it can read past them; what only this
//! builder needs stands beside. See `docs/decisions/0043-travelling-cache.md`.

mod config;
mod export;
mod import;
mod registry;
mod steps;

pub use export::{CacheExport, CacheMode};
pub use import::{CacheSource, ImportedCache};
pub use registry::RegistrySource;

pub(super) use import::Imports;
pub(super) use steps::steps;

/// Results of a build, as they can be exported.
#[derive(Debug, Clone)]
pub struct CachedStep {
    /// What it is found by.
    pub(super) keys: Vec<String>,
    /// What came out.
    pub(super) record: builder::solve::Record,
    /// The layers it was done above, without those of the image below.
    pub(super) below: Vec<builder::Layer>,
    /// What it was, for people.
    pub(super) description: String,
    /// It is a step of the image itself, not of a stage that is only copied from.
    pub(super) is_of_image: bool,
}
