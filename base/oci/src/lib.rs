//! OCI documents: image, runtime and distribution, with digests, references and platforms.
//!
//! Purpose: the vocabulary of images and containers as the specifications write it, parsed once at the edge.
//! Owns: `Digest` (strict, sha256 and sha512), `Reference` (Docker's familiar names and their canonical form),
//! `Platform`, descriptors, manifests, indexes, image configurations in both dialects, the runtime specification.
//! Must not know: files, networks, Docker's API.
//!
//! Documents from outside are read leniently where Go is (null is the zero value, unknown fields are ignored) and
//! strictly where safety depends on it (digests, names). Bytes that have a digest are never written again from the
//! parsed form: keep the bytes.
//!
//! Reading order: `digest`, `reference`, `platform`, `image`; `runtime` stands alone.

#![forbid(unsafe_code)]

pub mod digest;
pub mod image;
pub mod platform;
pub mod reference;
pub mod runtime;

pub use digest::Digest;
pub use platform::Platform;
pub use reference::Reference;
