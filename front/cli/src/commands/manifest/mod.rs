//! Commands on manifests: lists of manifests are put together in the configuration folder and pushed by the client itself.
//!
//! They speak to registries without the engine. [`entry`] is what is known of one manifest, [`store`] where lists are
//! kept until they are pushed, [`remote`] the registry's side, [`view`] how both are shown.

pub mod annotate;
pub mod create;
mod entry;
pub mod inspect;
pub mod push;
mod remote;
pub mod rm;
mod store;
mod view;

use oci::Reference;

use crate::command::Flag;
use crate::command::{Kind::Switch, long};
use crate::failure::Failure;

/// The flag for registries without TLS.
const INSECURE: Flag = long("insecure", Switch, "Speak to the registry also without verified TLS");

/// A name with everything that goes without saying.
fn parse(text: &str) -> Result<Reference, Failure> {
    text.parse::<Reference>().map(Reference::or_latest).map_err(|error| Failure::text(error.to_string()))
}
