//! `kill`: sends a signal.

use model::Signal;

use crate::Context;
use crate::arguments::{Flag, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[Flag::short_switch("all", 'a')], false)?;
    let (id, signal) = match parsed.rest.as_slice() {
        [id] => (id, "TERM"),
        [id, signal] => (id, signal.as_str()),
        _ => return Err(Failure::new("wharf-runtime: \"kill\" requires a minimum of 1 argument(s)")),
    };
    let number = number(signal).ok_or_else(|| Failure::new(format!("unknown signal {signal:?}")))?;
    context.store.load(id)?.kill(number, parsed.has("all"))?;
    Ok(0)
}

/// 0 only asks whether the process is there.
fn number(text: &str) -> Option<i32> {
    if text == "0" { Some(0) } else { text.parse::<Signal>().ok().map(Signal::number) }
}
