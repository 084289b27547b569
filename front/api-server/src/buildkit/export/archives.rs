//! Exporters `oci` and `docker`: an archive, or the blobs of a folder, for the client.

use std::fs::File;
use std::io::{self, Read as _, Write};

use buildkit::session::send::Archive;
use engine::build::export::Exported;
use grpc::{Code, Status};

use super::options::Facts;
use super::{Work, failure};
use crate::buildkit::vertex::Telling;

/// The client's store that takes what is not an archive.
const STORE: &str = "export";

impl Work<'_> {
    /// Sends the documents and blobs.
    pub(super) fn archive(&self, telling: &Telling<'_>) -> Result<Facts, Status> {
        let docker = self.export.kind == "docker";
        if docker && (self.built.attest.says() || self.built.parts.len() > 1) {
            let text = "docker exporter does not currently support exporting manifest lists";
            return Err(Status::new(Code::Unknown, text));
        }
        let zstd = self.options.packing.is_some_and(|one| one.compression == archive::Compression::Zstd);
        let oci = self.options.oci_types.unwrap_or(!docker || zstd);
        let mut form = self.form(!oci)?;
        form.packing = Some(self.options.packing_or_gzip());
        let now = || model::Timestamp::from_unix(model::Timestamp::now().seconds(), 0);
        form.stamp = Some(self.epoch().unwrap_or_else(now));
        let exported = self.exported(&form, telling)?;
        let facts = self.facts(&exported);
        if self.options.tar {
            telling.part("sending tarball", "", 0, false);
            self.send(&exported, docker, &facts)?;
            telling.part("sending tarball", "", 0, true);
        } else {
            telling.part("copying blobs", "", 0, false);
            self.copy(&exported)?;
            telling.part("copying blobs", "", 0, true);
        }
        Ok(facts)
    }

    fn send(&self, exported: &Exported, docker: bool, facts: &Facts) -> Result<(), Status> {
        let facts: Vec<(String, String)> =
            facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let session = self.job.session()?;
        let mut out = Outgoing(session.send_archive(self.export.number, &facts, &self.job.cancellation)?);
        exported.write_to(docker, &mut out).map_err(|error| failure::plain(&error))?;
        out.0.finish()
    }

    /// The client's store gets everything; its index is the client's own.
    fn copy(&self, exported: &Exported) -> Result<(), Status> {
        let session = self.job.session()?;
        let builds = self.built.engine.builds();
        for part in exported.parts().map_err(|error| failure::plain(&error))? {
            let mut file = builds.open_blob(&part.digest).map_err(|error| failure::plain(&error))?;
            let digest = part.digest.as_str();
            session.write_blob(STORE, digest, part.size, &mut file, &self.job.cancellation)?;
        }
        Ok(())
    }
}

/// An archive on its way to the client.
struct Outgoing(Archive);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl engine::image::FileSink for Outgoing {
    fn send_file(&mut self, file: &File, count: u64) -> io::Result<()> {
        let copied = io::copy(&mut file.take(count), &mut self.0)?;
        if copied == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
