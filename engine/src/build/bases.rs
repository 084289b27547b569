//! Images that builds begin with: those that are here, else fetched.

use std::collections::HashMap;
use std::sync::Arc;

use builder::Layer;
use builder::plan::{Base, Bases};
use oci::{Platform, Reference};

use super::{BuildRequest, Cancel, Observer};
use crate::engine::Inner;
use crate::image::PullParameters;
use crate::registry::Caller;
use crate::{Error, Result};

/// Finds images for one build; each is looked for once, so that a name means one image from its beginning to its end.
pub(super) struct Finder<'f> {
    pub(super) inner: &'f Arc<Inner>,
    pub(super) request: &'f BuildRequest,
    pub(super) observer: &'f dyn Observer,
    pub(super) cancel: &'f Cancel,
    pub(super) known: HashMap<(String, Platform), Base>,
}

impl Bases for Finder<'_> {
    type Error = Error;

    fn base(&mut self, name: &str, platform: &Platform) -> Result<Base> {
        let key = (name.to_owned(), platform.clone());
        if let Some(base) = self.known.get(&key) {
            return Ok(base.clone());
        }
        let here = || here(self.inner, self.request, name, platform);
        let image = match here()?.filter(|_| !self.request.pull) {
            Some(image) => image,
            None => {
                self.pull(name, platform)?;
                let missing = || Error::not_found(format!("No such image: {name}"));
                here()?.ok_or_else(missing)?
            }
        };
        crate::image::note_use(self.inner, image.id.as_str());
        let base = of_image(&image);
        self.known.insert(key, base.clone());
        Ok(base)
    }
}

impl Finder<'_> {
    fn pull(&self, name: &str, platform: &Platform) -> Result<()> {
        let reference: Reference = name.parse().map_err(Error::from_kinded)?;
        let caller =
            Caller { credentials: self.request.client.credentials(reference.domain())?, headers: Vec::new() };
        let parameters = PullParameters {
            image: reference.clone().or_latest().canonical(),
            tag: String::new(),
            platform: is_asked_for(self.request, platform).then(|| platform.text()),
            caller,
        };
        let images = crate::image::Images { inner: self.inner };
        let name = reference.or_latest().canonical();
        let mut progress = |progress| self.observer.fetching(&name, progress);
        images.pull(&parameters, &mut progress, &self.cancel.shared.pulls)
    }
}

/// Whether somebody named this platform: the build, or the instruction.
fn is_asked_for(request: &BuildRequest, platform: &Platform) -> bool {
    request.explicit_platform || *platform != request.options.platform
}

/// The image of this name on this platform, if it is here.
pub(super) fn here(
    inner: &Inner,
    request: &BuildRequest,
    name: &str,
    platform: &Platform,
) -> Result<Option<::image::Image>> {
    match inner.storage.images.find(name) {
        Ok(found) => {
            // An image for another machine is taken where no platform was asked for, as with Docker.
            let on = found.on(platform);
            let any = !is_asked_for(request, platform);
            Ok(on.or_else(|| any.then(|| ::image::Image::clone(&found))))
        }
        Err(error) if model::Kinded::kind(&error) == model::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from_kinded(error)),
    }
}

/// An image as something to build from.
pub(super) fn of_image(image: &::image::Image) -> Base {
    let layer = |layer: &::image::Layer| Layer { diff_id: layer.diff_id.clone(), blob: layer.blob.clone() };
    let layers: Vec<Layer> = image.layers.iter().map(layer).collect();
    Base { layers: layers.into(), config: image.config.clone(), id: image.id.to_string() }
}
