//! What is built leaves the engine: with other compression, times and media types, with annotations, several platforms in
//! one index, statements about each.
//!
//! The documents and blobs of an export are content of the store like any other. If no image is made of them they go with
//! the [`Exported`].

mod annotations;
pub(super) mod documents;
pub(super) mod layers;
pub(super) mod push;

use archive::Compression;
use image::{Layout, Lease};
use model::Timestamp;
use oci::image::Descriptor;
use oci::{Digest, Platform, Reference};

pub use annotations::Annotations;
pub use push::PushTarget;

use super::Builds;
use crate::{Error, Result};

/// When something was made.
const ANNOTATION_CREATED: &str = "org.opencontainers.image.created";

/// A built image, as one of the parts of what leaves.
#[derive(Debug, Clone)]
pub struct Part {
    /// The machine it is for.
    pub platform: Platform,
    /// The image's id.
    pub image: String,
    /// How many of its layers are those of the image it was made from: their files stay as they are.
    pub base_layers: usize,
    /// What is said about it.
    pub statements: Vec<Statement>,
    /// Cache that travels within the configuration.
    pub inline_cache: Option<Vec<u8>>,
}

/// Something that is said about an image, as a predicate of in-toto.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What kind of predicate it is: an address.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: serde_json::Value,
}

impl Statement {
    /// It as a document of its own, about files.
    pub fn about_files(&self, files: &[(String, Digest)]) -> serde_json::Value {
        let subject = |(name, digest): &(String, Digest)| documents::subject(name, digest);
        documents::statement(&self.predicate_type, &self.predicate, files.iter().map(subject).collect())
    }
}

/// How layers are packed.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// The compression.
    pub compression: Compression,
    /// How hard it is tried.
    pub level: Option<i32>,
    /// Layers that are compressed otherwise are done anew.
    pub force: bool,
}

/// The form in which images leave.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// How layers are packed; as they are when absent.
    pub packing: Option<Packing>,
    /// Docker's media types in place of OCI's.
    pub docker_types: bool,
    /// No file of a layer made by the build is younger than this.
    pub rewrite: Option<Timestamp>,
    /// Free properties of the documents.
    pub annotations: Annotations,
    /// How the result is called, for what is said about it.
    pub names: Vec<Reference>,
    /// When an archive says that it was made.
    pub stamp: Option<Timestamp>,
}

/// Documents and blobs that are ready to leave.
pub struct Exported {
    /// The manifest, or the index of several.
    pub target: Descriptor,
    /// The configuration of the first platform.
    pub config: Digest,
    layout: Layout,
    _lease: Lease,
}

impl Exported {
    /// Everything there is, what is named before what names it.
    ///
    /// # Errors
    /// When something is not here.
    pub fn parts(&self) -> Result<Vec<Descriptor>> {
        self.layout.parts().map_err(Error::from_kinded)
    }

    /// Writes it as a tar: an OCI layout, or with `docker` what older engines load, too.
    ///
    /// # Errors
    /// When whoever takes it takes no more; when `docker` is wanted of several platforms.
    pub fn write_to(&self, docker: bool, out: &mut dyn archive::FileSink) -> Result<()> {
        self.layout.write_to(docker, out).map_err(Error::from_kinded)
    }
}

impl Builds<'_> {
    /// Makes documents and blobs of built images.
    ///
    /// # Errors
    /// For forms that cannot be; when it is not wanted any more.
    pub fn export(
        &self,
        parts: &[Part],
        form: &Form,
        unwanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Exported> {
        let images = &self.inner.storage.images;
        let lease = images.lease();
        let (mut target, config) = documents::write(self.inner, parts, form, unwanted)?;
        if let Some(stamp) = form.stamp {
            target.annotations.insert(ANNOTATION_CREATED.to_owned(), stamp.to_string());
        }
        let layout = images.layout(target.clone(), form.names.clone());
        Ok(Exported { target, config, layout, _lease: lease })
    }

    /// Makes an image of what was exported, under its names; its id.
    ///
    /// # Errors
    /// When the disk is full, or a layer does not unpack.
    pub fn keep(&self, exported: &Exported, names: Vec<Reference>) -> Result<String> {
        let storage = &self.inner.storage;
        let pending = storage.images.of_documents(exported.target.clone(), names);
        let kept = storage.keep(pending.map_err(Error::from_kinded)?)?;
        let id = kept.image.id.to_string();
        for name in &kept.names {
            crate::image::event(self.inner, "tag", &id, &name.familiar());
        }
        Ok(id)
    }

    /// The bytes of a blob or document of the store, opened.
    ///
    /// # Errors
    /// When it is not here.
    pub fn open_blob(&self, digest: &Digest) -> Result<std::fs::File> {
        self.inner.storage.images.content().open_blob(digest).map_err(Error::from_kinded)
    }
}
