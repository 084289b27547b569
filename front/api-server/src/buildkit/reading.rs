//! Looking into results before anybody wants them: files, folders, what they are.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use buildkit::fsutil::Stat;
use buildkit::session::tree;
use engine::Engine;
use grpc::{Code, Status};

use super::failure;

/// Bytes of a file, at most so many from a place on.
pub(super) fn file(engine: &Engine, id: &str, path: &str, from: u64, length: u64) -> Result<Vec<u8>, Status> {
    let root = engine.builds().files(id).map_err(|error| failure::plain(&error))?;
    let failed = |error: std::io::Error| wrong("open", path, &error);
    let opened = root.open_regular(inside(path)).map_err(|error| failed(error.into()))?;
    let mut file = File::from(opened);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What is in a folder, by name.
pub(super) fn folder(engine: &Engine, id: &str, path: &str) -> Result<Vec<Stat>, Status> {
    let root = engine.builds().files(id).map_err(|error| failure::plain(&error))?;
    tree::list(&root, inside(path)).map_err(|error| wrong("open", path, &error.into()))
}

/// What a file is; a link is followed.
pub(super) fn stat(engine: &Engine, id: &str, path: &str) -> Result<Stat, Status> {
    let root = engine.builds().files(id).map_err(|error| failure::plain(&error))?;
    tree::look(&root, inside(path)).map_err(|error| wrong("lstat", path, &error.into()))
}

/// A path of a result; all of them begin at its root.
fn inside(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    if path.is_empty() { "." } else { path }
}

fn wrong(what: &str, path: &str, error: &std::io::Error) -> Status {
    let text = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    };
    let code = if error.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Unknown };
    Status::new(code, format!("{what} {path}: {text}"))
}
