//! Moving full log files aside: `log` becomes `log.1`, `log.1` becomes `log.2`, the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

/// The files of one log and how many of them are kept.
#[derive(Debug)]
pub(crate) struct Rotation {
    path: PathBuf,
    files: u32,
    compress: bool,
    compressing: Option<JoinHandle<()>>,
}

impl Rotation {
    pub(crate) fn new(path: &Path, files: u32, compress: bool) -> Self {
        Self { path: path.to_owned(), files: files.max(1), compress, compressing: None }
    }

    /// Makes place: afterwards there is no file at the log's own path. Goes on after a failure, so that a file that
    /// cannot be renamed is at worst overwritten; it must not grow for ever.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.finish();
        if self.files < 2 {
            return absent_is_fine(fs::remove_file(&self.path));
        }
        let mut result = Ok(());
        let oldest = self.files - 1;
        for name in [numbered(&self.path, oldest), zipped(&self.path, oldest)] {
            result = result.and(absent_is_fine(fs::remove_file(name)));
        }
        for number in (1..oldest).rev() {
            let names = [
                (numbered(&self.path, number), numbered(&self.path, number + 1)),
                (zipped(&self.path, number), zipped(&self.path, number + 1)),
            ];
            for (from, to) in names {
                result = result.and(absent_is_fine(fs::rename(from, to)));
            }
        }
        let first = numbered(&self.path, 1);
        let moved = fs::rename(&self.path, &first);
        if moved.is_err() {
            let _ = fs::remove_file(&self.path);
        }
        if self.compress && moved.is_ok() {
            self.compress(first);
        }
        result.and(moved)
    }

    /// Waits for a running compression.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.compressing.take() {
            let _ = thread.join();
        }
    }

    /// Compresses aside of the writer. When that fails the plain file stays, which readers take as well.
    fn compress(&mut self, from: PathBuf) {
        let to = zipped(&self.path, 1);
        let work = move || {
            let part = to.with_extension("gz.part");
            if compress_file(&from, &part).and_then(|()| fs::rename(&part, &to)).is_ok() {
                let _ = fs::remove_file(&from);
            } else {
                let _ = fs::remove_file(&part);
            }
        };
        let builder = std::thread::Builder::new().name("log-compress".into()).stack_size(256 * 1024);
        self.compressing = builder.spawn(work).ok();
    }
}

/// What tells a file of a log from all others, also once it is compressed: its inode alone may be another one's later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    inode: u64,
    size: u64,
    /// The time of the last write: seconds since 1970, and nanoseconds.
    modified: (i64, i64),
}

impl Identity {
    /// Of a file as it is now; it changes until the file is turned.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { inode: found.ino(), size: found.size(), modified: (found.mtime(), found.mtime_nsec()) })
    }
}

/// The gzip header's extra field says which file it was, so that a reader that follows the log knows its place again.
fn compress_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut input = File::open(from)?;
    let identity = serde_json::to_vec(&Identity::of(&input)?)?;
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(to)?;
    let mut encoder = GzBuilder::new().extra(identity).write(output, Compression::fast());
    let mut chunk = vec![0u8; 16 * 1024];
    loop {
        let length = input.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        encoder.write_all(&chunk[..length])?;
    }
    encoder.finish()?.flush()
}

/// `log.1`
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// `log.1.gz`
pub(crate) fn zipped(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}.gz"));
    name.into()
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
