//! Variables and labels from flags and files.

use serde_json::{Map, Value as Json};

use crate::failure::{Failure, file_failure};
use crate::settings::Environment;

/// Lines of files, then flags; a name without value takes our own value. When we have none, a line is left out, while
/// a flag takes the variable away from what the image or the container says.
///
/// # Errors
/// When a file can't be read or a line is no variable.
pub fn read_environment(
    files: &[String],
    flags: &[String],
    ours: &Environment,
) -> Result<Vec<String>, Failure> {
    let mut list = Vec::new();
    for file in files {
        for line in read_lines(file, "env file")? {
            list.extend(resolve(&line, ours));
        }
    }
    list.extend(flags.iter().map(|text| resolve(text, ours).unwrap_or_else(|| text.clone())));
    Ok(list)
}

fn resolve(text: &str, ours: &Environment) -> Option<String> {
    if text.contains('=') {
        return Some(text.to_owned());
    }
    ours.raw(text).map(|value| format!("{text}={value}"))
}

/// Labels from files, then flags; later ones win.
///
/// # Errors
/// When a file can't be read.
pub fn read_labels(files: &[String], flags: &[String]) -> Result<Map<String, Json>, Failure> {
    let mut labels = Map::new();
    for file in files {
        // Lines without value are left out, as docker does.
        let lines = read_lines(file, "label file")?;
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        labels.extend(pairs.map(|(key, value)| (key.to_owned(), Json::from(value))));
    }
    let pairs = flags.iter().map(|text| text.split_once('=').unwrap_or((text, "")));
    labels.extend(pairs.map(|(key, value)| (key.to_owned(), Json::from(value))));
    Ok(labels)
}

fn read_lines(path: &str, what: &str) -> Result<Vec<String>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| file_failure("open", path, &error))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Failure::text(format!(
                "invalid {what} ({path}): invalid utf8 bytes at line {number}: {line:?}"
            )));
        };
        let text = text.trim_end_matches('\r').trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, has_value) = text.split_once('=').map_or((text, false), |(name, _)| (name, true));
        if name.is_empty() {
            return Err(Failure::text(format!("invalid {what} ({path}): no variable name on line '{text}'")));
        }
        if name.contains([' ', '\t']) {
            let shown = if has_value { name } else { name.trim_end() };
            return Err(Failure::text(format!(
                "invalid {what} ({path}): variable '{shown}' contains whitespaces"
            )));
        }
        lines.push(text.to_owned());
    }
    Ok(lines)
}

/// Variables for the proxies of the configuration file, unless the user set them.
pub fn proxies(config: &crate::config_file::ConfigFile, host: &str, given: &[String]) -> Vec<String> {
    let Some(table) = config.field("proxies") else { return Vec::new() };
    let Some(proxies) = table.get(host).or_else(|| table.get("default")) else { return Vec::new() };
    let mut list = Vec::new();
    for (field, name) in [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ] {
        let Some(value) = proxies.get(field).and_then(Json::as_str).filter(|value| !value.is_empty()) else {
            continue;
        };
        for name in [name.to_owned(), name.to_lowercase()] {
            let prefix = format!("{name}=");
            if !given.iter().any(|text| text.starts_with(&prefix)) {
                list.push(format!("{prefix}{value}"));
            }
        }
    }
    list
}
