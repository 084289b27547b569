//! BuildKit's doors over the engine: what its clients ask for as calls about builds, images and the cache.

mod attest;
mod backend;
mod build;
mod cache;
mod contexts;
mod explain;
mod export;
mod failure;
mod fetching;
mod files;
mod history;
mod layout;
mod lint;
mod outline;
mod place;
mod reading;
mod remote_cache;
mod request;
mod sbom;
mod steps;
mod subrequest;
mod vertex;

pub(crate) use backend::EngineBackend;

/// The doors as the routes hold them.
pub(crate) type Doors = buildkit::server::Doors<EngineBackend>;
