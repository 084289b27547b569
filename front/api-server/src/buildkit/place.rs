//! A context that is on this machine: it is read where it is, not sent.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use buildkit::ops::SourceInfo;
use buildkit::server::{Context, Job, Place, Wish};
use engine::build::ContextSource;
use grpc::{Code, Status};
use linux::root::RootDir;

use super::files::LONGEST;
use super::vertex;

/// A folder of the client that is on this machine too.
pub(super) struct Here {
    pub(super) place: Place,
    text: Vec<u8>,
    ignore: Option<Vec<u8>>,
}

impl Here {
    /// The Dockerfile in it.
    pub(super) fn dockerfile(&self, filename: &str) -> SourceInfo {
        let (filename, language) = (filename.to_owned(), "Dockerfile".to_owned());
        SourceInfo { filename, data: self.text.clone(), language, ..SourceInfo::default() }
    }

    /// The ignore file that counts.
    pub(super) fn ignore(&self) -> Option<Vec<u8>> {
        self.ignore.clone()
    }

    /// The folder as a context, with others beside it.
    pub(super) fn source<'c>(&self, others: BTreeMap<String, PathBuf>) -> ContextSource<'c> {
        let Place { path, device, inode, .. } = &self.place;
        ContextSource::Place { path: path.into(), device: *device, inode: *inode, others }
    }
}

/// The client's folder, if the client named it and it is the same one here.
pub(super) fn find(wish: &Wish, job: &Job) -> Result<Option<Here>, Status> {
    let Some(place) = wish.place.as_ref().filter(|place| is_here(place)) else { return Ok(None) };
    if !matches!((&wish.context, &wish.dockerfile), (Context::Local(_), Context::Local(_))) {
        return Ok(None);
    }
    let title = format!("[internal] load build definition from {}", wish.filename);
    vertex::told(&job.progress, &title, |telling| {
        let missing = || {
            let text =
                format!("failed to read dockerfile: open {}: no such file or directory", wish.filename);
            Status::new(Code::Unknown, text)
        };
        let root = RootDir::open(Path::new(&place.path))
            .map_err(|error| Status::new(Code::Unknown, format!("{}: {error}", place.path)))?;
        let text = read(&root, &place.dockerfile)?.ok_or_else(missing)?;
        let ignore = match read(&root, &format!("{}.dockerignore", place.dockerfile))? {
            Some(own) => Some(own),
            None => read(&root, ".dockerignore")?,
        };
        telling.part("reading dockerfile in place:", "reading", text.len() as u64, true);
        Ok(Some(Here { place: place.clone(), text, ignore }))
    })
}

fn is_here(place: &Place) -> bool {
    let found = std::fs::metadata(&place.path);
    let same = |found: std::fs::Metadata| {
        (found.dev(), found.ino()) == (place.device, place.inode) && found.is_dir()
    };
    Path::new(&place.path).is_absolute() && found.is_ok_and(same)
}

fn read(root: &RootDir, path: &str) -> Result<Option<Vec<u8>>, Status> {
    let Ok(file) = root.open_regular(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    let failed = |error: std::io::Error| Status::new(Code::Unknown, format!("reading {path}: {error}"));
    std::fs::File::from(file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Status::new(Code::Unknown, format!("{path} is longer than {LONGEST} bytes")));
    }
    Ok(Some(bytes))
}
