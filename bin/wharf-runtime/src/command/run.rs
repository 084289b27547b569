//! `run`: makes a container, runs its command, and without `--detach` waits for it and removes it.

use super::create::{FLAGS, make};
use super::foreground;
use crate::Context;
use crate::arguments::{Parsed, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &FLAGS, false)?;
    let id = parsed.id("run")?;
    run_one(context, &parsed, id).map_err(|error| Failure::of("run", error))
}

fn run_one(context: &Context, parsed: &Parsed, id: &str) -> Result<i32> {
    let detached = parsed.has("detach");
    if !detached && !parsed.has("no-subreaper") {
        linux::process::become_subreaper()?;
    }
    let signals = if detached { None } else { Some(foreground::signals()?) };
    let (created, container) = make(context, parsed, id)?;
    if let Err(error) = container.start() {
        let _ = container.remove(true);
        return Err(error.into());
    }
    let Some(signals) = signals else { return Ok(0) };
    let terminal = if parsed.get("console-socket").is_some() { None } else { created.pty_master };
    let code = foreground::wait(&signals, &created.pidfd, created.pid, terminal)?;
    if !parsed.has("keep") {
        container.remove(true)?;
    }
    Ok(code)
}
