//! `stats`: what containers use, live.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use api_client::query::path_escape;
use api_client::record::Records;
use api_client::{Client, Query};
use serde_json::Value as Json;

use crate::command::Kind::Switch;
use crate::command::{Arity, Command, FORMAT, Flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Show stopped containers too"),
    FORMAT,
    long("no-stream", Switch, "Show once and end"),
    long("no-trunc", Switch, "Show everything in full"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display a live stream of container(s) resource usage statistics",
    usage: &["[OPTIONS] [CONTAINER...]"],
    spellings: &["container stats", "stats"],
    flags: &[FLAGS],
    arity: Arity::Any,
    interspersed: true,
    examples: &["stats --no-stream", "stats web db"],
    run,
};

#[derive(Clone, Default)]
struct Usage {
    container: String,
    id: String,
    name: String,
    cpu: f64,
    memory: f64,
    memory_limit: f64,
    memory_percent: f64,
    received: f64,
    sent: f64,
    read: f64,
    written: f64,
    pids: i64,
    known: bool,
    whole: bool,
}

fn percent(known: bool, value: f64) -> String {
    if known { format!("{value:.2}%") } else { "--".to_owned() }
}

const COLUMNS: &[Column<Usage>] = &[
    column("Container", "CONTAINER", |usage| usage.container.as_str().into()),
    column("ID", "CONTAINER ID", |usage| {
        if usage.whole { usage.id.as_str() } else { human::short_id(&usage.id) }.into()
    }),
    column("Name", "NAME", |usage| {
        let name = usage.name.trim_start_matches('/');
        if name.is_empty() { "--" } else { name }.into()
    }),
    column("CPUPerc", "CPU %", |usage| percent(usage.known, usage.cpu).into()),
    column("MemUsage", "MEM USAGE / LIMIT", |usage| {
        if usage.known {
            format!("{} / {}", human::binary_size(usage.memory), human::binary_size(usage.memory_limit))
                .into()
        } else {
            "-- / --".into()
        }
    }),
    column("MemPerc", "MEM %", |usage| percent(usage.known, usage.memory_percent).into()),
    column("NetIO", "NET I/O", |usage| {
        if usage.known {
            format!("{} / {}", human::size3(usage.received), human::size3(usage.sent)).into()
        } else {
            "--".into()
        }
    }),
    column("BlockIO", "BLOCK I/O", |usage| {
        if usage.known {
            format!("{} / {}", human::size3(usage.read), human::size3(usage.written)).into()
        } else {
            "--".into()
        }
    }),
    column("PIDs", "PIDS", |usage| if usage.known { usage.pids.to_string().into() } else { "--".into() }),
];

static LISTING: Listing<Usage> = Listing {
    type_name: "*container.statsContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let format = match matches.text("format") {
        "" => session.config().text("statsFormat"),
        given => given,
    };
    let names =
        if matches.args.is_empty() { running(client, matches.on("all"))? } else { matches.args.clone() };
    let whole = matches.on("no-trunc");
    if matches.on("no-stream") {
        let rows = once(client, &names, whole)?;
        return LISTING.print(format, rows);
    }
    stream(client, names, format, whole, matches.args.is_empty())
}

fn running(client: &Client, all: bool) -> Result<Vec<String>, Failure> {
    let list: Vec<Json> = client.get("/containers/json", &Query::new().flag("all", all))?;
    Ok(list
        .iter()
        .filter_map(|item| item.get("Id")?.as_str())
        .map(|id| id.get(..12).unwrap_or(id).to_owned())
        .collect())
}

/// One sample of each, asked for at the same time: the engine takes a second for each.
fn once(client: &Arc<Client>, names: &[String], whole: bool) -> Result<Vec<Usage>, Failure> {
    let query = Query::new().set("stream", "0");
    let answers: Vec<Result<Json, Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| {
                let path = format!("/containers/{}/stats", path_escape(name));
                let query = &query;
                scope.spawn(move || client.get::<Json>(&path, query).map_err(Failure::from))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::text("a thread ended early"))))
            .collect()
    });
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(sample) => rows.push(Usage { whole, ..read(name, &sample) }),
            Err(failure) => faults.push(failure.message()),
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(Failure::text(faults.join("\n"))) }
}

fn stream(client: &Arc<Client>, names: Vec<String>, format: &str, whole: bool, follow: bool) -> Outcome {
    let table: Arc<Mutex<BTreeMap<String, Usage>>> = Arc::default();
    let watch = |name: String| {
        let (client, table) = (Arc::clone(client), Arc::clone(&table));
        std::thread::spawn(move || {
            let path = format!("/containers/{}/stats", path_escape(&name));
            if let Ok(answer) = client.stream(&path, &Query::new().set("stream", "1")) {
                for sample in Records::<_, Json>::new(answer.body).map_while(Result::ok) {
                    let usage = Usage { whole, ..read(&name, &sample) };
                    table.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), usage);
                }
            }
            table.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        });
    };
    let mut known: Vec<String> = Vec::new();
    for name in names {
        let fresh = Usage { container: name.clone(), id: name.clone(), whole, ..Usage::default() };
        table.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), fresh);
        watch(name.clone());
        known.push(name);
    }
    let on_terminal = terminal::is_terminal(std::io::stdout());
    loop {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let rows: Vec<Usage> = {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().filter_map(|name| table.get(name).cloned()).collect()
        };
        if rows.is_empty() && !follow {
            return Ok(());
        }
        let text = LISTING.render(format, rows)?;
        let mut out = std::io::stdout().lock();
        if on_terminal {
            out.write_all(b"\x1b[H")?;
            for line in text.lines() {
                writeln!(out, "{line}\x1b[K")?;
            }
            out.write_all(b"\x1b[J")?;
        } else {
            out.write_all(text.as_bytes())?;
        }
        out.flush()?;
        drop(out);
        if follow {
            for name in running(client, false)? {
                if !known.contains(&name) {
                    watch(name.clone());
                    known.push(name);
                }
            }
        }
    }
}

/// The figures of one sample.
fn read(container: &str, sample: &Json) -> Usage {
    let number = |pointer: &str| sample.pointer(pointer).and_then(Json::as_f64).unwrap_or(0.0);
    let text = |name: &str| sample.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let used = number("/memory_stats/usage");
    // Cached file pages that nobody uses are no memory in use: named so on cgroup v1, otherwise on v2.
    let cached = match sample.pointer("/memory_stats/stats/total_inactive_file").and_then(Json::as_f64) {
        Some(cached) => cached,
        None => number("/memory_stats/stats/inactive_file"),
    };
    let memory = if cached < used { used - cached } else { used };
    let memory_limit = number("/memory_stats/limit");
    let (mut received, mut sent) = (0.0, 0.0);
    for network in sample.get("networks").and_then(Json::as_object).into_iter().flat_map(|map| map.values()) {
        let bytes = |name: &str| network.get(name).and_then(Json::as_f64).unwrap_or(0.0);
        received += bytes("rx_bytes");
        sent += bytes("tx_bytes");
    }
    let (mut read, mut written) = (0.0, 0.0);
    let blocks = sample.pointer("/blkio_stats/io_service_bytes_recursive").and_then(Json::as_array);
    for entry in blocks.into_iter().flatten() {
        let value = entry.get("value").and_then(Json::as_f64).unwrap_or(0.0);
        match entry.get("op").and_then(Json::as_str).unwrap_or_default().chars().next() {
            Some('r' | 'R') => read += value,
            Some('w' | 'W') => written += value,
            _ => {}
        }
    }
    Usage {
        container: container.to_owned(),
        id: text("id"),
        name: text("name"),
        cpu: cpu_percent(sample),
        memory,
        memory_limit,
        memory_percent: if memory_limit > 0.0 { memory / memory_limit * 100.0 } else { 0.0 },
        received,
        sent,
        read,
        written,
        pids: number("/pids_stats/current") as i64,
        known: true,
        whole: false,
    }
}

fn cpu_percent(sample: &Json) -> f64 {
    let number = |pointer: &str| sample.pointer(pointer).and_then(Json::as_f64).unwrap_or(0.0);
    let used = number("/cpu_stats/cpu_usage/total_usage") - number("/precpu_stats/cpu_usage/total_usage");
    let passed = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
    let mut processors = number("/cpu_stats/online_cpus");
    if processors == 0.0 {
        let list = sample.pointer("/cpu_stats/cpu_usage/percpu_usage").and_then(Json::as_array);
        processors = list.map_or(0.0, |list| list.len() as f64);
    }
    if used > 0.0 && passed > 0.0 { used / passed * processors * 100.0 } else { 0.0 }
}
