//! What an exporter is told, typed.

use std::collections::BTreeMap;

use buildkit::server::Export;
use engine::build::export::{Annotations, Packing};
use grpc::{Code, Status};
use model::Timestamp;
use oci::Reference;

use crate::buildkit::failure;

/// The options of an exporter.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// How the image is called.
    pub(super) names: Vec<Reference>,
    /// It is called by its digest, too.
    pub(super) canonical: bool,
    /// It goes to the registry of its name.
    pub(super) push: bool,
    /// No tag is set there.
    pub(super) by_digest: bool,
    /// It becomes an image of this engine.
    pub(super) keep: bool,
    /// One file, in place of a folder.
    pub(super) tar: bool,
    /// How layers are packed, when that was said.
    pub(super) packing: Option<Packing>,
    /// Whether media types are OCI's, when that was said.
    pub(super) oci_types: Option<bool>,
    /// Files of layers get times, too.
    pub(super) rewrite: bool,
    /// The time that is meant, if it is not the build's.
    pub(super) epoch: Option<Timestamp>,
    /// Each platform gets a folder, when that was said.
    pub(super) split: Option<bool>,
    /// Before the names of files about a result.
    pub(super) statement_prefix: String,
    pub(super) annotations: Annotations,
}

impl Options {
    /// Reads them; ones nobody knows are left out, as BuildKit does.
    pub(super) fn read(export: &Export) -> Result<Self, Status> {
        let mut options = Self { keep: true, tar: true, ..Self::default() };
        let mut packing = (None, None, false);
        for (name, value) in &export.options {
            match name.as_str() {
                "name" => options.names = names(value)?,
                "name-canonical" => options.canonical = flag(name, value)?,
                "push" => options.push = flag(name, value)?,
                "push-by-digest" => options.by_digest = flag(name, value)?,
                "store" => options.keep = flag(name, value)?,
                "tar" => options.tar = flag(name, value)?,
                "oci-mediatypes" => options.oci_types = Some(flag(name, value)?),
                "rewrite-timestamp" => options.rewrite = flag(name, value)?,
                "source-date-epoch" if !value.is_empty() => {
                    let epoch = engine::build::parse_epoch(value);
                    options.epoch = Some(epoch.map_err(|error| failure::plain(&error))?);
                }
                "platform-split" => options.split = Some(flag(name, value)?),
                "attestation-prefix" => options.statement_prefix.clone_from(value),
                "compression" => packing.0 = Some(compression(value)?),
                "compression-level" => {
                    let wrong = |_| invalid(format!("invalid value {value:?} for {name}"));
                    packing.1 = Some(value.parse::<i32>().map_err(wrong)?);
                }
                "force-compression" => packing.2 = flag(name, value)?,
                other => {
                    let read = options.annotations.option(other, value);
                    read.map_err(|error| failure::plain(&error))?;
                }
            }
        }
        options.pack(packing)?;
        Ok(options)
    }

    fn pack(
        &mut self,
        (compression, level, force): (Option<archive::Compression>, Option<i32>, bool),
    ) -> Result<(), Status> {
        if compression == Some(archive::Compression::Zstd) && self.oci_types == Some(false) {
            return Err(invalid("compression zstd needs oci-mediatypes=true".to_owned()));
        }
        let said = compression.is_some() || level.is_some() || force;
        let compression = compression.unwrap_or(archive::Compression::Gzip);
        self.packing = said.then_some(Packing { compression, level, force });
        Ok(())
    }

    /// How layers are packed where nobody says: as BuildKit does.
    pub(super) fn packing_or_gzip(&self) -> Packing {
        let usual = Packing { compression: archive::Compression::Gzip, level: None, force: false };
        self.packing.unwrap_or(usual)
    }
}

/// `a,b:1`: names, each with a tag.
fn names(text: &str) -> Result<Vec<Reference>, Status> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let parse = |name: &str| {
        let reference = name.parse::<Reference>();
        reference
            .map(Reference::or_latest)
            .map_err(|error| invalid(format!("failed to parse {name}: {error}")))
    };
    names.map(parse).collect()
}

fn compression(text: &str) -> Result<archive::Compression, Status> {
    match text {
        "uncompressed" => Ok(archive::Compression::None),
        "gzip" => Ok(archive::Compression::Gzip),
        "zstd" => Ok(archive::Compression::Zstd),
        other => {
            let known = "use uncompressed, gzip or zstd";
            Err(invalid(format!("compression {other:?} is not supported by this builder: {known}")))
        }
    }
}

/// An option that is yes or no; without a value it is yes.
fn flag(name: &str, value: &str) -> Result<bool, Status> {
    if value.is_empty() {
        return Ok(true);
    }
    model::boolean::parse(value)
        .ok_or_else(|| invalid(format!("non-bool value {value:?} specified for {name}")))
}

fn invalid(text: String) -> Status {
    Status::new(Code::InvalidArgument, text)
}

/// Facts as the client's metadata file has them.
pub(super) type Facts = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Options, Status> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options::read(&Export { number: 0, kind: "oci".into(), options, inline_cache: false })
    }

    #[test]
    fn options_are_typed() {
        let options = read(&[
            ("name", "a, b:1"),
            ("name-canonical", ""),
            ("push", "true"),
            ("tar", "false"),
            ("compression", "zstd"),
            ("compression-level", "7"),
            ("annotation.k", "v"),
            ("source-date-epoch", "5"),
            ("unknown", "x"),
        ])
        .expect("reads");
        let names: Vec<String> = options.names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["a:latest", "b:1"]);
        assert!(options.canonical && options.push && !options.tar && options.keep);
        let packing = options.packing.expect("said");
        assert_eq!((packing.compression, packing.level), (archive::Compression::Zstd, Some(7)));
        assert_eq!(options.epoch, Some(Timestamp::from_unix(5, 0)));
        assert!(!options.annotations.is_empty());
        assert!(read(&[]).expect("reads").packing.is_none());
        assert!(read(&[("force-compression", "true")]).expect("reads").packing.is_some_and(|one| one.force));
    }

    #[test]
    fn wrong_options_are_refused() {
        for wrong in [
            ("name", "UPPER"),
            ("push", "maybe"),
            ("compression", "estargz"),
            ("compression-level", "high"),
            ("source-date-epoch", "today"),
            ("annotation-layer.a", "b"),
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(read(&[("compression", "zstd"), ("oci-mediatypes", "false")]).is_err());
    }
}
