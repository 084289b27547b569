//! A volume as others see it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

/// The only driver there is.
pub const LOCAL: &str = "local";

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver, always `local`.
    pub driver: String,
    /// Where its data is (or is mounted, inside of containers only).
    pub mountpoint: PathBuf,
    /// When it was made.
    pub created: Timestamp,
    /// Options of the driver; none and an empty map are different in answers.
    pub options: Option<BTreeMap<String, String>>,
    /// Free properties; none and an empty map are different in answers.
    pub labels: Option<Labels>,
    /// It has a generated name: `prune` takes it without being asked for all.
    pub anonymous: bool,
    /// Ids of the containers that use it, running or not.
    pub used_by: Vec<String>,
}

/// What is wanted from a new volume.
#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// The name; empty for a generated one.
    pub name: String,
    /// The driver; empty for `local`.
    pub driver: String,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Free properties.
    pub labels: Option<Labels>,
}

/// The label Docker gives to volumes with generated names.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// What is stored of a volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) created: Timestamp,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) labels: Option<Labels>,
    pub(crate) anonymous: bool,
}
