//! Images in and out: import, load, save.

use std::io::Read;

use api::image::{Progress, ProgressDetail};
pub use archive::FileSink;
use image::{LoadEvent, Selection};
use oci::image::ImageConfig;
use oci::{Platform, Reference};

use super::{config, event, target_name};
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

/// Looks at everything but the archive, before that is asked for.
pub(super) fn check(parameters: &ImportParameters) -> Result<()> {
    prepare(parameters).map(drop)
}

pub(super) fn import(
    inner: &Inner,
    parameters: &ImportParameters,
    body: &mut (dyn Read + Send),
) -> Result<String> {
    let (name, document) = prepare(parameters)?;
    let pending = inner.storage.images.import(body, document, name.as_ref()).map_err(Error::from_kinded)?;
    let made = inner.storage.keep(pending)?.image;
    let id = made.id.to_string();
    let shown = name.map_or_else(|| id.clone(), |name| name.or_latest().familiar());
    event(inner, "import", &id, &shown);
    Ok(id)
}

/// The image's name and its configuration.
fn prepare(parameters: &ImportParameters) -> Result<(Option<Reference>, ImageConfig)> {
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
    Ok((name, document))
}

pub(super) fn load(
    inner: &Inner,
    body: &mut (dyn Read + Send),
    platforms: &[Platform],
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let loaded = {
        let mut told = |event: LoadEvent| {
            let LoadEvent::Progress { file, current, total } = event;
            if let Some(progress_line) = progress_line(&file, current, total) {
                progress(progress_line);
            }
        };
        inner.storage.images.load(body, platforms, &mut told).map_err(Error::from_kinded)?
    };
    let some = !loaded.images.is_empty();
    for one in inner.storage.keep_all(loaded.images)? {
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
    lacking(&loaded.lacking, some, platforms)
}

/// Images that are on none of the platforms that were asked for are not kept, whatever Docker says of its own.
fn lacking(names: &[String], some: bool, platforms: &[Platform]) -> Result<()> {
    let platforms: Vec<String> = platforms.iter().map(Platform::text).collect();
    let platforms = platforms.join(" ");
    let words = match names {
        [] => return Ok(()),
        [name] => {
            format!("image {name} was found, but doesn't provide the requested platform ([{platforms}])")
        }
        _ if !some => format!("no images providing the requested platform(s) found: [{platforms}]"),
        names => format!(
            "images [{}] were found, but don't provide the requested platform ([{platforms}])",
            names.join(", ")
        ),
    };
    Err(Error::not_found(words))
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

/// Images that are going to be written as one archive.
pub struct ImageArchive {
    selection: Selection,
}

/// Looks whether all the images are there, so that a wrong name is an error before the first byte.
pub(super) fn save(inner: &Inner, names: &[String], platforms: &[Platform]) -> Result<ImageArchive> {
    let selection = inner.storage.images.select(names, platforms).map_err(Error::from_kinded)?;
    Ok(ImageArchive { selection })
}

impl ImageArchive {
    /// Writes the archive.
    ///
    /// # Errors
    /// When the client takes no more or a blob cannot be read.
    pub fn write_to(self, engine: &crate::Engine, out: &mut dyn FileSink) -> Result<()> {
        self.selection.write_to(out).map_err(Error::from_kinded)?;
        for id in self.selection.ids() {
            event(&engine.inner, "save", id.as_str(), id.as_str());
        }
        out.flush().doing(|| "writing the archive".to_owned())
    }
}
