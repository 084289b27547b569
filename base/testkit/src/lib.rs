//! Fixtures for tests: an engine of a test's own, images made from Debian packages, raw HTTP, a census of the machine.
//!
//! Owns what several test binaries need: [`Engine`] starts a `wharfd` with its own roots, socket, bridge, address
//! range and cgroup parent, and removes all of them when dropped; [`census`] counts what that engine has on the
//! machine, so that a test can compare before and after; [`parity`] runs recorded command lines and API calls
//! against any engine; [`corpus`] builds Dockerfiles on it; [`registry`] starts registries with images; [`peers`] runs podman, buildah and skopeo; [`http`] speaks to a socket without any client library; [`image`] makes base images.
//!
//! It must not know how wharf works inside: it sees binaries, sockets and files only, so that the same fixtures
//! drive a Docker engine too. Failures panic with what happened, as test code does.
//!
//! Reading order: [`slot`], [`image`], [`Engine`], [`http`], [`census`], [`registry`], [`parity`], [`corpus`].

pub mod census;
pub mod chance;
pub mod corpus;
pub mod disk;
pub mod engine;
pub mod http;
pub mod image;
mod listing;
pub mod lying;
pub mod parity;
pub mod peers;
mod progress;
pub mod registry;
pub mod slot;
pub mod terminal;

pub use engine::{Engine, Output};
pub use progress::one_wording;
pub use terminal::Terminal;

/// How much slower everything is in an emulated machine, at worst.
const EMULATED: u32 = 8;

/// How long to wait for something that a whole machine does within so many seconds.
pub fn patience(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds) * slower()
}

/// How often to do something that a whole machine does so many times.
pub fn rounds(times: usize) -> usize {
    times.div_ceil(slower() as usize)
}

fn slower() -> u32 {
    if std::env::var_os("WHARF_EMULATED").is_some() { EMULATED } else { 1 }
}
