//! Commands on contexts: named engines.

pub mod create;
pub mod export;
pub mod import;
pub mod inspect;
pub mod list;
pub mod rm;
pub mod show;
pub mod update;
pub mod usage;
