//! `kill`: one signal, or the end.

use std::sync::Arc;

use model::Signal;

use super::stop;
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn kill(inner: &Arc<Inner>, reference: &str, signal: Option<&str>) -> Result<()> {
    let failed = |error: Error| error.prefixed(&format!("cannot kill container: {reference}"));
    let container = inner.find(reference).map_err(failed)?;
    let record = container.record();
    let signal = match signal.filter(|text| !text.is_empty()) {
        None => Signal::KILL,
        Some(text) => parse(text).map_err(failed)?,
    };
    if let Some(refusal) = record.lifecycle.refuse_signal(record.id.as_str()) {
        if record.lifecycle.state == ::container::State::Restarting {
            stop::mark_stopped(&container)?;
            return stop::call_off_restart(inner, &container).map(|_| ());
        }
        return Err(failed(Error::from_kinded(refusal)));
    }
    stop::mark_stopped(&container)?;
    if signal == Signal::KILL {
        return stop::kill_held(inner, &container).map_err(failed);
    }
    stop::send(inner, &container, signal).map_err(failed)
}

fn parse(text: &str) -> Result<Signal> {
    match text.parse::<i32>() {
        Ok(number) if number != 0 && Signal::from_number(number).is_none() => {
            Err(Error::invalid(format!("the linux daemon does not support signal {number}")))
        }
        _ => text.parse().map_err(Error::from_kinded),
    }
}
