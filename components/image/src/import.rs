//! Makes an image of one layer from a root file system's tar stream.

use std::io::{self, Read};

use model::Timestamp;
use oci::image::{History, ImageConfig};
use oci::{Platform, Reference};

use crate::error::Result;
use crate::{Images, Pending};

/// The configuration of an imported image: what the engine's changes (`CMD`, `ENV`, ...) then apply to. An empty
/// message becomes Docker's `Imported from SOURCE`.
pub fn import_config(source: &str, message: &str, platform: &Platform) -> ImageConfig {
    let now = Timestamp::now();
    let comment = if message.is_empty() { format!("Imported from {source}") } else { message.to_owned() };
    ImageConfig {
        created: Some(now),
        platform: platform.clone(),
        comment: comment.clone(),
        history: vec![History { created: Some(now), comment, ..History::default() }],
        ..ImageConfig::default()
    }
}

impl Images {
    /// Imports a tar stream, compressed or not. Its members are looked at before anything is kept: what is no tar is
    /// refused.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        config: ImageConfig,
        name: Option<&Reference>,
    ) -> Result<Pending> {
        let mut writer = self.layer_writer()?;
        let stream = Tee { source: archive::Decoder::new(tar)?, copy: &mut writer };
        let mut reader = archive::Reader::new(stream, archive::Limits::DEFAULT);
        while reader.next_entry()?.is_some() {}
        reader.drain()?;
        self.create(config, None, Some(writer.finish()?), name)
    }
}

/// Passes bytes through and writes them elsewhere too.
struct Tee<'a, R, W> {
    source: R,
    copy: &'a mut W,
}

impl<R: Read, W: io::Write> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.copy.write_all(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
