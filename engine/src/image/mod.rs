//! Images: list, inspect, history, tag, remove, prune, import, load, save.

pub(crate) mod config;
pub(crate) mod gc;
mod import_url;
mod inspect;
pub(crate) mod list;
mod manifests;
mod pull;
mod push;
mod remove;
mod transfer;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use api::image::{DeleteItem, History, Inspect, Progress, PruneResponse, Summary};
use model::Filters;
use oci::{Platform, Reference};

pub use pull::PullParameters;
pub use push::PushParameters;
pub use transfer::{FileSink, ImageArchive, ImportParameters};

use crate::engine::Inner;
use crate::event::EventType;
use crate::{Error, Result};

/// Which images are listed, and with what.
#[derive(Debug, Clone, Default)]
pub struct ImageListParameters {
    /// Those without a name too that others were made from.
    pub all: bool,
    /// Docker's filters.
    pub filters: Filters,
    /// With the bytes shared with other images.
    pub shared_size: bool,
    /// With the manifests of each image.
    pub manifests: bool,
}

/// What is told of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageInspectParameters {
    /// On this platform; this machine's when absent.
    pub platform: Option<Platform>,
    /// With what it is on each platform.
    pub manifests: bool,
}

/// Calls about images.
#[derive(Clone, Copy)]
pub struct Images<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl Images<'_> {
    /// The images that the filters choose, newest first.
    ///
    /// # Errors
    /// For wrong filters.
    pub fn list(&self, parameters: &ImageListParameters) -> Result<Vec<Summary>> {
        list::list(self.inner, parameters)
    }

    /// Everything about one image.
    ///
    /// # Errors
    /// When there is none of this name, or not on that platform.
    pub fn inspect(&self, name: &str, parameters: &ImageInspectParameters) -> Result<Inspect> {
        inspect::inspect(self.inner, name, parameters)
    }

    /// How it was made, newest step first.
    ///
    /// # Errors
    /// When there is none of this name, or not on that platform.
    pub fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<History>> {
        inspect::history(self.inner, name, platform)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// When there is none of this name, or the new name is none.
    pub fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let image = find(self.inner, name)?;
        let target =
            target_name(repository, tag)?.ok_or_else(|| Error::invalid("invalid reference format"))?;
        self.inner.storage.images.tag(&image.id, &target).map_err(Error::from_kinded)?;
        event(self.inner, "tag", image.id.as_str(), &target.or_latest().familiar());
        Ok(())
    }

    /// Removes a name, and the image with its last one.
    ///
    /// # Errors
    /// When it is used by a container or named elsewhere.
    pub fn remove(&self, name: &str, force: bool, no_prune: bool) -> Result<Vec<DeleteItem>> {
        let removed = remove::remove(self.inner, name, force, no_prune);
        crate::build::gc::schedule(self.inner);
        removed
    }

    /// Removes what is here of an image on some platforms; the image with the last of them.
    ///
    /// # Errors
    /// When it is not here on one of them.
    pub fn remove_platforms(
        &self,
        name: &str,
        platforms: &[Platform],
        force: bool,
    ) -> Result<Vec<DeleteItem>> {
        remove::remove_platforms(self.inner, name, platforms, force)
    }

    /// Removes images nobody uses: those without names, or all with the filter `dangling=false`.
    ///
    /// # Errors
    /// For wrong filters.
    pub fn prune(&self, filters: &Filters) -> Result<PruneResponse> {
        let removed = remove::prune(self.inner, filters);
        crate::build::gc::schedule(self.inner);
        removed
    }

    /// Makes an image of a root's tar stream; its id.
    ///
    /// # Errors
    /// For wrong names, instructions and streams.
    pub fn import(&self, parameters: &ImportParameters, body: &mut (dyn Read + Send)) -> Result<String> {
        let made = transfer::import(self.inner, parameters, body);
        gc::schedule(self.inner);
        made
    }

    /// The same with an archive that is fetched from the address in `source`; the image's id is the last thing told.
    /// `progress` and `stop` as in [`Self::pull`].
    ///
    /// # Errors
    /// When there is no such file, it is cut, or no archive.
    pub fn import_from_url(
        &self,
        parameters: &ImportParameters,
        progress: &mut dyn FnMut(Progress),
        stop: &registry_client::Stop,
    ) -> Result<()> {
        let made = import_url::import(self.inner, parameters, progress, stop);
        gc::schedule(self.inner);
        made
    }

    /// Fetches what a name stands for at its registry. `progress` is called on this thread; `stop` ends it from
    /// another one, and what came until then is used by the next pull.
    ///
    /// # Errors
    /// When the registry cannot be reached, does not have it, or has something else than an image.
    pub fn pull(
        &self,
        parameters: &PullParameters,
        progress: &mut dyn FnMut(Progress),
        stop: &registry_client::Stop,
    ) -> Result<()> {
        let pulled = pull::pull(self.inner, parameters, progress, stop);
        gc::schedule(self.inner);
        pulled
    }

    /// Brings a tag, or all of a repository, to the registry. `progress` and `stop` as in [`Self::pull`].
    ///
    /// # Errors
    /// For names that are none; what goes wrong later is an error as well.
    pub fn push(
        &self,
        parameters: &PushParameters,
        progress: &mut dyn FnMut(Progress),
        stop: &registry_client::Stop,
    ) -> Result<()> {
        push::push(self.inner, parameters, progress, stop)
    }

    /// Takes in an archive of images, on all platforms it has or only on some.
    ///
    /// # Errors
    /// For archives that are none or are not whole, and when an image is on none of the platforms.
    pub fn load(
        &self,
        body: &mut (dyn Read + Send),
        platforms: &[Platform],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let loaded = transfer::load(self.inner, body, platforms, progress);
        gc::schedule(self.inner);
        loaded
    }

    /// Images as one archive, on all platforms that are here or only on some; checked now, written by
    /// [`ImageArchive::write_to`].
    ///
    /// # Errors
    /// When there is none of one of the names, or not on the platform.
    pub fn save(&self, names: &[String], platforms: &[Platform]) -> Result<ImageArchive> {
        transfer::save(self.inner, names, platforms)
    }
}

/// Notes that a container was made from an image; a failure costs only the order of a later collection.
pub(crate) fn note_use(inner: &Inner, id: &str) {
    let noted = id.parse().map(|id| inner.storage.images.note_use(&id));
    if let Ok(Err(error)) = noted {
        eprintln!("image {id}: {}", model::error::chain(&error));
    }
}

/// Tells that something happened to an image.
pub(crate) fn event(inner: &Inner, action: &str, id: &str, name: &str) {
    event_with(inner, action, id, name, labels_of(inner, id));
}

fn event_with(inner: &Inner, action: &str, id: &str, name: &str, labels: BTreeMap<String, String>) {
    let mut attributes = labels;
    attributes.insert("name".to_owned(), name.to_owned());
    inner.events.publish(EventType::Image, action, id, attributes);
}

fn labels_of(inner: &Inner, name: &str) -> BTreeMap<String, String> {
    let image = inner.storage.images.find(name).ok();
    image.and_then(|image| image.config.config.labels.clone()).unwrap_or_default()
}

/// The image by name or id.
pub(crate) fn find(inner: &Inner, name: &str) -> Result<Arc<::image::Image>> {
    inner.storage.images.find(name).map_err(Error::from_kinded)
}

/// The name a new image gets; none when no repository is given.
///
/// # Errors
/// `invalid reference format: ...`.
pub(crate) fn target_name(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference: Reference = repository.parse().map_err(Error::from_kinded)?;
    if tag.is_empty() {
        return Ok(Some(reference));
    }
    reference.with_tag(tag).map(Some).map_err(Error::from_kinded)
}

/// A filter that is true or false, with Docker's words when it is neither.
pub(crate) fn flag(filters: &Filters, key: &str) -> Result<Option<bool>> {
    filters.flag(key).map_err(|_| {
        let values: Vec<&str> = filters.get(key).collect();
        Error::invalid(format!("invalid filter '{key}=[{}]'", values.join(" ")))
    })
}
