//! Blobs and documents to a registry: only what it does not have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use oci::Digest;
use oci::image::Descriptor;
use registry_client::{Repository, Start, Stop, Target, Upload};
use transport::client::FileBody;

use crate::content::Content;
use crate::error::{DistributionError, Result};
use crate::retry::{Attempts, Gate, Limits, until_done};

/// What happens to one of the blobs, by its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushStep {
    /// So many bytes went out.
    Pushing {
        /// Bytes.
        current: u64,
    },
    /// The next attempt comes in so many seconds.
    Retrying {
        /// Seconds.
        seconds: u64,
    },
    /// The registry has it already.
    Exists,
    /// The registry took it from another repository of its own.
    Mounted {
        /// Which one.
        from: String,
    },
    /// The registry has it now.
    Pushed,
}

/// A blob to be pushed.
#[derive(Debug, Clone)]
pub struct PushBlob {
    /// Which one.
    pub descriptor: Descriptor,
    /// Repositories of the same registry that may have it.
    pub mounts: Vec<String>,
}

/// A push to one repository.
pub struct Push<'a> {
    /// Where to.
    pub repository: &'a Repository,
    /// Where from.
    pub content: &'a dyn Content,
    /// How stubbornly.
    pub limits: &'a Limits,
    /// How many at once, together with others.
    pub gate: &'a Gate,
    /// Ends it early.
    pub stop: &'a Stop,
}

/// Threads that wait at the gate.
const WORKERS: usize = 16;

impl Push<'_> {
    /// Pushes blobs that the registry does not have.
    ///
    /// # Errors
    /// The first failure; the others are stopped then.
    pub fn blobs(&self, blobs: &[PushBlob], told: &(dyn Fn(usize, PushStep) + Sync)) -> Result<()> {
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<DistributionError>> = Mutex::new(None);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(blob) = blobs.get(at) else { return };
                if failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    return;
                }
                if let Err(error) = self.blob(blob, &|step| told(at, step)) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    self.stop.stop();
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..blobs.len().min(WORKERS) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Puts a document of the store there, byte by byte the same.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub fn document(&self, document: &Descriptor, target: &Target) -> Result<Digest> {
        let bytes = self.content.read(&document.digest)?;
        until_done(self.limits, self.stop, || {
            Ok(self.repository.put_manifest(target, &document.media_type, &bytes)?)
        })
    }

    fn blob(&self, blob: &PushBlob, told: &(dyn Fn(PushStep) + Sync)) -> Result<()> {
        let _place = self.gate.enter(self.stop)?;
        let mut attempts = Attempts::new(self.limits, self.stop);
        loop {
            match self.attempt(blob, told) {
                Err(error) => attempts.again(error, &|seconds| told(PushStep::Retrying { seconds }))?,
                Ok(step) => {
                    told(step);
                    return Ok(());
                }
            }
        }
    }

    fn attempt(&self, blob: &PushBlob, told: &(dyn Fn(PushStep) + Sync)) -> Result<PushStep> {
        if self.repository.has_blob(&blob.descriptor.digest)? {
            return Ok(PushStep::Exists);
        }
        match self.send(blob, told) {
            // A registry that was started anew may know nothing of an upload that it had begun.
            Err(DistributionError::Registry(error)) if error.status() == Some(404) => self.send(blob, told),
            outcome => outcome,
        }
    }

    fn send(&self, blob: &PushBlob, told: &(dyn Fn(PushStep) + Sync)) -> Result<PushStep> {
        let digest = &blob.descriptor.digest;
        // A refused mount opens an ordinary upload: the first answer decides, whatever else was possible.
        let from = blob.mounts.first();
        let upload = match self.repository.start_upload(digest, from.map(String::as_str))? {
            Start::Mounted => return Ok(PushStep::Mounted { from: from.cloned().unwrap_or_default() }),
            Start::Upload(upload) => upload,
        };
        self.upload(upload, &blob.descriptor, told)?;
        Ok(PushStep::Pushed)
    }

    /// Sends a blob; when the connection breaks, the rest through another one.
    fn upload(
        &self,
        mut upload: Upload<'_>,
        blob: &Descriptor,
        told: &(dyn Fn(PushStep) + Sync),
    ) -> Result<()> {
        let file = Arc::new(self.content.open(&blob.digest)?);
        let (progress, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            // Bodies are sent by the kernel; their progress comes from where the listener cannot be called.
            scope.spawn(move || heard.into_iter().for_each(|current| told(PushStep::Pushing { current })));
            let part = move |offset: u64| {
                let (stop, progress) = (self.stop.clone(), progress.clone());
                let sent = move |count: u64| {
                    let _ = progress.send(offset + count);
                    if stop.is_stopped() { Err(std::io::Error::other("context canceled")) } else { Ok(()) }
                };
                FileBody { file: Arc::clone(&file), offset, length: blob.size - offset, sent: Arc::new(sent) }
            };
            match upload.put(&blob.digest, &part(0)) {
                Err(error) if error.is_temporary() && error.status().is_none() => match upload.offset() {
                    Ok(offset) if offset > 0 && offset < blob.size => {
                        upload.patch(&part(offset))?;
                        upload.finish(&blob.digest)
                    }
                    Ok(offset) if offset == blob.size => upload.finish(&blob.digest),
                    _ => Err(error),
                },
                outcome => outcome,
            }
        })?;
        Ok(())
    }
}
