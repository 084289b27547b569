//! `update`: other limits for a container.

use std::io::Read as _;

use oci::runtime::Resources;

use crate::Context;
use crate::arguments::{Flag, Parsed, parse};
use crate::failure::{Failure, Result};

const FLAGS: [Flag; 16] = [
    Flag::short_value("resources", 'r'),
    Flag::value("blkio-weight"),
    Flag::value("cpu-period"),
    Flag::value("cpu-quota"),
    Flag::value("cpu-burst"),
    Flag::value("cpu-share"),
    Flag::value("cpu-rt-period"),
    Flag::value("cpu-rt-runtime"),
    Flag::value("cpuset-cpus"),
    Flag::value("cpuset-mems"),
    Flag::value("memory"),
    Flag::value("memory-reservation"),
    Flag::value("memory-swap"),
    Flag::value("pids-limit"),
    Flag::value("cpu-idle"),
    Flag::value("l3-cache-schema"),
];

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &FLAGS, false)?;
    let container = context.store.load(parsed.id("update")?)?;
    let resources = match parsed.get("resources") {
        Some(path) => read(path)?,
        None => from_flags(&parsed)?,
    };
    container.update(&resources)?;
    Ok(0)
}

fn read(path: &str) -> Result<Resources> {
    let mut text = String::new();
    match path {
        "-" => std::io::stdin().take(1 << 20).read_to_string(&mut text)?,
        path => std::fs::File::open(path)?.take(1 << 20).read_to_string(&mut text)?,
    };
    serde_json::from_str(&text).map_err(|error| Failure::new(error.to_string()))
}

fn from_flags(parsed: &Parsed) -> Result<Resources> {
    let mut resources = Resources::default();
    let cpu = resources.cpu.get_or_insert_default();
    cpu.period = parsed.number("cpu-period")?;
    cpu.quota = parsed.number("cpu-quota")?;
    cpu.burst = parsed.number("cpu-burst")?;
    cpu.shares = parsed.number("cpu-share")?;
    cpu.realtime_period = parsed.number("cpu-rt-period")?;
    cpu.realtime_runtime = parsed.number("cpu-rt-runtime")?;
    cpu.idle = parsed.number("cpu-idle")?;
    cpu.cpus = parsed.get("cpuset-cpus").unwrap_or_default().to_owned();
    cpu.mems = parsed.get("cpuset-mems").unwrap_or_default().to_owned();
    let memory = resources.memory.get_or_insert_default();
    memory.limit = bytes(parsed, "memory")?;
    memory.reservation = bytes(parsed, "memory-reservation")?;
    memory.swap = bytes(parsed, "memory-swap")?;
    if let Some(limit) = parsed.number("pids-limit")? {
        resources.pids.get_or_insert_default().limit = limit;
    }
    if let Some(weight) = parsed.number("blkio-weight")? {
        resources.block_io.get_or_insert_default().weight = Some(weight);
    }
    Ok(resources)
}

/// A number of bytes, with a unit as people write them.
fn bytes(parsed: &Parsed, name: &str) -> Result<Option<i64>> {
    let Some(text) = parsed.get(name) else { return Ok(None) };
    let invalid = || Failure::new(format!("invalid value for {name}: {text:?}"));
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches('b').trim_end_matches('i');
    let shift = match digits.as_bytes().last() {
        Some(b'k') => 10,
        Some(b'm') => 20,
        Some(b'g') => 30,
        Some(b't') => 40,
        _ => 0,
    };
    let number: i64 = digits.trim_end_matches(['k', 'm', 'g', 't']).parse().map_err(|_| invalid())?;
    number.checked_mul(1 << shift).map(Some).ok_or_else(invalid)
}
