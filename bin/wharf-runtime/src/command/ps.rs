//! `ps`: the processes of a container, as the host sees them.

use crate::Context;
use crate::arguments::{Flag, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[Flag::short_value("format", 'f')], false)?;
    let id = parsed
        .rest
        .first()
        .ok_or_else(|| Failure::new("wharf-runtime: \"ps\" requires a minimum of 1 argument(s)"))?;
    let cgroup = context.store.load(id)?.cgroup().ok_or_else(|| Failure::new("container not running"))?;
    let pids = cgroup.pids().map_err(|error| Failure::new(model::error::chain(&error)))?;
    match parsed.get("format").unwrap_or("table") {
        "json" => {
            println!("{}", serde_json::to_string(&pids).map_err(|error| Failure::new(error.to_string()))?)
        }
        "table" => {
            println!("PID        CMD");
            pids.iter().for_each(|pid| println!("{pid:<10} {}", command(*pid)));
        }
        _ => return Err(Failure::new("invalid format option")),
    }
    Ok(0)
}

fn command(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}
