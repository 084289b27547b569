//! `top`: the container's processes as the host's `ps` would show them.

use ::container::top;

use super::create_record::settings_of;
use super::lookup;
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn top(inner: &Inner, reference: &str, arguments: &str) -> Result<api::container::Top> {
    let container = inner.find(reference)?;
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_signal(record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let path = lookup::cgroups_path(inner, &settings_of(&record)?, record.id.as_str());
    let group = inner.hierarchies.open(&path).map_err(Error::from_kinded)?;
    let pids = group.pids().map_err(Error::from_kinded)?;
    let list = top::list(&pids, arguments).map_err(Error::from_kinded)?;
    super::events::container(inner, &record, "top", &[]);
    Ok(api::container::Top { processes: list.processes, titles: list.titles })
}
