//! Talks to registries: the distribution protocol from the client's side.
//!
//! Purpose: reach a repository by its name and read or write manifests, blobs and tags there, as Docker's engine does.
//! Owns: where a registry is (default hub, mirrors, insecure hosts, certificates per host, proxies), challenges,
//! tokens, redirects, limits on everything a registry sends, and the words of its errors.
//! Must not know: where content is kept, images, the engine. It is in `base/` because the command line's `manifest`
//! commands speak to registries by themselves.
//!
//! A registry is not trusted. Credentials go to the registry they are for and to the token server it names itself,
//! never along a redirect, never to a mirror; answers have limits of size and time; a document is compared with its
//! digest before anybody reads it. Blobs are streams: who stores them compares their digest.
//!
//! Reading order: `client` (how a repository is opened), `repository` (what can be done there), `session` (how a
//! request is sent), `challenge` and `token`, then `settings`, `place`, `url`, `certificates`, `proxies`.
//!
//! ```text
//! let client = Client::new(Settings::default());
//! let repository = client.repository(&reference, &credentials, Access::Pull)?;
//! let document = repository.manifest(&Target::of(&reference))?;
//! ```

#![forbid(unsafe_code)]

mod address;
mod blob;
mod certificates;
pub mod challenge;
mod client;
mod credentials;
mod download;
mod error;
mod login;
mod place;
mod proxies;
mod repository;
mod search;
mod session;
mod settings;
mod token;
mod upload;
pub mod url;

pub use address::{Address, DownloadError, Status};
pub use blob::{BlobStream, Stop};
pub use client::Client;
pub use credentials::{Credentials, Secret};
pub use download::Download;
pub use error::{ApiError, RegistryError};
pub use login::Login;
pub use place::{HUB, Place};
pub use proxies::Proxies;
pub use repository::{Document, Repository, Target};
pub use search::{Found, SearchAnswer};
pub use session::Access;
pub use settings::{Settings, Slowest};
pub use upload::{Start, Upload};
