//! daemon.json: read, checked, and joined with the flags.

use std::path::Path;

use serde_json::Value;

use crate::arguments::Values;
use crate::options::{Kind, OPTIONS};

/// Reads the file and joins it with the flags; one that is missing counts as empty unless it was asked for.
///
/// # Errors
/// With dockerd's words: unreadable, no JSON, unknown keys, wrong types, keys that flags set too.
pub(crate) fn read(path: &Path, asked_for: bool, flags: &Values) -> Result<Values, String> {
    let shown = path.display();
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => return Ok(flags.clone()),
        Err(error) => {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            return Err(format!(
                "unable to configure the Docker daemon with file {shown}: open {shown}: {why}"
            ));
        }
    };
    merge(&text, flags)
        .map_err(|why| format!("unable to configure the Docker daemon with file {shown}: {why}"))
}

/// Joins the file's text with the flags.
pub(crate) fn merge(text: &[u8], flags: &Values) -> Result<Values, String> {
    // Windows editors put a byte order mark first.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Ok(flags.clone());
    }
    let document: Value = serde_json::from_slice(text).map_err(|error| match error.is_eof() {
        true => "unexpected end of JSON input".to_owned(),
        false => format!("invalid JSON: {error}"),
    })?;
    let Value::Object(document) = document else {
        return Err("json: cannot unmarshal the document into Go value of type config.Config".to_owned());
    };
    let known = |key: &str| OPTIONS.iter().find(|option| option.key == key);
    let mut unknown: Vec<&str> =
        document.keys().map(String::as_str).filter(|key| known(key).is_none()).collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        return Err(format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        ));
    }
    let mut conflicts = Vec::new();
    let mut merged = flags.clone();
    for (key, value) in &document {
        let Some(option) = known(key) else { continue };
        option.check_file_value(value)?;
        if let Some(flag) = flags.get(option.key) {
            // Log options and runtimes of both places add up.
            if !matches!(option.kind, Kind::Runtimes | Kind::Ulimits) {
                let (flag, file) = (go_format(flag), go_format(value));
                conflicts.push(format!("{key}: (from flag: {flag}, from file: {file})"));
                continue;
            }
        }
        join(&mut merged, option.key, value);
    }
    if conflicts.is_empty() {
        return Ok(merged);
    }
    conflicts.sort_unstable();
    Err(format!(
        "the following directives are specified both as a flag and in the configuration file: {}",
        conflicts.join(", ")
    ))
}

fn join(merged: &mut Values, key: &'static str, value: &Value) {
    match (merged.get_mut(key), value) {
        (Some(Value::Object(held)), Value::Object(more)) => {
            for (name, item) in more {
                held.entry(name.clone()).or_insert_with(|| item.clone());
            }
        }
        (_, Value::Null) => {}
        _ => drop(merged.insert(key, value.clone())),
    }
}

/// A value the way Go's `%v` prints it.
fn go_format(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_format).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_format(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Values {
        crate::arguments::Arguments::parse(words.iter().map(|word| (*word).to_owned())).unwrap().values
    }

    #[test]
    fn file_and_flags_join() {
        let merged = merge(
            br#"{"debug":true,"runtimes":{"a":{"path":"/a"}}}"#,
            &flags(&["--mtu=5", "--add-runtime=b=/b"]),
        )
        .unwrap();
        assert_eq!(merged["debug"], true);
        assert_eq!(merged["mtu"], 5);
        assert_eq!(merged["runtimes"], serde_json::json!({"b": {"path": "/b"}, "a": {"path": "/a"}}));
        assert_eq!(merge(b"", &flags(&["-D"])).unwrap()["debug"], true);
    }

    #[test]
    fn faults_are_named_in_dockerd_words() {
        let given = flags(&["--debug", "--label", "c=d", "-H", "unix:///y", "--mtu", "5"]);
        for (text, expected) in [
            (
                r#"{"foo":1,"bar":2}"#,
                "the following directives don't match any configuration option: bar, foo",
            ),
            (r#"{"icc":"x"}"#, "json: cannot unmarshal string into Go struct field Config.icc of type bool"),
            (r#"{"debug":"#, "unexpected end of JSON input"),
            (
                r#"{"mtu":1400,"debug":true,"labels":["a=b"],"hosts":["unix:///x"]}"#,
                "the following directives are specified both as a flag and in the configuration file: \
                 debug: (from flag: true, from file: true), hosts: (from flag: [unix:///y], from file: [unix:///x]), \
                 labels: (from flag: [c=d], from file: [a=b]), mtu: (from flag: 5, from file: 1400)",
            ),
        ] {
            assert_eq!(merge(text.as_bytes(), &given).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_file_that_was_asked_for_has_to_exist() {
        let path = Path::new("/nonexistent/daemon.json");
        assert!(read(path, false, &Values::new()).is_ok());
        assert_eq!(
            read(path, true, &Values::new()).unwrap_err(),
            "unable to configure the Docker daemon with file /nonexistent/daemon.json: open /nonexistent/daemon.json: no such file or directory"
        );
    }
}
