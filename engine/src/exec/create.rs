//! `POST /containers/{id}/exec`.

use ::container::{ExecRecord, ExecState};
use api::exec::{CreateRequest, IdResponse};
use model::ExecId;

use crate::container::{attach, events};
use crate::engine::Inner;
use crate::{Error, Result};

pub(super) fn create(inner: &Inner, reference: &str, request: CreateRequest) -> Result<IdResponse> {
    let command = request.cmd.clone().unwrap_or_default();
    if command.is_empty() {
        return Err(Error::invalid("No exec command specified"));
    }
    let container = inner.find(reference)?;
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_exec(record.id.as_str(), reference) {
        return Err(Error::from_kinded(refusal));
    }
    attach::detach_keys(Some(&request.detach_keys))?;
    let document =
        serde_json::to_value(&request).map_err(|error| Error::caused("reading the exec request", error))?;
    let id = ExecId::generate();
    let words = command.join(" ");
    let exec = ExecRecord {
        id: id.clone(),
        container: record.id.clone(),
        command,
        tty: request.tty,
        attach_stdin: request.attach_stdin,
        attach_stdout: request.attach_stdout,
        attach_stderr: request.attach_stderr,
        privileged: request.privileged,
        user: request.user,
        working_dir: request.working_dir,
        env: request.env.unwrap_or_default(),
        detach_keys: request.detach_keys,
        console_size: request.console_size.and_then(|[height, width]| size(height, width)),
        document,
        state: ExecState::Created,
    };
    inner.execs.insert(exec).map_err(Error::from_kinded)?;
    events::container(inner, &record, &format!("exec_create: {words}"), &[("execID", id.to_string())]);
    Ok(IdResponse { id: id.to_string() })
}

/// Rows and columns, when they are both given and possible.
pub(super) fn size(height: u32, width: u32) -> Option<(u16, u16)> {
    let height = u16::try_from(height).ok().filter(|height| *height > 0)?;
    let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
    Some((height, width))
}
