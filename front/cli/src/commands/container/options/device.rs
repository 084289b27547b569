//! Devices: nodes of the host, rules, rates and GPUs.

use serde_json::{Value as Json, json};

type Checked = Result<(), String>;

/// `PATH:WEIGHT`.
pub fn weight(text: &str) -> Checked {
    parse_weight(text).map(drop)
}

/// Path and weight.
pub fn parse_weight(text: &str) -> Result<Json, String> {
    let (path, value) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    match value.parse::<u16>() {
        Ok(0) => Ok(json!({"Path": path, "Weight": 0})),
        Ok(weight @ 10..=1000) => Ok(json!({"Path": path, "Weight": weight})),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

/// `PATH:BYTES`.
pub fn rate_bytes(text: &str) -> Checked {
    parse_rate(text, true).map(drop)
}

/// `PATH:COUNT`.
pub fn rate_count(text: &str) -> Checked {
    parse_rate(text, false).map(drop)
}

/// Path and rate.
pub fn parse_rate(text: &str, bytes: bool) -> Result<Json, String> {
    let (path, value) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    let rate = if bytes {
        crate::value::bytes(value).map_err(|_| {
            format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
        })?
    } else {
        value.parse::<u32>().map(i64::from).map_err(|_| {
            format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
        })?
    };
    Ok(json!({"Path": path, "Rate": rate}))
}

/// `c 13:* rwm`.
pub fn cgroup_rule(text: &str) -> Checked {
    let good = || {
        let mut parts = text.split(' ');
        let kind = parts.next()?;
        let (major, minor) = parts.next()?.split_once(':')?;
        let access = parts.next()?;
        let number =
            |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let fits = matches!(kind, "a" | "b" | "c")
            && number(major)
            && number(minor)
            && (1..=3).contains(&access.len())
            && access.bytes().all(|byte| b"rwm".contains(&byte))
            && parts.next().is_none();
        fits.then_some(())
    };
    good().ok_or_else(|| format!("invalid device cgroup format '{text}'"))
}

/// `PATH[:INSIDE[:rwm]]` as a document.
pub fn mapping(text: &str) -> Result<Json, String> {
    let access =
        |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| b"rwm".contains(&byte));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if access(second) => (*host, *host, *second),
        [host, second] => (*host, *second, "rwm"),
        [host, second, third] => (*host, *second, *third),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if !access(permissions) {
        return Err(format!("bad mode specified: {permissions}"));
    }
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": permissions}))
}

/// A request for GPUs.
pub fn gpus(text: &str) -> Checked {
    parse_gpus(text).map(drop)
}

/// The device request of `--gpus`.
pub fn parse_gpus(text: &str) -> Result<Json, String> {
    let mut count = json!(1);
    let mut ids = Json::Null;
    let mut driver = "";
    let mut capabilities = vec![json!("gpu")];
    let mut options = serde_json::Map::new();
    let fields = csv(text)?;
    let counted = |text: &str| match text {
        "all" => Ok(json!(-1)),
        number => number.parse::<i64>().map(Json::from).map_err(|_| {
            format!("invalid count ({number}): value must be either \"all\" or an integer: invalid syntax")
        }),
    };
    for part in &fields {
        match part.split_once('=') {
            None => count = counted(part)?,
            Some(("count", value)) => count = counted(value)?,
            Some(("driver", value)) => driver = value,
            Some(("device", value)) => {
                ids = json!(value.split(',').collect::<Vec<_>>());
                count = json!(0);
            }
            Some(("capabilities", value)) => capabilities.extend(value.split(',').map(Json::from)),
            Some(("options", value)) => {
                for pair in value.split(',') {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    options.insert(key.to_owned(), Json::from(value));
                }
            }
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{part}'")),
        }
    }
    Ok(
        json!({"Driver": driver, "Count": count, "DeviceIDs": ids, "Capabilities": [capabilities], "Options": options}),
    )
}

/// The fields of one line of comma separated values, quotes respected.
pub fn csv(text: &str) -> Result<Vec<String>, String> {
    model::csv::fields(text).map_err(|error| error.to_string())
}
