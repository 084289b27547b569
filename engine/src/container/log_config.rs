//! `--log-driver` and `--log-opt`: which words are known and what they mean.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// How the shim writes the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlan {
    /// Whether a log is written at all.
    pub write: bool,
    /// Bytes a file may have before it is rotated; `None` for no bound.
    pub max_size: Option<u64>,
    /// How many files are kept.
    pub max_files: u32,
    /// Whether rotated files are compressed.
    pub compress: bool,
}

const DRIVERS: [&str; 3] = ["json-file", "local", "none"];
const COMMON: [&str; 9] = [
    "mode",
    "max-buffer-size",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "cache-disabled",
    "cache-compress",
];

/// Checks driver and options as `create` does.
///
/// # Errors
/// Docker's texts for an unknown driver or option.
pub fn check(driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
    if !DRIVERS.contains(&driver) {
        return Err(Error::invalid(format!(
            "error looking up logging plugin {driver}: plugin \"{driver}\" not found"
        )));
    }
    if driver == "none" {
        return Ok(());
    }
    check_mode(options)?;
    for key in options.keys() {
        let known = COMMON.contains(&key.as_str())
            || matches!(
                key.as_str(),
                "max-size" | "max-file" | "compress" | "cache-max-size" | "cache-max-file"
            );
        if !known {
            return Err(Error::invalid(format!("unknown log opt '{key}' for {driver} log driver")));
        }
    }
    Ok(())
}

fn check_mode(options: &BTreeMap<String, String>) -> Result<()> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(Error::invalid(format!("logger: logging mode not supported: {mode}")));
    }
    if let Some(size) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(Error::invalid(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ));
        }
        if parse_size(size).is_none() {
            return Err(Error::invalid(format!(
                "logger: error parsing option max-buffer-size: invalid size: '{size}'"
            )));
        }
    }
    Ok(())
}

/// What the shim is told; read at start, as Docker does.
///
/// # Errors
/// Docker's `failed to initialize logging driver` texts.
pub fn plan(driver: &str, options: &BTreeMap<String, String>) -> Result<LogPlan> {
    let failed = |detail: String| {
        Error::internal(format!(
            "failed to create task for container: failed to initialize logging driver: {detail}"
        ))
    };
    let (default_size, default_files, default_compress) =
        if driver == "local" { (Some(20 << 20), 5, true) } else { (None, 1, false) };
    let max_size = match options.get("max-size").map(String::as_str) {
        None => default_size,
        Some(text) => match parse_size(text) {
            None => return Err(failed(format!("invalid size: '{text}'"))),
            Some(0) => return Err(failed("max-size must be a positive number".to_owned())),
            size => size,
        },
    };
    let max_files = match options.get("max-file") {
        None => default_files,
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| failed(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))
            .and_then(|count| {
                u32::try_from(count)
                    .ok()
                    .filter(|count| *count >= 1)
                    .ok_or_else(|| failed("max-file cannot be less than 1".to_owned()))
            })?,
    };
    let compress = match options.get("compress") {
        None => default_compress,
        Some(text) => model::boolean::parse(text)
            .ok_or_else(|| failed(format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")))?,
    };
    if driver == "json-file" && compress && (max_files < 2 || max_size.is_none()) {
        let why = "compress cannot be true when max-file is less than 2 or max-size is not set";
        return Err(failed(why.to_owned()));
    }
    Ok(LogPlan { write: driver != "none", max_size, max_files, compress })
}

/// `10m`, `1.5GB`, `512`: bytes with binary units, as go-units' `FromHumanSize` reads `k` as 1000.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
    let unit = unit.trim().to_ascii_lowercase();
    let scale: f64 = match unit.trim_end_matches('b') {
        "" if unit.len() <= 1 => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "p" => 1e15,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite, not negative, saturating"
    )]
    Some((number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn create_refuses_unknown_words() {
        for (driver, pairs, message) in [
            ("bogus", &[][..], "error looking up logging plugin bogus: plugin \"bogus\" not found"),
            ("json-file", &[("bogus", "1")][..], "unknown log opt 'bogus' for json-file log driver"),
            ("json-file", &[("mode", "x")][..], "logger: logging mode not supported: x"),
            (
                "json-file",
                &[("max-buffer-size", "1m")][..],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
        ] {
            assert_eq!(check(driver, &options(pairs)).unwrap_err().message(), message);
        }
        check("json-file", &options(&[("max-size", "x")])).unwrap();
    }

    #[test]
    fn start_reads_values() {
        let plan_of = |pairs: &[(&str, &str)]| plan("json-file", &options(pairs));
        assert_eq!(plan_of(&[("max-size", "10m"), ("max-file", "3")]).unwrap().max_size, Some(10_000_000));
        assert!(plan_of(&[("max-size", "x")]).unwrap_err().message().ends_with("invalid size: 'x'"));
        assert!(
            plan_of(&[("max-file", "0")]).unwrap_err().message().ends_with("max-file cannot be less than 1")
        );
        assert_eq!(parse_size("1kb"), Some(1000));
        assert_eq!(parse_size("x"), None);
    }
}
