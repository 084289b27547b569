//! Layers in the form in which they leave: other times of files, other compression.

use std::io::{self, BufWriter, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use archive::{Compression, Encoder};
use image::Layer;
use oci::digest::Algorithm;
use oci::image::{Descriptor, media};

use super::{Form, Packing};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Docker's name of a layer that is compressed with zstd.
const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// Bytes handed on at once.
const BLOCK: usize = 256 << 10;

/// All layers of an image, side by side; the files of the lowest `base` ones stay as they are.
pub(in crate::build) fn formed(
    inner: &Inner,
    layers: &[Layer],
    base: usize,
    form: &Form,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Layer>> {
    let stay = form.packing.is_none() && form.rewrite.is_none();
    let processors = if stay { 1 } else { usize::try_from(inner.machine.processors).unwrap_or(1) };
    let threads = processors.clamp(1, layers.len().max(1));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<Layer>>>> = Mutex::new(layers.iter().map(|_| None).collect());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = layers.get(index) else { return };
            let made = one(inner, layer, index >= base, form, unwanted);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            if made.is_err() {
                // The rest is not worth doing.
                next.store(layers.len(), Ordering::Relaxed);
            }
            if let Some(place) = done.get_mut(index) {
                *place = Some(made);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut made = Vec::new();
    let mut skipped = false;
    for one in done {
        match one {
            Some(one) => made.push(one?),
            None => skipped = true,
        }
    }
    if skipped { Err(Error::internal("a layer was not exported")) } else { Ok(made) }
}

fn one(
    inner: &Inner,
    layer: &Layer,
    is_new: bool,
    form: &Form,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Layer> {
    let mut layer = layer.clone();
    if let Some(latest) = form.rewrite.filter(|_| is_new) {
        layer = rewritten(inner, &layer, latest.seconds(), unwanted)?;
    }
    let present = compression(&layer.blob.media_type);
    if let Some(packing) = form.packing
        && packing.compression != present
        && (packing.force || present == Compression::None)
    {
        layer.blob = packed(inner, &layer, packing, unwanted)?;
    }
    layer.blob.media_type = media_type(compression(&layer.blob.media_type), form.docker_types).to_owned();
    layer.blob.annotations.clear();
    Ok(layer)
}

fn rewritten(
    inner: &Inner,
    layer: &Layer,
    latest: i64,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Layer> {
    let images = &inner.storage.images;
    let stream = images.open_tar(&layer.blob.digest, &layer.diff_id);
    let stream = Watched { stream: stream.doing(|| "reading a layer".to_owned())?, unwanted };
    let writer = images.layer_writer().map_err(Error::from_kinded)?;
    let writer = archive::rewrite::clamp_times(stream, latest, writer).map_err(Error::from_kinded)?;
    let new = writer.finish().map_err(Error::from_kinded)?;
    let blob = Descriptor::new(media::OCI_LAYER, new.diff_id.clone(), new.size);
    Ok(Layer { diff_id: new.diff_id, blob })
}

fn packed(
    inner: &Inner,
    layer: &Layer,
    packing: Packing,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Descriptor> {
    let images = &inner.storage.images;
    let what = || "compressing a layer".to_owned();
    let stream = images.open_tar(&layer.blob.digest, &layer.diff_id).doing(what)?;
    let mut stream = Watched { stream, unwanted };
    let ingest = images.content().ingest(Algorithm::Sha256).map_err(Error::from_kinded)?;
    let out = BufWriter::with_capacity(BLOCK, ingest);
    let mut encoder = Encoder::new(out, packing.compression, packing.level).map_err(Error::from_kinded)?;
    let mut block = vec![0; BLOCK];
    loop {
        let count = stream.read(&mut block).doing(what)?;
        if count == 0 {
            break;
        }
        encoder.write_all(block.get(..count).unwrap_or_default()).doing(what)?;
    }
    let out = encoder.finish().doing(what)?;
    let ingest = out.into_inner().map_err(io::IntoInnerError::into_error).doing(what)?;
    let (digest, size) = ingest.finish(None).map_err(Error::from_kinded)?;
    Ok(Descriptor::new(media_type(packing.compression, false), digest, size))
}

/// How a layer is packed, by its media type.
fn compression(media_type: &str) -> Compression {
    if media_type.contains("gzip") {
        Compression::Gzip
    } else if media_type.contains("zstd") {
        Compression::Zstd
    } else {
        Compression::None
    }
}

fn media_type(compression: Compression, docker: bool) -> &'static str {
    match (compression, docker) {
        (Compression::Gzip, false) => media::OCI_LAYER_GZIP,
        (Compression::Gzip, true) => media::DOCKER_LAYER_GZIP,
        (Compression::Zstd, false) => media::OCI_LAYER_ZSTD,
        (Compression::Zstd, true) => DOCKER_LAYER_ZSTD,
        (_, false) => media::OCI_LAYER,
        (_, true) => media::DOCKER_LAYER,
    }
}

/// A stream that ends when nobody wants it any more.
struct Watched<'w, R> {
    stream: R,
    unwanted: &'w (dyn Fn() -> bool + Sync),
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if (self.unwanted)() {
            return Err(io::Error::other("context canceled"));
        }
        self.stream.read(into)
    }
}
