//! Why a build failed, in BuildKit's words and with the lines at fault.

use builder::dockerfile::Lines;
use buildkit::errdefs;
use buildkit::ops::{Position, Range, SourceInfo};
use engine::build::BuildError;
use grpc::{Code, Status};
use model::{ErrorKind, Kinded as _};

use super::steps::Steps;

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
        BuildError::Base { step, error } => {
            let name = step.text.split_whitespace().nth(1).unwrap_or_default();
            let text = format!("{name}: failed to resolve source metadata: {}", error.message());
            let status = Status::new(Code::Unknown, text);
            match lines_of(&step.text, file) {
                Some(lines) => status.with_detail(errdefs::source(file, &[range(lines)])),
                None => status,
            }
        }
        BuildError::Engine(error) | BuildError::Step { error, .. } | BuildError::Refused { error, .. } => {
            plain(error)
        }
        BuildError::Exit { command, code, .. } => exit(command, *code),
    }
}

/// A failed build.
pub(super) fn status(error: &BuildError, steps: &Steps<'_>, file: &SourceInfo) -> Status {
    match error {
        BuildError::Exit { vertex, .. }
        | BuildError::Step { vertex, .. }
        | BuildError::Refused { vertex, .. } => at_step(plan(error, file), *vertex, steps, file),
        error => {
            let status = plan(error, file);
            if let BuildError::Base { step, .. } = error {
                steps.base_failed(&step.text, &status.message);
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

/// Where a line of the file stands.
fn lines_of(text: &str, file: &SourceInfo) -> Option<Lines> {
    let data = std::str::from_utf8(&file.data).ok()?;
    let place = data.lines().position(|line| line.trim() == text.trim())?;
    Some(Lines { first: place + 1, last: place + 1 })
}

/// Lines as a place in a file.
pub(super) fn range(lines: Lines) -> Range {
    let at = |line: usize| Some(Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 });
    Range { start: at(lines.first), end: at(lines.last) }
}
