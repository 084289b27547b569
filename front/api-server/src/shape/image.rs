//! Images by version.

use api::ApiVersion;
use api::image::{Inspect, Summary};
use serde_json::Value;

use super::{take_out, tree};
use crate::failure::Failure;

/// Fields of a container's configuration that mean nothing for an image; gone in 1.50.
const CONTAINER_ONLY: &[&str] = &[
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "NetworkDisabled",
    "MacAddress",
    "StopTimeout",
];

/// One image.
pub(crate) fn inspect(mut document: Inspect, version: ApiVersion) -> Result<Value, Failure> {
    if version.below(45) {
        document.container = Some(document.container.unwrap_or_default());
        document.container_config = Some(document.container_config.unwrap_or_default());
    } else {
        document.container = None;
        document.container_config = None;
    }
    document.virtual_size = version.below(44).then_some(document.size);
    if version.below(48) {
        document.descriptor = None;
        document.manifests = None;
    }
    let mut value = tree(&document)?;
    if version.at_least(50) {
        take_out(value.get_mut("Config"), CONTAINER_ONLY);
    }
    if version.at_least(52) {
        for field in ["Parent", "DockerVersion", "Container"] {
            if value.get(field).and_then(Value::as_str) == Some("") {
                take_out(Some(&mut value), &[field]);
            }
        }
    }
    Ok(value)
}

/// The list.
pub(crate) fn summaries(mut list: Vec<Summary>, version: ApiVersion) -> Vec<Summary> {
    for image in &mut list {
        if version.below(51) {
            image.containers = -1;
        }
        image.virtual_size = version.below(44).then_some(image.size);
        if version.below(43) {
            fill_with_none(&mut image.repo_tags, "<none>:<none>");
            fill_with_none(&mut image.repo_digests, "<none>@<none>");
        }
        if version.below(47) {
            image.manifests = None;
        }
        if version.below(48) {
            image.descriptor = None;
        }
    }
    list
}

fn fill_with_none(names: &mut Option<Vec<String>>, none: &str) {
    if names.as_ref().is_none_or(Vec::is_empty) {
        *names = Some(vec![none.to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_differ_by_version() {
        let image = Summary { containers: 3, size: 9, repo_tags: Some(Vec::new()), ..Summary::default() };
        for (minor, containers, virtual_size, tags) in
            [(42, -1, Some(9), 1), (43, -1, Some(9), 0), (44, -1, None, 0), (51, 3, None, 0)]
        {
            let list = summaries(vec![image.clone()], ApiVersion::new(minor));
            let shown = (list[0].containers, list[0].virtual_size, list[0].repo_tags.as_ref().unwrap().len());
            assert_eq!(shown, (containers, virtual_size, tags), "1.{minor}");
        }
    }

    #[test]
    fn inspect_differs_by_version() {
        let image = Inspect { config: Some(api::container::Config::default()), ..Inspect::default() };
        for (minor, container, hostname, parent) in [
            (44, true, true, true),
            (45, false, true, true),
            (50, false, false, true),
            (52, false, false, false),
        ] {
            let value = inspect(image.clone(), ApiVersion::new(minor)).unwrap();
            assert_eq!(value.get("ContainerConfig").is_some(), container, "1.{minor}");
            assert_eq!(value["Config"].get("Hostname").is_some(), hostname, "1.{minor}");
            assert_eq!(value.get("Parent").is_some(), parent, "1.{minor}");
            assert!(value["Config"].get("Cmd").is_some());
        }
    }
}
