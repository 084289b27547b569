//! OCI documents: image, runtime and distribution, with digests, references and platforms.

#![forbid(unsafe_code)]

pub mod digest;
pub mod image;
pub mod platform;
pub mod reference;
pub mod runtime;
