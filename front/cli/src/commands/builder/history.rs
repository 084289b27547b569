//! `buildx history`: the builds the engine remembers, what they said, forgetting them.

use std::fmt::Write as _;

use buildkit::client::Builder;
use buildkit::control::{BuildHistoryRecord, BuildHistoryRequest, HistoryEvent, UpdateBuildHistoryRequest};
use buildkit::time::Timestamp;
use grpc::{Cancellation, Code, Status};

use crate::command::Kind::{Filter, Switch, Text};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::commands::build::buildkit::progress::Display;
use crate::commands::build::buildkit::{connect, failure};
use crate::commands::build::output::Mode;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

/// `buildx history ls`.
pub const LS: Command = Command {
    about: "List builds",
    usage: &["[OPTIONS]"],
    spellings: &["builder history ls", "buildx history ls"],
    flags: &[&[
        long("builder", Text, ""),
        long("filter", Filter, "Show only what fits, status=error say"),
        FORMAT,
        switch("no-trunc", '\0', "Show whole names"),
    ]],
    arity: Arity::None,
    interspersed: true,
    examples: &["buildx history ls --filter status=error"],
    run: ls,
};

/// `buildx history logs`.
pub const LOGS: Command = Command {
    about: "Show what a build said",
    usage: &["[OPTIONS] [REF]"],
    spellings: &["builder history logs", "buildx history logs"],
    flags: &[&[
        long("builder", Text, ""),
        flag("progress", '\0', Text, "plain", "How to show it: 'plain', 'rawjson' or 'tty'"),
    ]],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["buildx history logs"],
    run: logs,
};

/// `buildx history inspect`.
pub const INSPECT: Command = Command {
    about: "Show what was built and how it ended",
    usage: &["[OPTIONS] [REF]"],
    spellings: &["builder history inspect", "buildx history inspect"],
    flags: &[&[
        long("builder", Text, ""),
        flag("format", '\0', Text, "pretty", "How to print: 'pretty' or 'json'"),
    ]],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &[],
    run: inspect,
};

/// `buildx history rm`.
pub const RM: Command = Command {
    about: "Forget builds",
    usage: &["[OPTIONS] [REF...]"],
    spellings: &["builder history rm", "buildx history rm"],
    flags: &[RM_FLAGS],
    arity: Arity::Any,
    interspersed: true,
    examples: &["buildx history rm --all"],
    run: rm,
};

const RM_FLAGS: &[Flag] = &[long("all", Switch, "Forget all that have ended"), long("builder", Text, "")];

const COLUMNS: &[Column<BuildHistoryRecord>] = &[
    column("Ref", "BUILD ID", |record| record.reference.clone().into()),
    column("Name", "NAME", |record| name(record).into()),
    column("Status", "STATUS", |record| status(record).into()),
    column("CreatedAt", "CREATED AT", |record| {
        record.created_at.as_ref().map_or_else(String::new, |time| human::ago(time.seconds)).into()
    }),
    column("Duration", "DURATION", |record| duration(record).into()),
    column("CachedSteps", "CACHED STEPS", |record| {
        format!("{}/{}", record.num_cached_steps, record.num_total_steps).into()
    }),
];

static LISTING: Listing<BuildHistoryRecord> = Listing {
    type_name: "*history.lsContext",
    columns: COLUMNS,
    table: "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}",
    raw: "",
    label: None,
};

/// What is remembered, the newest first.
fn records(builder: &Builder) -> Result<Vec<BuildHistoryRecord>, Failure> {
    let request = BuildHistoryRequest { early_exit: true, ..BuildHistoryRequest::default() };
    let mut records = Vec::new();
    let heard = builder.history(&request, &mut |event| {
        if event.r#type != HistoryEvent::Deleted as i32 {
            records.extend(event.record);
        }
    });
    heard.map_err(|status| failure::plain(&status))?;
    let time =
        |record: &BuildHistoryRecord| record.created_at.as_ref().map(|time| (time.seconds, time.nanos));
    records.sort_by_key(|record| std::cmp::Reverse(time(record)));
    Ok(records)
}

/// The build of a name or of its beginning; the newest one without a name.
fn find(builder: &Builder, name: &str) -> Result<BuildHistoryRecord, Failure> {
    // Others write the builder before the name.
    let name = name.rsplit('/').next().unwrap_or_default();
    let mut found = records(builder)?.into_iter().filter(|record| record.reference.starts_with(name));
    let first = found.next().ok_or_else(|| match name {
        "" => Failure::text("no builds are remembered"),
        name => Failure::text(format!("no record found for ref {}", crate::value::quoted(name))),
    })?;
    if !name.is_empty() && first.reference != name && found.next().is_some() {
        return Err(Failure::text(format!("several builds begin with {}", crate::value::quoted(name))));
    }
    Ok(first)
}

fn ls(session: &Session, matches: &Matches) -> Outcome {
    let builder = connect::builder(session.client()?)?;
    let filters = matches.filters();
    filters.allow_only(&["status", "ref"]).map_err(|error| Failure::text(error.to_string()))?;
    let fits = |key: &str, value: &str| {
        !filters.contains(key) || filters.get(key).any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mut records = records(&builder)?;
    records.retain(|record| fits("status", status(record)) && fits("ref", &record.reference));
    LISTING.print(matches.text("format"), records)
}

fn logs(session: &Session, matches: &Matches) -> Outcome {
    let builder = connect::builder(session.client()?)?;
    let record = find(&builder, matches.arg(0))?;
    let mode = match matches.text("progress") {
        "rawjson" => Mode::Records,
        "tty" => Mode::Terminal,
        _ => Mode::Plain,
    };
    let colours = session.environment.get("NO_COLOR").is_none();
    let title = format!("\"default\" instance, build {}", record.reference);
    let mut display = Display::on_stdout(mode, [&title, &record.reference], colours);
    let mut shown = Ok(());
    let until = Cancellation::new();
    let heard = builder.status(&record.reference, &until, &mut |news| {
        if shown.is_ok() {
            shown = display.news(&news);
        }
        if shown.is_err() {
            until.cancel();
        }
    });
    shown?;
    heard.map_err(|status| failure::plain(&status))?;
    display.end(session.debug)
}

fn inspect(session: &Session, matches: &Matches) -> Outcome {
    let builder = connect::builder(session.client()?)?;
    let record = find(&builder, matches.arg(0))?;
    match matches.text("format") {
        "json" => println!("{}", crate::json::compact(&document(&record))),
        _ => print!("{}", long_form(&record)),
    }
    Ok(())
}

fn rm(session: &Session, matches: &Matches) -> Outcome {
    if matches.args.is_empty() != matches.on("all") {
        return Err(Failure::text("give the builds to forget, or --all"));
    }
    let builder = connect::builder(session.client()?)?;
    let names: Vec<String> = if matches.on("all") {
        let ended = records(&builder)?.into_iter().filter(|record| record.completed_at.is_some());
        ended.map(|record| record.reference).collect()
    } else {
        let found = matches.args.iter().map(|name| find(&builder, name).map(|record| record.reference));
        found.collect::<Result<_, _>>()?
    };
    for reference in names {
        let request =
            UpdateBuildHistoryRequest { reference, delete: true, ..UpdateBuildHistoryRequest::default() };
        builder.change_history(&request).map_err(|status| failure::plain(&status))?;
    }
    Ok(())
}

/// What was built, in a few words: the context's last part and the stage.
fn name(record: &BuildHistoryRecord) -> String {
    let attribute = |name: &str| record.frontend_attrs.get(name).map(String::as_str).unwrap_or_default();
    let places = [attribute("context"), attribute("wharf-context"), attribute("filename")];
    let place = places.into_iter().find(|place| !place.is_empty()).unwrap_or_default();
    let short = place.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match attribute("target") {
        "" => short.to_owned(),
        target => format!("{short} ({target})"),
    }
}

fn status(record: &BuildHistoryRecord) -> &'static str {
    match (&record.completed_at, &record.error) {
        (None, _) => "Running",
        (Some(_), None) => "Completed",
        (Some(_), Some(error)) if Code::from_number(error.code) == Code::Cancelled => "Canceled",
        (Some(_), Some(_)) => "Error",
    }
}

fn duration(record: &BuildHistoryRecord) -> String {
    let nanos = |time: &Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let now = i128::from(model::Timestamp::now().nanoseconds());
    let end = record.completed_at.as_ref().map_or(now, nanos);
    let took = record.created_at.as_ref().map_or(0, |start| (end - nanos(start)).max(0));
    let tenths = took / 100_000_000;
    match tenths / 10 {
        seconds if seconds < 60 => format!("{}.{}s", seconds, tenths % 10),
        seconds => format!("{}m {:02}s", seconds / 60, seconds % 60),
    }
}

fn document(record: &BuildHistoryRecord) -> serde_json::Value {
    let time = |time: Option<&Timestamp>| {
        time.map(|time| model::Timestamp::from_unix(time.seconds, time.nanos).to_string())
    };
    serde_json::json!({
        "Ref": record.reference,
        "Name": name(record),
        "Status": status(record),
        "StartedAt": time(record.created_at.as_ref()),
        "CompletedAt": time(record.completed_at.as_ref()),
        "NumCompletedSteps": record.num_completed_steps,
        "NumTotalSteps": record.num_total_steps,
        "NumCachedSteps": record.num_cached_steps,
        "Frontend": record.frontend,
        "FrontendAttrs": record.frontend_attrs,
        "Exporters": record.exporters.iter().map(|exporter| &exporter.r#type).collect::<Vec<_>>(),
        "Result": record.exporter_response,
        "Error": record.error.as_ref().map(|error| error.message.clone()),
    })
}

fn long_form(record: &BuildHistoryRecord) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<16} {value}", format!("{name}:"));
        }
    };
    line("Build", &record.reference);
    line("Name", &name(record));
    line("Status", status(record));
    let started = record.created_at.as_ref().map(|time| human::date(time.seconds));
    line("Started", &started.unwrap_or_default());
    line("Duration", &duration(record));
    let (done, all, cached) = (record.num_completed_steps, record.num_total_steps, record.num_cached_steps);
    line("Steps", &format!("{done} of {all}, {cached} from the cache"));
    for (name, value) in &record.frontend_attrs {
        line("Option", &format!("{name}={value}"));
    }
    for (name, value) in &record.exporter_response {
        line("Result", &format!("{name}={value}"));
    }
    let error = record.error.clone().map(|error| Status::from_message(error).message);
    line("Error", &error.unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_in_a_few_words() {
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let attributes = [("wharf-context", "/home/me/app"), ("target", "test"), ("filename", "Dockerfile")];
        let record = BuildHistoryRecord {
            reference: "abc".into(),
            created_at: at(100, 0),
            completed_at: at(101, 260_000_000),
            frontend_attrs: attributes.map(|(name, value)| (name.into(), value.into())).into(),
            ..BuildHistoryRecord::default()
        };
        assert_eq!((name(&record).as_str(), status(&record)), ("app (test)", "Completed"));
        assert_eq!(duration(&record), "1.2s");
        let error = |code: Code| Some(Status::new(code, "x").to_message());
        assert_eq!(status(&BuildHistoryRecord { error: error(Code::Unknown), ..record.clone() }), "Error");
        assert_eq!(
            status(&BuildHistoryRecord { error: error(Code::Cancelled), ..record.clone() }),
            "Canceled"
        );
        let long = BuildHistoryRecord { completed_at: at(300, 0), ..record };
        assert_eq!(duration(&long), "3m 20s");
    }
}
