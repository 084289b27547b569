//! `state`: the state document with runc's additions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::runtime::Status;
use runtime::container::Container;

use crate::Context;
use crate::arguments::parse;
use crate::failure::Result;

/// What `state` prints and `list` lists.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) oci_version: String,
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

impl View {
    pub(super) fn new(container: &Container) -> Self {
        let state = container.state();
        let record = container.record();
        Self {
            oci_version: state.oci_version,
            id: state.id,
            pid: state.pid,
            status: state.status,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: state.annotations,
            owner: String::new(),
        }
    }
}

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[], false)?;
    let container = context.store.load(parsed.id("state")?)?;
    super::print(&View::new(&container))?;
    Ok(0)
}
