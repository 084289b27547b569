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
    match key {
        "readonly" | "ro" => {
            mount.insert("ReadOnly".to_owned(), json!(truth(key, value)?));
            return Ok(());
        }
        "volume-nocopy" => {
            parts.volume.insert("NoCopy".to_owned(), json!(truth(key, value)?));
            return Ok(());
        }
        "bind-nonrecursive" => {
            parts.bind.insert("NonRecursive".to_owned(), json!(truth(key, value)?));
            return Ok(());
        }
        "bind-create-src" | "bind-createsource" => {
            parts.bind.insert("CreateMountpoint".to_owned(), json!(truth(key, value)?));
            return Ok(());
        }
        _ => {}
    }
    let Some(value) = value else {
        return Err(format!("invalid field '{field}' must be a key=value pair"));
    };
    match key {
        "type" => {
            mount.insert("Type".to_owned(), json!(value.to_lowercase()));
        }
        "source" | "src" => {
            mount.insert("Source".to_owned(), json!(absolute(value)));
        }
        "target" | "dst" | "destination" => {
            mount.insert("Target".to_owned(), json!(value));
        }
        "consistency" => {
            mount.insert("Consistency".to_owned(), json!(value.to_lowercase()));
        }
        "bind-propagation" => {
            parts.bind.insert("Propagation".to_owned(), json!(value.to_lowercase()));
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => {
                parts.bind.insert("NonRecursive".to_owned(), json!(true));
            }
            "writable" => {
                parts.bind.insert("ReadOnlyNonRecursive".to_owned(), json!(true));
            }
            "readonly" => {
                parts.bind.insert("ReadOnlyForceRecursive".to_owned(), json!(true));
            }
            _ => {
                return Err(format!(
                    "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                ));
            }
        },
        "volume-subpath" => {
            parts.volume.insert("Subpath".to_owned(), json!(value));
        }
        "image-subpath" => {
            parts.image.insert("Subpath".to_owned(), json!(value));
        }
        "volume-label" => nested(&mut parts.volume, "Labels", value),
        "volume-driver" => {
            driver(&mut parts.volume).insert("Name".to_owned(), json!(value));
        }
        "volume-opt" => nested(driver(&mut parts.volume), "Options", value),
        "tmpfs-size" => {
            let size = crate::value::bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
            parts.tmpfs.insert("SizeBytes".to_owned(), json!(size));
        }
        "tmpfs-mode" => {
            let mode =
                u32::from_str_radix(value, 8).map_err(|_| format!("invalid value for {key}: {value}"))?;
            parts.tmpfs.insert("Mode".to_owned(), json!(mode));
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn nested(map: &mut Map<String, Json>, name: &str, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let inner = map.entry(name).or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        inner.insert(key.to_owned(), json!(value));
    }
}

fn driver(map: &mut Map<String, Json>) -> &mut Map<String, Json> {
    let slot = map.entry("DriverConfig").or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Json::Object(inner) => inner,
        _ => unreachable!("made an object just above"),
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
