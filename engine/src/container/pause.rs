//! `pause` and `unpause`.

use ::container::Transition;

use super::events;
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn pause(inner: &Inner, reference: &str) -> Result<()> {
    let container = inner.find(reference)?;
    let _operation = container.operate();
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_pause(record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let paused = inner.supervisor.pause(container.id());
    paused.map_err(|error| {
        Error::from_kinded(error).prefixed(&format!("cannot pause container {}", record.id))
    })?;
    container.step(Transition::Paused).map_err(Error::from_kinded)?;
    events::container(inner, &record, "pause", &[]);
    Ok(())
}

pub(crate) fn unpause(inner: &Inner, reference: &str) -> Result<()> {
    let container = inner.find(reference)?;
    let _operation = container.operate();
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_resume(record.id.as_str()) {
        return Err(Error::internal(refusal.to_string()));
    }
    let resumed = inner.supervisor.resume(container.id());
    resumed.map_err(|error| {
        Error::from_kinded(error).prefixed(&format!("cannot resume container {}", record.id))
    })?;
    container.step(Transition::Resumed).map_err(Error::from_kinded)?;
    events::container(inner, &record, "unpause", &[]);
    Ok(())
}
