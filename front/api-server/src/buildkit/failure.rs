//! Why a build failed, in BuildKit's words and with the lines at fault.

use builder::dockerfile::Lines;
use buildkit::errdefs;
use buildkit::ops::{Position, Range, SourceInfo};
use engine::build::{BuildError, FailedStep};
use grpc::{Code, Status};
use model::{ErrorKind, Kinded as _};

use super::steps::{Steps, whole_name};

/// A failure without a place. Clients put all other codes before the text.
pub(super) fn plain(error: &engine::Error) -> Status {
    let code = if error.kind() == ErrorKind::Cancelled { Code::Cancelled } else { Code::Unknown };
    Status::new(code, error.message())
}

/// Why there is no plan, or whatever else failed outside of a step.
pub(super) fn plan(error: &BuildError, file: &SourceInfo) -> Status {
    match error {
        BuildError::Cancelled => Status::new(Code::Cancelled, "context canceled"),
        BuildError::File(error) => dockerfile(error, file),
        BuildError::Base { step, error } => Status::new(Code::Unknown, no_base(step, error.message()))
            .with_detail(errdefs::source(file, &[range(step.lines)])),
        BuildError::Engine(error) | BuildError::Step { error, .. } | BuildError::Refused { error, .. } => {
            plain(error)
        }
        BuildError::Exit { command, code, .. } => exit(command, *code),
    }
}

/// A failed build.
pub(super) fn status(error: &BuildError, steps: &Steps<'_>, file: &SourceInfo) -> Status {
    match error {
        BuildError::Step { vertex, error } if steps.command(*vertex).is_some() => {
            at_step(not_begun(error, *vertex, steps), *vertex, steps, file)
        }
        // A source elsewhere that does not answer.
        BuildError::Step { vertex, error } if error.message().starts_with("Get \"") => {
            let text = format!("failed to load cache key: {}", error.message());
            steps.failed(*vertex, &text);
            Status::new(Code::Unknown, text).with_detail(errdefs::vertex(&steps.digest(*vertex)))
        }
        BuildError::Exit { vertex, .. }
        | BuildError::Step { vertex, .. }
        | BuildError::Refused { vertex, .. } => at_step(plan(error, file), *vertex, steps, file),
        error => {
            let status = plan(error, file);
            if let BuildError::Base { step, .. } = error {
                steps.base_failed(&step.image, &status.message);
            }
            status
        }
    }
}

fn exit(command: &[String], code: i32) -> Status {
    let command = command.join(" ");
    let text = format!("process {command:?} did not complete successfully: exit code: {code}");
    Status::new(Code::Unknown, text)
}

/// A command that could not even begin: what the runtime says is told as the command's own output.
fn not_begun(error: &engine::Error, vertex: builder::VertexId, steps: &Steps<'_>) -> Status {
    const BEFORE: &str = "unable to start container process: ";
    let command = steps.command(vertex).unwrap_or_default();
    let message = error.message();
    if let Some((_, why)) = message.split_once(BEFORE) {
        steps.complain(vertex, &format!("runc run failed: {BEFORE}{}", why.trim_end_matches(": unknown")));
        return exit(&command, 1);
    }
    if message.starts_with("unable to find ") {
        let command = command.join(" ");
        let text = format!("process {command:?} did not complete successfully: {message}");
        return Status::new(Code::Unknown, text);
    }
    plain(error)
}

/// A Dockerfile that is none.
pub(super) fn dockerfile(error: &builder::DockerfileError, file: &SourceInfo) -> Status {
    let status = Status::new(Code::Unknown, error.to_string());
    match error.lines {
        Some(lines) => status.with_detail(errdefs::source(file, &[range(lines)])),
        None => status,
    }
}

fn at_step(status: Status, vertex: builder::VertexId, steps: &Steps<'_>, file: &SourceInfo) -> Status {
    steps.failed(vertex, &status.message);
    let status = status.with_detail(errdefs::vertex(&steps.digest(vertex)));
    match steps.lines(vertex) {
        Some(lines) if !file.data.is_empty() => status.with_detail(errdefs::source(file, &[range(lines)])),
        _ => status,
    }
}

/// Why an image is not to be had.
fn no_base(step: &FailedStep, message: &str) -> String {
    let image = whole_name(&step.image);
    // The registry did not answer at all.
    let request = if message.starts_with("Get \"") { "failed to do request: " } else { "" };
    let text = format!("failed to resolve source metadata for {image}: {request}{message}");
    // What the image is called in the file, unless that is a named context.
    match step.text.split_whitespace().any(|word| word == step.image) {
        true => format!("{}: {text}", step.image),
        false => text,
    }
}

/// Lines as a place in a file.
pub(super) fn range(lines: Lines) -> Range {
    let at = |line: usize| Some(Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 });
    Range { start: at(lines.first), end: at(lines.last) }
}
