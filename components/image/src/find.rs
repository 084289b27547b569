//! Finds images by what people type: a name, a digest, an id or the start of one.

use std::sync::Arc;

use oci::reference::ReferenceError;
use oci::{Digest, Reference};

use crate::error::Result;
use crate::images::State;
use crate::{Image, ImageError, Images};

/// What a text turned out to mean.
pub(crate) enum Found {
    /// An id, or the only one that starts so.
    Id(Arc<Image>),
    /// A name.
    Name(Reference, Arc<Image>),
}

impl Found {
    pub(crate) fn image(self) -> Arc<Image> {
        match self {
            Self::Id(image) | Self::Name(_, image) => image,
        }
    }
}

impl Images {
    /// The image of a name (`latest` when no tag is given), a name with a digest, an id with or without `sha256:`, or
    /// an unambiguous start of one. Names win over starts of ids.
    pub fn find(&self, text: &str) -> Result<Arc<Image>> {
        self.look_up(text).map(Found::image)
    }

    pub(crate) fn look_up(&self, text: &str) -> Result<Found> {
        self.read(|state| look_up(state, text))
    }
}

fn look_up(state: &State, text: &str) -> Result<Found> {
    let full = if text.len() == 64 { format!("sha256:{text}") } else { text.to_owned() };
    if let Ok(digest) = full.parse::<Digest>() {
        let found = by_digest(state, &digest).map(Found::Id);
        return found.ok_or_else(|| ImageError::NotFound { name: digest.to_string() });
    }
    let reference = match text.parse::<Reference>() {
        Ok(reference) => reference.or_latest(),
        Err(error @ ReferenceError::LooksLikeId { .. }) => return Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    if let Some(image) = by_name(state, &reference) {
        return Ok(Found::Name(reference, image));
    }
    let name = reference.familiar();
    by_prefix(state, text).map(Found::Id).ok_or(ImageError::NotFound { name })
}

fn by_digest(state: &State, digest: &Digest) -> Option<Arc<Image>> {
    let images = &state.images;
    // Docker's older store calls images by their configuration; people and archives still do.
    images
        .get(digest)
        .or_else(|| images.values().find(|image| image.manifest.digest == *digest))
        .or_else(|| images.values().find(|image| image.config_digest == *digest))
        .cloned()
}

fn by_name(state: &State, reference: &Reference) -> Option<Arc<Image>> {
    let exact = match reference.digest() {
        Some(digest) => state.names.get(&reference.with_digest(digest.clone())),
        None => state.names.get(reference),
    };
    if let Some(id) = exact {
        return state.images.get(id).cloned();
    }
    // A repository whose image has the digest knows it also when it was never pulled by it.
    let digest = reference.digest()?;
    let image = by_digest(state, digest)?;
    let known = image.names.iter().any(|name| name.name_only() == reference.name_only());
    known.then_some(image)
}

fn by_prefix(state: &State, text: &str) -> Option<Arc<Image>> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut fitting = state.images.values().filter(|image| image.id.hex().starts_with(prefix));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Some(Arc::clone(image)),
        (Some(_), Some(_)) => None,
        _ => {
            let mut fitting =
                state.images.values().filter(|image| image.config_digest.hex().starts_with(prefix));
            let first = fitting.next()?;
            fitting.next().is_none().then(|| Arc::clone(first))
        }
    }
}
