//! What a start needs on the host before anything else: folders to bind, devices to refuse.

use ::container::ContainerRecord;

use super::settings::Settings;
use crate::error::Context;
use crate::{Error, Result};

/// No driver for `--gpus` and its kin.
pub(super) fn check_device_requests(record: &ContainerRecord) -> Result<()> {
    let requests = record.documents.host_config.get("DeviceRequests");
    let requests = requests.as_ref().and_then(serde_json::Value::as_array);
    let Some(request) = requests.and_then(|requests| requests.first()) else { return Ok(()) };
    let driver = request.get("Driver").and_then(|value| value.as_str()).unwrap_or("");
    let sets = request.get("Capabilities").and_then(|value| value.as_array()).cloned().unwrap_or_default();
    let sets: Vec<String> = sets
        .iter()
        .map(|set| {
            let words: Vec<&str> =
                set.as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
            format!("[{}]", words.join(" "))
        })
        .collect();
    Err(Error::internal(format!(
        "could not select device driver \"{driver}\" with capabilities: [{}]",
        sets.join(" ")
    )))
}

/// Folders that `-v` names and the host does not have are made, as Docker does.
pub(super) fn make_bind_sources(record: &ContainerRecord, settings: &Settings) -> Result<()> {
    for mount in record.mounts.iter().filter(|mount| mount.kind == "bind") {
        if std::fs::metadata(&mount.source).is_ok() {
            continue;
        }
        if settings.created_sources.contains(&mount.source) {
            let made = std::fs::create_dir_all(&mount.source);
            made.doing(|| format!("error while creating mount source path '{}'", mount.source))?;
        } else {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source
            )));
        }
    }
    Ok(())
}
