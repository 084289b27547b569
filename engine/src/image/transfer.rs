//! Images in and out: import, load, save.

use std::io::Read;

use api::image::{Progress, ProgressDetail};
pub use archive::FileSink;
use image::LoadEvent;

use super::{config, event, find, target_name};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// How a tar stream becomes an image.
#[derive(Debug, Clone, Default)]
pub struct ImportParameters {
    /// Where it came from, as the history tells (`-` for the request's body).
    pub source: String,
    /// Name of the image.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// Message of the history; `Imported from SOURCE` when empty.
    pub message: String,
    /// Dockerfile instructions applied to the configuration.
    pub changes: Vec<String>,
    /// `os/arch[/variant]`; the engine's own when absent.
    pub platform: Option<String>,
}

pub(super) fn import(
    inner: &Inner,
    parameters: &ImportParameters,
    body: &mut (dyn Read + Send),
) -> Result<String> {
    let name = target_name(&parameters.repository, &parameters.tag)?;
    let platform = match parameters.platform.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(Error::from_kinded)?,
        None => oci::Platform::host(),
    };
    let mut container_config = api::container::Config::default();
    config::apply(&mut container_config, &parameters.changes)?;
    let source = if parameters.source.is_empty() { "-" } else { &parameters.source };
    let mut document = ::image::import_config(source, &parameters.message, &platform);
    document.config = config::from_document(&container_config);
    let pending = inner.storage.images.import(body, document, name.as_ref()).map_err(Error::from_kinded)?;
    let made = inner.storage.keep(pending)?.image;
    let id = made.id.to_string();
    let shown = name.map_or_else(|| id.clone(), |name| name.or_latest().familiar());
    event(inner, "import", &id, &shown);
    Ok(id)
}

pub(super) fn load(
    inner: &Inner,
    body: &mut (dyn Read + Send),
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let pending = {
        let mut told = |event: LoadEvent| {
            let LoadEvent::Progress { file, current, total } = event;
            if let Some(progress_line) = progress_line(&file, current, total) {
                progress(progress_line);
            }
        };
        inner.storage.images.load(body, &mut told).map_err(Error::from_kinded)?
    };
    for one in inner.storage.keep_all(pending)? {
        for (name, old) in &one.replaced {
            progress(Progress::stream(format!(
                "The image {} already exists, renaming the old one with ID {old} to empty string\n",
                name.familiar()
            )));
        }
        let id = one.image.id.to_string();
        if one.names.is_empty() {
            progress(Progress::stream(format!("Loaded image ID: {id}\n")));
        }
        for name in &one.names {
            progress(Progress::stream(format!("Loaded image: {}\n", name.familiar())));
        }
        event(inner, "load", &id, &id);
    }
    Ok(())
}

/// Only blobs large enough that somebody wants to see them move.
fn progress_line(file: &str, current: u64, total: u64) -> Option<Progress> {
    let digest = file.strip_prefix("blobs/sha256/").or_else(|| file.strip_suffix("/layer.tar"))?;
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let id: String = digest.chars().take(12).collect();
    (total >= 1 << 20).then(|| Progress {
        progress_detail: Some(ProgressDetail {
            current: signed(current),
            total: signed(total),
            ..ProgressDetail::default()
        }),
        ..Progress::status(id, "Loading layer")
    })
}

/// Whether a name without tag is that of some image: all its tags are saved then.
fn is_repository(inner: &Inner, name: &str) -> bool {
    let Ok(wanted) = name.parse::<oci::Reference>() else { return false };
    let images = inner.storage.images.list();
    wanted.is_name_only()
        && images.iter().any(|image| image.names.iter().any(|held| held.name() == wanted.name()))
}

/// Images that are going to be written as one archive.
#[derive(Debug)]
pub struct ImageArchive {
    names: Vec<String>,
}

/// Looks whether all the images are there, so that a wrong name is an error before the first byte.
pub(super) fn save(inner: &Inner, names: &[String]) -> Result<ImageArchive> {
    for name in names {
        if is_repository(inner, name) {
            continue;
        }
        find(inner, name).map_err(|error| match model::Kinded::kind(&error) {
            model::ErrorKind::NotFound => Error::not_found(format!("No such image: {name}")),
            _ => error,
        })?;
    }
    Ok(ImageArchive { names: names.to_vec() })
}

impl ImageArchive {
    /// Writes the archive.
    ///
    /// # Errors
    /// When the client takes no more or a blob cannot be read.
    pub fn write_to(self, engine: &crate::Engine, out: &mut dyn FileSink) -> Result<()> {
        let inner = &engine.inner;
        inner.storage.images.save(&self.names, out).map_err(Error::from_kinded)?;
        for name in &self.names {
            if let Ok(image) = find(inner, name) {
                event(inner, "save", image.id.as_str(), image.id.as_str());
            }
        }
        out.flush().doing(|| "writing the archive".to_owned())
    }
}
