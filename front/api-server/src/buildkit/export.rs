//! What becomes of an image that was built.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};

use buildkit::server::{Export, Job};
use buildkit::session::send::{Archive, SendError};
use grpc::{Code, Status};
use oci::Reference;

use super::backend::BuiltImage;
use super::failure;
use super::vertex::{self, Telling};

/// Exports an image; what there is to say about it.
pub(super) fn export(
    built: &BuiltImage,
    export: &Export,
    job: &Job,
) -> Result<BTreeMap<String, String>, Status> {
    match export.kind.as_str() {
        "moby" | "image" => {
            // Of `moby` the client itself pushes afterwards.
            if export.kind == "image" && export.options.get("push").is_some_and(|push| push == "true") {
                let text =
                    "pushing while exporting is not supported by this builder: push the image afterwards";
                return Err(Status::new(Code::Unimplemented, text));
            }
            vertex::told(&job.progress, "exporting to image", |telling| image(built, export, telling))
        }
        "docker" | "oci" => {
            let title = format!("exporting to {} image format", export.kind);
            vertex::told(&job.progress, &title, |telling| archive(built, export, job, telling))
        }
        "local" => vertex::told(&job.progress, "exporting to client directory", |telling| {
            let root = built.engine.builds().files(&built.id).map_err(|error| failure::plain(&error))?;
            telling.part("copying files", "copying files", 0, false);
            let sent = job.session()?.send_tree(export.number, &root, &job.cancellation);
            sent.map_err(|error| match error {
                SendError::Peer(status) => status,
                other => Status::new(Code::Unknown, model::error::chain(&other)),
            })?;
            telling.part("copying files", "copying files", 0, true);
            Ok(BTreeMap::new())
        }),
        "tar" => vertex::told(&job.progress, "exporting to client tarball", |telling| {
            let mut out = job.session()?.send_archive(export.number, &[], &job.cancellation)?;
            telling.part("sending tarball", "", 0, false);
            let written = built.engine.builds().write_files(&built.id, &mut out);
            written.map_err(|error| failure::plain(&error))?;
            out.finish()?;
            telling.part("sending tarball", "", 0, true);
            Ok(BTreeMap::new())
        }),
        kind => Err(Status::new(Code::Unknown, format!("exporter {kind:?} could not be found"))),
    }
}

/// The names an exporter is told.
fn names(export: &Export) -> Result<Vec<Reference>, Status> {
    let names = export.options.get("name").map(String::as_str).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let parse = |name: &str| {
        let reference = name.parse::<Reference>();
        reference
            .map(Reference::or_latest)
            .map_err(|error| Status::new(Code::InvalidArgument, format!("failed to parse {name}: {error}")))
    };
    names.map(parse).collect()
}

fn image(
    built: &BuiltImage,
    export: &Export,
    telling: &Telling<'_>,
) -> Result<BTreeMap<String, String>, Status> {
    let names = names(export)?;
    telling.part("exporting layers", "", 0, true);
    telling.part(&format!("writing image {}", built.id), "", 0, true);
    built.wanted.store(true, std::sync::atomic::Ordering::SeqCst);
    let images = built.engine.images();
    for name in &names {
        let tag = name.tag().unwrap_or("latest");
        images.tag(&built.id, &name.familiar_name(), tag).map_err(|error| failure::plain(&error))?;
        telling.part(&format!("naming to {}", name.canonical()), "", 0, true);
    }
    Ok(said(built, &names))
}

fn said(built: &BuiltImage, names: &[Reference]) -> BTreeMap<String, String> {
    let mut said = BTreeMap::from([
        ("containerimage.digest".to_owned(), built.id.clone()),
        ("containerimage.config.digest".to_owned(), built.id.clone()),
    ]);
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(Reference::canonical).collect();
        said.insert("image.name".to_owned(), names.join(","));
    }
    said
}

/// The image as an archive for the client.
fn archive(
    built: &BuiltImage,
    export: &Export,
    job: &Job,
    telling: &Telling<'_>,
) -> Result<BTreeMap<String, String>, Status> {
    let names = names(export)?;
    let images = built.engine.images();
    for name in &names {
        let tag = name.tag().unwrap_or("latest");
        images.tag(&built.id, &name.familiar_name(), tag).map_err(|error| failure::plain(&error))?;
    }
    let wanted = match names.as_slice() {
        [] => vec![built.id.clone()],
        names => names.iter().map(Reference::canonical).collect(),
    };
    let archive = images.save(&wanted, &[]).map_err(|error| failure::plain(&error))?;
    telling.part("sending tarball", "", 0, false);
    let said = said(built, &names);
    let facts: Vec<(String, String)> =
        said.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let out = job.session()?.send_archive(export.number, &facts, &job.cancellation)?;
    let mut out = Outgoing(out);
    archive.write_to(&built.engine, &mut out).map_err(|error| failure::plain(&error))?;
    out.0.finish()?;
    telling.part("sending tarball", "", 0, true);
    Ok(said)
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
