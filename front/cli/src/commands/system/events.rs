//! `events`: what happens, as it happens.

use std::io::Write as _;

use api_client::Query;
use api_client::record::Records;
use serde_json::Value as Json;

use crate::command::Kind::{Filter, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;
use crate::template::{Template, Value};

const FLAGS: &[Flag] = &[
    flag("filter", 'f', Filter, "", "Show only what fits, as type=container, event=start, ..."),
    long("format", Text, "How to print each event: 'json', or a Go template"),
    long("since", Text, "Begin with events since a time or a duration before now"),
    long("until", Text, "End with events until a time or a duration before now"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Get real time events from the server",
    usage: &["[OPTIONS]"],
    spellings: &["system events", "events"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["events --filter type=container --format '{{.Action}} {{.Actor.ID}}'"],
    run,
};

/// A time as the engine takes it: unix seconds with nanoseconds; durations count back from now.
///
/// # Errors
/// When the text is no time.
pub fn time_parameter(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if text != "0"
        && let Ok(nanoseconds) = model::duration::parse_nanoseconds(text)
    {
        let then = model::Timestamp::now().nanoseconds() - nanoseconds;
        return Ok(format!("{}.{:09}", then.div_euclid(1_000_000_000), then.rem_euclid(1_000_000_000)));
    }
    let seconds = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if seconds(whole) && seconds(fraction) {
        return Ok(text.to_owned());
    }
    parse_date(text)
        .map(|time| format!("{}.{:09}", time.seconds(), time.subsecond_nanoseconds()))
        .ok_or_else(|| format!("failed to parse value as time or duration: {}", crate::value::quoted(text)))
}

/// RFC 3339, or a part of it in the machine's zone.
fn parse_date(text: &str) -> Option<model::Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let text = text.trim_end_matches('Z');
    let padded = match text.len() {
        10 => format!("{text}T00:00:00"),
        13 => format!("{text}:00:00"),
        16 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let civil: jiff::civil::DateTime = padded.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::system()).ok()?;
    Some(model::Timestamp::from_unix(zoned.timestamp().as_second(), zoned.timestamp().subsec_nanosecond()))
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let format = match matches.text("format") {
        "json" => "{{json .}}",
        other => other,
    };
    let template =
        match format {
            "" => None,
            text => Some(Template::parse(text).map_err(|error| Failure::Text {
                text: format!("Error parsing format: {error}"),
                code: 64,
            })?),
        };
    let time = |flag: &str| time_parameter(matches.text(flag)).map_err(Failure::text);
    let query = Query::new()
        .text("since", &time("since")?)
        .text("until", &time("until")?)
        .filters(&matches.filters());
    let answer = session.client()?.stream("/events", &query)?;
    for event in Records::<_, Json>::new(answer.body) {
        let event = event?;
        let line = match &template {
            Some(template) => template
                .execute(&Value::from_json(&event))
                .map_err(|error| Failure::text(error.to_string()))?,
            None => line(&event),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(())
}

fn line(event: &Json) -> String {
    let text = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
    let nanoseconds = event.get("timeNano").and_then(Json::as_i64).unwrap_or(0);
    let seconds = event.get("time").and_then(Json::as_i64).unwrap_or(0);
    let (seconds, fraction) = if nanoseconds == 0 {
        (seconds, 0)
    } else {
        (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000))
    };
    let time = model::Timestamp::from_unix(seconds, i32::try_from(fraction).unwrap_or(0));
    let local = time.as_jiff().to_zoned(jiff::tz::TimeZone::system());
    let zone = match local.offset().seconds() {
        0 => "Z".to_owned(),
        _ => local.strftime("%:z").to_string(),
    };
    let mut line = format!(
        "{}{zone} {} {} {}",
        local.strftime("%Y-%m-%dT%H:%M:%S%.9f"),
        text("Type"),
        text("Action"),
        event.pointer("/Actor/ID").and_then(Json::as_str).unwrap_or_default()
    );
    if let Some(attributes) =
        event.pointer("/Actor/Attributes").and_then(Json::as_object).filter(|map| !map.is_empty())
    {
        let mut pairs: Vec<String> = attributes
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        pairs.sort();
        line.push_str(&format!(" ({})", pairs.join(", ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_several_forms() {
        assert_eq!(time_parameter("1700000000").unwrap(), "1700000000");
        assert_eq!(time_parameter("1700000000.5").unwrap(), "1700000000.5");
        assert_eq!(time_parameter("2026-01-01T00:00:00Z").unwrap(), "1767225600.000000000");
        assert!(time_parameter("2026-01-01").is_ok() && time_parameter("10m").is_ok());
        assert!(time_parameter("x").is_err());
    }
}
