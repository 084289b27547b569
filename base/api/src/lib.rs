//! Docker Engine API documents, the API versions, and the list of routes.
//!
//! This crate owns the wire shapes: one struct per swagger definition, fields in snake case, JSON names exactly as
//! Docker's Go types give them, in Docker's order. Answers serialize with `null`, `[]` and `0` where dockerd sends
//! them: `Option<Vec<_>>` is a Go slice that may be nil, a plain `Vec` with `skip_serializing_if` is `omitempty`.
//!
//! Reading is lenient the way Go is: [`decode`] takes `null` for everything, matches field names in any case, and
//! ignores unknown fields. Use it for every document that comes over the wire, request or answer.
//!
//! It must not know what a document means (that is `engine`), how it travels (`transport`), nor which fields a
//! version hides (`api-server`).
//!
//! Reading order: [`version`], [`lenient`], then one module per noun: [`container`], [`exec`], [`image`],
//! [`volume`], [`network`], [`system`], [`event`], [`error`], and [`stream`], [`route`].

#![forbid(unsafe_code)]

pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod image;
pub mod lenient;
pub mod network;
pub mod route;
mod shape;
pub mod stream;
pub mod system;
pub mod version;
pub mod volume;

pub use lenient::{decode, decode_value};
pub use shape::Empty;
pub use version::ApiVersion;
