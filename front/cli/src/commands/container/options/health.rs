//! The health check of the flags.

use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::matches::Matches;

/// The check's document; null when no flag says anything.
///
/// # Errors
/// When flags contradict each other or a time is negative.
pub fn collect(matches: &Matches) -> Result<Json, Failure> {
    const DURATIONS: [(&str, &str); 4] = [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ];
    let times: Vec<(&str, &str, i64)> = DURATIONS
        .iter()
        .map(|(flag, field)| {
            (*flag, *field, model::duration::parse_nanoseconds(matches.text(flag)).unwrap_or_default())
        })
        .collect();
    let retries = matches.int("health-retries");
    let command = matches.text("health-cmd");
    let any = !command.is_empty() || retries != 0 || times.iter().any(|(_, _, time)| *time != 0);
    if matches.on("no-healthcheck") {
        if any {
            return Err(Failure::text("--no-healthcheck conflicts with --health-* options"));
        }
        return Ok(json!({"Test": ["NONE"]}));
    }
    if !any {
        return Ok(Json::Null);
    }
    if let Some((flag, ..)) = times.iter().find(|(_, _, time)| *time < 0) {
        return Err(Failure::text(format!("--{flag} cannot be negative")));
    }
    if retries < 0 {
        return Err(Failure::text("--health-retries cannot be negative"));
    }
    let mut check = serde_json::Map::new();
    if !command.is_empty() {
        check.insert("Test".to_owned(), json!(["CMD-SHELL", command]));
    }
    for (_, field, time) in times {
        if time != 0 {
            check.insert(field.to_owned(), json!(time));
        }
    }
    if retries != 0 {
        check.insert("Retries".to_owned(), json!(retries));
    }
    Ok(Json::Object(check))
}
