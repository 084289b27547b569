//! Images between registries and a content store: resolve, fetch, push.
//!
//! Purpose: find out what a name stands for, get every blob of it once, and give every blob away once.
//! Owns: which documents are taken (strictly read, refused by name otherwise), parallel and resumable downloads with
//! retries, uploads that skip what the registry has, the order of places that are asked.
//! Must not know: where content is kept ([`Content`] is a trait the engine implements), images, layers unpacked,
//! Docker's words of progress: steps are told as values.
//!
//! Bytes go into the store as they come; a blob has its name there only when its digest was compared. What came before
//! a broken connection, a crash or a change of mind stays, and the next attempt asks for the rest.
//!
//! Reading order: `content` (what a store has to do), `document`, `sources`, `resolve`, `fetch`, `push`, `retry`.

#![forbid(unsafe_code)]

pub mod content;
pub mod document;
mod error;
mod fetch;
mod push;
mod resolve;
mod retry;
mod sources;

pub use content::{Content, ContentError, Take, Taking};
pub use error::DistributionError;
pub use fetch::{Fetch, Step};
pub use push::{Push, PushBlob, PushStep};
pub use resolve::{Resolved, Wish};
pub use retry::{Gate, Limits};
pub use sources::Sources;
