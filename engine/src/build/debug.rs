//! A shell in the state that a failing command left, for whoever asked for one.

use ::container::WaitCondition;
use api::container::CreateRequest;
use builder::operation::Exec;
use builder::{State, VertexId};

use super::BuildError;
use super::job::Job;
use super::run::{Step, create_container};

/// How long a shell is waited for between two looks whether its client is still there.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Lets the client look around in what a failing command left: a shell with all the command had, which the client
/// starts. Comes back when that has ended, or the client is gone.
pub(super) fn debug(
    job: &Job<'_>,
    vertex: VertexId,
    exec: &Exec,
    root: &State,
    failed: &Step<'_>,
    mut request: CreateRequest,
) -> std::result::Result<(), BuildError> {
    let layer = job.layer_of(&failed.id, root, false)?;
    let state: State = root.iter().cloned().chain(layer).collect::<Vec<_>>().into();
    let shell = match exec.arguments.as_slice() {
        [shell, flag, ..] if flag == "-c" => shell.clone(),
        _ => "/bin/sh".to_owned(),
    };
    request.config.cmd = Some(vec![shell]);
    (request.config.tty, request.config.open_stdin, request.config.stdin_once) = (true, true, true);
    let image = job.image(&state)?;
    let step = Step { job, id: create_container(job, request, image)? };
    let waiter = job.inner.find(step.id.as_str())?.wait(WaitCondition::NextExit);
    if let Some(error) = job.began(&step.id) {
        return Err(error);
    }
    job.observer.shell(vertex, step.id.as_str());
    // A shell that nobody starts ends with the build.
    while waiter.wait_timeout(PATIENCE).is_none() {
        if let Some(error) = job.stopped() {
            return Err(error);
        }
    }
    Ok(())
}
