//! The content store as pulls and pushes know it.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use distribution::{Content, ContentError, Take, Taking};
use image::content::Resumed;
use image::{ImageError, Ingest};
use oci::Digest;
use oci::image::Descriptor;

/// The engine's blobs.
pub(crate) struct Blobs<'e>(pub(crate) &'e image::Content);

struct Incoming(Box<Ingest>);

fn failed(error: ImageError) -> ContentError {
    match error {
        ImageError::Mismatch { .. } => ContentError::Mismatch(error.to_string()),
        other => ContentError::from_kinded(&other),
    }
}

impl Content for Blobs<'_> {
    fn has(&self, blob: &Descriptor) -> Result<bool, ContentError> {
        self.0.has(blob).map_err(failed)
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, ContentError> {
        self.0.read(digest).map_err(failed)
    }

    fn open(&self, digest: &Digest) -> Result<File, ContentError> {
        self.0.open_blob(digest).map_err(failed)
    }

    fn take(&self, blob: &Descriptor, patience: Duration) -> Result<Take, ContentError> {
        Ok(match self.0.resume(blob, patience).map_err(failed)? {
            Resumed::Present => Take::Present,
            Resumed::Busy => Take::Busy,
            Resumed::Ours(ingest) => Take::Ours(Box::new(Incoming(ingest))),
        })
    }
}

impl Taking for Incoming {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn restart(&mut self) -> Result<(), ContentError> {
        self.0.restart().map_err(failed)
    }

    fn follow(&self) -> Box<dyn Read + Send> {
        Box::new(self.0.follow())
    }

    fn finish(self: Box<Self>) -> Result<(), ContentError> {
        self.0.finish(None).map(drop).map_err(failed)
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
