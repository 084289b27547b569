//! Into a container.

use std::ffi::OsString;
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api_client::{Body, Client, Query};
use archive::{TreeOptions, write_path, write_tree};

use super::place::{Place, absolute, archive_path, ends_in_dot, follow, land, look, split};
use super::{Wish, told};
use crate::failure::{Failure, Outcome, go_io_error};

pub(super) fn copy(client: &Client, source: &str, container: &str, target: &str, wish: &Wish) -> Outcome {
    let mut to = Place { path: target.to_owned(), ..Place::default() };
    let mut found = look(client, container, target);
    if let Ok(link) = &found
        && link.is_link()
    {
        to.path = follow(target, &link.link_target);
        found = look(client, container, &to.path);
    }
    if let Ok(found) = &found {
        if !found.is_target() {
            return Err(Failure::text(format!(
                "destination {} must be a directory or a regular file",
                crate::value::quoted(&format!("{container}:{target}"))
            )));
        }
        to.exists = true;
        to.is_dir = found.is_dir();
    }
    let bytes = Arc::new(AtomicU64::new(0));
    let (directory, body): (String, Box<dyn Read + Send>) = if source == "-" {
        if !to.is_dir {
            let place = crate::value::quoted(&format!("{container}:{target}"));
            return Err(Failure::text(format!("destination {place} must be a directory")));
        }
        (to.path.clone(), Box::new(std::io::stdin()))
    } else {
        let from = LocalSource::find(&absolute(source), wish.follow)?;
        let landing = land(&from.place, &to)?;
        (landing.directory, Box::new(from.archive(landing.name, Arc::clone(&bytes))?))
    };
    let mut query = Query::new().set("path", directory).set("noOverwriteDirNonDir", "true");
    if wish.archive {
        query = query.set("copyUIDGID", "true");
    }
    let headers = [("Content-Type", "application/x-tar")];
    let mut answer = client.send("PUT", &archive_path(container), &query, &headers, Body::Stream(body))?;
    std::io::copy(&mut answer.body, &mut std::io::sink())?;
    if !wish.quiet {
        told(bytes.load(Ordering::SeqCst), &format!("{container}:{}", to.path));
    }
    Ok(())
}

/// Where the links of a path lead that leads nowhere.
fn missing(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&place) else { break };
        place = place.parent().unwrap_or(Path::new("/")).join(target);
    }
    place
}

/// A file or folder of this machine.
struct LocalSource {
    place: Place,
    /// The name it has in the archive when nothing else is said.
    name: String,
}

impl LocalSource {
    fn find(path: &str, follows: bool) -> Result<Self, Failure> {
        let lost = |error: std::io::Error| {
            Failure::text(format!("lstat {}: {}", model::path::clean(path), go_io_error(&error)))
        };
        let bare = path.trim_end_matches('/');
        let bare = if bare.is_empty() { "/" } else { bare };
        let mut name = split(path).1;
        let mut real = PathBuf::from(bare);
        if follows {
            real = std::fs::canonicalize(bare).map_err(|error| {
                let end = missing(Path::new(bare));
                Failure::text(format!("lstat {}: {}", end.display(), go_io_error(&error)))
            })?;
        }
        let data = std::fs::symlink_metadata(&real).map_err(lost)?;
        if path.ends_with('/') && !data.is_dir() && !data.is_symlink() {
            return Err(Failure::text("not a directory"));
        }
        let is_dir = data.is_dir() || (data.is_symlink() && (path.ends_with('/') || ends_in_dot(path)));
        if path.ends_with('/') && data.is_symlink() {
            real = std::fs::canonicalize(bare).map_err(lost)?;
        }
        if name.is_empty() {
            ".".clone_into(&mut name);
        }
        let place = Place { path: real.display().to_string(), exists: true, is_dir };
        Ok(Self { place, name })
    }

    /// A thread writes the archive while the request sends it.
    fn archive(self, name: Option<String>, bytes: Arc<AtomicU64>) -> Result<Piped, Failure> {
        let (reader, writer) = std::io::pipe()?;
        let fault = Arc::new(Mutex::new(None));
        let told = Arc::clone(&fault);
        std::thread::spawn(move || {
            let mut out = Counting { out: std::io::BufWriter::with_capacity(64 * 1024, writer), bytes };
            let result =
                self.write(name, &mut out).and_then(|()| out.flush().map_err(|error| error.to_string()));
            if let Err(text) = result {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
        });
        Ok(Piped { reader, fault })
    }

    fn write(&self, name: Option<String>, out: &mut dyn Write) -> Result<(), String> {
        let path = Path::new(&self.place.path);
        let options = TreeOptions::named(OsString::from(name.unwrap_or_else(|| self.name.clone())));
        let failed = |error: &std::io::Error| format!("open {}: {}", self.place.path, go_io_error(error));
        if self.name == "." || path.file_name().is_none() {
            let folder = std::fs::File::open(path).map_err(|error| failed(&error))?;
            return write_tree(folder.as_fd(), &options, out).map_err(|error| model::error::chain(&error));
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        let folder = std::fs::File::open(parent).map_err(|error| failed(&error))?;
        let base = path.file_name().unwrap_or_default();
        write_path(folder.as_fd(), base, &options, out).map_err(|error| model::error::chain(&error))
    }
}

/// The archive as it is written; a failure of the writer is one of reading.
struct Piped {
    reader: PipeReader,
    fault: Arc<Mutex<Option<String>>>,
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match (count, self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            (0, Some(text)) => Err(std::io::Error::other(text)),
            _ => Ok(count),
        }
    }
}

struct Counting<W> {
    out: W,
    bytes: Arc<AtomicU64>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
