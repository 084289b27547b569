//! Blobs on their way in, and readers that follow them while they come.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use oci::Digest;
use oci::digest::{Algorithm, Digester};

use super::partial::Claim;
use super::{Content, lock, remove_file};
use crate::ImageError;
use crate::error::{Result, file_error};

/// A blob that is coming in. Dropped without [`Self::finish`] it leaves nothing, unless its digest was known before:
/// then the next one goes on where this one stopped.
#[derive(Debug)]
pub struct Ingest {
    content: Content,
    path: PathBuf,
    file: Arc<File>,
    digester: Digester,
    size: u64,
    /// Who knows the digest before the bytes.
    claim: Option<Claim>,
    track: Arc<Track>,
    finished: bool,
}

impl Ingest {
    pub(super) fn anonymous(content: &Content, algorithm: Algorithm) -> Result<Self> {
        let path = content.ingest_dir().join(model::id::random_hex());
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(file_error("create", &path))?;
        Ok(Self::new(content, path, file, Digester::new(algorithm), 0, None))
    }

    /// `size` bytes are in the file already and in the digester.
    pub(super) fn new(
        content: &Content,
        path: PathBuf,
        file: File,
        digester: Digester,
        size: u64,
        claim: Option<Claim>,
    ) -> Self {
        let track =
            Track { state: Mutex::new(Progress { written: size, end: None }), changed: Condvar::new() };
        Self {
            content: content.clone(),
            path,
            file: Arc::new(file),
            digester,
            size,
            claim,
            track: Arc::new(track),
            finished: false,
        }
    }

    /// Bytes so far: where a resumed one goes on.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A reader of the blob from its start, which waits for bytes that are not there yet. It ends when this is
    /// finished, and fails when this is dropped.
    pub fn follow(&self) -> Follow {
        Follow { file: Arc::clone(&self.file), track: Arc::clone(&self.track), position: 0 }
    }

    /// Starts anew: what came was not what it should be.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(file_error("empty", &self.path))?;
        self.digester = Digester::new(self.digester.algorithm());
        self.size = 0;
        // Who followed has read bytes that are gone.
        self.track.end(End::Failed);
        self.track = Arc::default();
        Ok(())
    }

    /// Verifies and names the blob; answers its digest and size. It is on disk after [`Content::sync`]. When it turns
    /// out to be another one than was said, nothing of it is kept.
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = self.digester.clone().finish();
        self.check(&digest, expected)?;
        self.content.note_fresh([digest.clone()]);
        if self.content.size(&digest).is_none() {
            let target = self.content.path(&digest);
            let named = match &self.claim {
                // The other name stays until an image is made of it: a pull that ends early finds it there.
                Some(_) => std::fs::hard_link(&self.path, &target),
                None => std::fs::rename(&self.path, &target),
            };
            match named {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(file_error("name", &target)(error));
                }
                _ => {}
            }
            self.finished = self.claim.is_none();
            let file = self.file.try_clone().map_err(file_error("flush", &target))?;
            self.content.shared.flusher.add(file, target);
        }
        self.track.end(End::Complete);
        Ok((digest, self.size))
    }

    fn check(&mut self, found: &Digest, expected: Option<&Digest>) -> Result<()> {
        let claimed = self.claim.as_ref().map(|claim| (&claim.blob.digest, claim.blob.size));
        if let Some((digest, size)) = claimed
            && self.size < size
        {
            return Err(ImageError::Short { digest: digest.clone(), size, found: self.size });
        }
        let expected = expected.or(claimed.map(|(digest, _)| digest));
        match expected {
            Some(expected) if expected != found => {
                let expected = expected.clone();
                remove_file(&self.path)?;
                Err(ImageError::Mismatch { expected, found: found.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.claim.as_ref().map_or(u64::MAX, |claim| claim.blob.size - self.size);
        if bytes.len() as u64 > room {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than the descriptor says"));
        }
        let count = self.file.write_at(bytes, self.size)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        self.track.advance(self.size);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.track.end(End::Failed);
        if !self.finished && self.claim.is_none() {
            // What stays is removed at the next open.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// How far an ingest is.
#[derive(Debug, Default)]
struct Track {
    state: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    written: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Complete,
    Failed,
}

impl Track {
    fn advance(&self, written: u64) {
        lock(&self.state).written = written;
        self.changed.notify_all();
    }

    /// The first end counts.
    fn end(&self, end: End) {
        lock(&self.state).end.get_or_insert(end);
        self.changed.notify_all();
    }
}

/// Reads a blob while it comes in.
#[derive(Debug)]
pub struct Follow {
    file: Arc<File>,
    track: Arc<Track>,
    position: u64,
}

impl Follow {
    /// Bytes that can be read from `position` on; none when the end is reached.
    fn ready(&self) -> io::Result<u64> {
        let mut state = lock(&self.track.state);
        loop {
            match (state.written.saturating_sub(self.position), state.end) {
                (0, Some(End::Complete)) => return Ok(0),
                (_, Some(End::Failed)) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the blob did not come in whole",
                    ));
                }
                (0, None) => {
                    state = self.track.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                (ready, _) => return Ok(ready),
            }
        }
    }
}

impl io::Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = usize::try_from(self.ready()?).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..ready).unwrap_or_default(), self.position)?;
        if count == 0 && ready > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        Ok(count)
    }
}
