//! Makes images from layers that were made here: commit, import.

use std::io::{self, BufWriter, Write};

use oci::digest::Algorithm;
use oci::image::{Descriptor, ImageConfig, Manifest, media};
use oci::{Digest, Reference};

use crate::content::Ingest;
use crate::error::Result;
use crate::record::Record;
use crate::{Image, ImageError, Images, Lease, Pending};

/// Bytes that are hashed and written at once.
const BLOCK: usize = 128 << 10;

/// A layer that is being written: uncompressed tar, kept exactly as it comes.
pub struct LayerWriter {
    /// A tar comes in pieces of a few hundred bytes.
    ingest: BufWriter<Ingest>,
    lease: Lease,
}

/// A layer that is in the content store and waits for its image.
pub struct NewLayer {
    /// Digest of the tar, which is the blob's too.
    pub diff_id: Digest,
    /// Bytes of the tar.
    pub size: u64,
    _lease: Lease,
}

impl LayerWriter {
    /// Finishes the layer.
    pub fn finish(self) -> Result<NewLayer> {
        let ingest = self.ingest.into_inner().map_err(|error| {
            let source = error.into_error();
            ImageError::Archive(archive::ArchiveError::Write(source))
        })?;
        let (diff_id, size) = ingest.finish(None)?;
        Ok(NewLayer { diff_id, size, _lease: self.lease })
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ingest.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ingest.flush()
    }
}

impl Images {
    /// Starts a layer.
    pub fn layer_writer(&self) -> Result<LayerWriter> {
        let lease = self.lease();
        let ingest = self.content().ingest(Algorithm::Sha256)?;
        Ok(LayerWriter { ingest: BufWriter::with_capacity(BLOCK, ingest), lease })
    }

    /// Makes an image of a parent's layers and a new one. `config` says everything but the layers, with the history
    /// entry of the new layer at its end.
    pub fn create(
        &self,
        mut config: ImageConfig,
        parent: Option<&Image>,
        layer: Option<NewLayer>,
        name: Option<&Reference>,
    ) -> Result<Pending> {
        let lease = self.lease();
        config.rootfs = parent.map(|parent| parent.config.rootfs.clone()).unwrap_or_default();
        let mut layers: Vec<Descriptor> = parent
            .map(|parent| parent.layers.iter().map(|layer| layer.blob.clone()).collect())
            .unwrap_or_default();
        if let Some(layer) = &layer {
            config.rootfs.diff_ids.push(layer.diff_id.clone());
            layers.push(Descriptor::new(media::OCI_LAYER, layer.diff_id.clone(), layer.size));
        }
        let target = self.put_manifest(&config, layers)?;
        let names: Vec<Reference> = name.map(|name| name.clone().or_latest()).into_iter().collect();
        let parent = parent.map(|parent| parent.id.clone());
        Pending::new(self, Record::new(target, parent), names, None, lease)
    }

    /// Makes an image of layers whose blobs are here. `config` says everything, the layers' diff ids included.
    pub fn assemble(
        &self,
        config: &ImageConfig,
        layers: Vec<Descriptor>,
        names: Vec<Reference>,
    ) -> Result<Pending> {
        let lease = self.lease();
        let target = self.put_manifest(config, layers)?;
        let names = names.into_iter().map(Reference::or_latest).collect();
        Pending::new(self, Record::new(target, None), names, None, lease)
    }

    /// An image whose documents are in the store already: a manifest, or an index of several, of which this machine's, or
    /// else the first one, has to be complete.
    pub fn of_documents(&self, target: Descriptor, names: Vec<Reference>) -> Result<Pending> {
        let lease = self.lease();
        let names = names.into_iter().map(Reference::or_latest).collect();
        // What its place in an archive would say of it is no part of it.
        let target = Descriptor { annotations: std::collections::BTreeMap::new(), ..target };
        Pending::new(self, Record::new(target, None), names, None, lease)
    }

    /// Writes the documents of an image of this platform.
    pub(crate) fn put_manifest(&self, config: &ImageConfig, layers: Vec<Descriptor>) -> Result<Descriptor> {
        let encode_error = |source| ImageError::Document { what: "the new image".to_owned(), source };
        let config = serde_json::to_vec(config).map_err(encode_error)?;
        self.put_manifest_of(Descriptor::of(media::OCI_CONFIG, &config), Some(&config), layers)
    }

    /// Writes a manifest for a configuration, which is written too when its bytes are given.
    pub(crate) fn put_manifest_of(
        &self,
        config: Descriptor,
        bytes: Option<&[u8]>,
        layers: Vec<Descriptor>,
    ) -> Result<Descriptor> {
        if let Some(bytes) = bytes {
            self.content().put(bytes)?;
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|source| ImageError::Document { what: "the new manifest".to_owned(), source })?;
        self.content().put(&bytes)?;
        Ok(Descriptor::of(media::OCI_MANIFEST, &bytes))
    }
}
