//! `--mount type=...,source=...,target=...`: one line of comma separated values.

use serde_json::{Map, Value as Json, json};

use super::device::csv;

/// Whether the text is a mount.
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// The groups of options that belong to one type of mount.
#[derive(Default)]
struct Parts {
    volume: Map<String, Json>,
    /// Part of the volume's options.
    driver: Map<String, Json>,
    bind: Map<String, Json>,
    tmpfs: Map<String, Json>,
    image: Map<String, Json>,
}

/// The mount's document.
///
/// # Errors
/// With docker's text.
pub fn parse(text: &str) -> Result<Json, String> {
    if text.trim().is_empty() {
        return Err("value is empty".to_owned());
    }
    let mut mount = Map::new();
    mount.insert("Type".to_owned(), json!("volume"));
    let mut parts = Parts::default();
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        option(&mut mount, &mut parts, &key, value, &field)?;
    }
    let kind = mount.get("Type").and_then(Json::as_str).unwrap_or_default().to_owned();
    if kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if !mount.contains_key("Target") {
        return Err("target is required".to_owned());
    }
    if !parts.volume.is_empty() || !parts.driver.is_empty() {
        parts.volume.insert("DriverConfig".to_owned(), Json::Object(std::mem::take(&mut parts.driver)));
    }
    for (group, options, name) in [
        ("volume", &parts.volume, "VolumeOptions"),
        ("bind", &parts.bind, "BindOptions"),
        ("tmpfs", &parts.tmpfs, "TmpfsOptions"),
        ("image", &parts.image, "ImageOptions"),
    ] {
        if options.is_empty() {
            continue;
        }
        if kind != group {
            return Err(format!("cannot mix '{group}-*' options with mount type '{kind}'"));
        }
        mount.insert(name.to_owned(), Json::Object(options.clone()));
    }
    if parts.bind.get("ReadOnlyNonRecursive").is_some() && mount.get("ReadOnly") != Some(&json!(true)) {
        return Err(
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".to_owned()
        );
    }
    Ok(Json::Object(mount))
}

fn truth(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None => Ok(true),
        Some(value) => crate::value::truth(value).map_err(|_| format!("invalid value for {key}: {value}")),
    }
}

fn option(
    mount: &mut Map<String, Json>,
    parts: &mut Parts,
    key: &str,
    value: Option<&str>,
    field: &str,
) -> Result<(), String> {
    // Switches come without a value too.
    let switch = match key {
        "readonly" | "ro" => Some((&mut *mount, "ReadOnly")),
        "volume-nocopy" => Some((&mut parts.volume, "NoCopy")),
        "bind-nonrecursive" => Some((&mut parts.bind, "NonRecursive")),
        "bind-create-src" | "bind-createsource" => Some((&mut parts.bind, "CreateMountpoint")),
        _ => None,
    };
    if let Some((map, name)) = switch {
        map.insert(name.to_owned(), json!(truth(key, value)?));
        return Ok(());
    }
    let Some(value) = value else {
        return Err(format!("invalid field '{field}' must be a key=value pair"));
    };
    let bad = || format!("invalid value for {key}: {value}");
    let (map, name, value) = match key {
        "type" => (mount, "Type", json!(value.to_lowercase())),
        "source" | "src" => (mount, "Source", json!(absolute(value))),
        "target" | "dst" | "destination" => (mount, "Target", json!(value)),
        "consistency" => (mount, "Consistency", json!(value.to_lowercase())),
        "bind-propagation" => (&mut parts.bind, "Propagation", json!(value.to_lowercase())),
        "bind-recursive" => return recursive(&mut parts.bind, key, value),
        "volume-subpath" => (&mut parts.volume, "Subpath", json!(value)),
        "image-subpath" => (&mut parts.image, "Subpath", json!(value)),
        "volume-driver" => (&mut parts.driver, "Name", json!(value)),
        "volume-label" => {
            nested(&mut parts.volume, "Labels", value);
            return Ok(());
        }
        "volume-opt" => {
            nested(&mut parts.driver, "Options", value);
            return Ok(());
        }
        "tmpfs-size" => {
            (&mut parts.tmpfs, "SizeBytes", json!(crate::value::bytes(value).map_err(|_| bad())?))
        }
        "tmpfs-mode" => (&mut parts.tmpfs, "Mode", json!(u32::from_str_radix(value, 8).map_err(|_| bad())?)),
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    };
    map.insert(name.to_owned(), value);
    Ok(())
}

fn recursive(bind: &mut Map<String, Json>, key: &str, value: &str) -> Result<(), String> {
    let name = match value {
        "enabled" => return Ok(()),
        "disabled" => "NonRecursive",
        "writable" => "ReadOnlyNonRecursive",
        "readonly" => "ReadOnlyForceRecursive",
        _ => {
            return Err(format!(
                "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    };
    bind.insert(name.to_owned(), json!(true));
    Ok(())
}

fn nested(map: &mut Map<String, Json>, name: &str, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let inner = map.entry(name).or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        inner.insert(key.to_owned(), json!(value));
    }
}

/// A source that starts with a dot is a path from here.
pub fn absolute(source: &str) -> String {
    if source != "." && source != ".." && !source.starts_with("./") && !source.starts_with("../") {
        return source.to_owned();
    }
    let mut path = std::env::current_dir().unwrap_or_default();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path.display().to_string()
}
