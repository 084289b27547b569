//! Commands on images and registries.

pub mod history;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod login;
pub mod logout;
pub mod prune;
pub mod pull;
pub mod push;
pub mod reference;
pub mod rm;
pub mod save;
pub mod search;
pub mod tag;
mod tree;
pub mod trust;
