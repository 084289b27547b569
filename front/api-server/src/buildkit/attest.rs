//! `--provenance` and `--sbom`: what is to be said about a result.

use std::collections::BTreeMap;

use buildkit::server::{Context, Wish};
use engine::build::export::Statement;
use engine::build::{Checksum, Provenance, ProvenanceWish};
use grpc::{Code, Status};

use super::sbom;

/// Options that are about a builder's machine, or about what is said itself.
const LEFT_OUT: [&str; 7] =
    ["cgroup-parent", "image-resolve-mode", "platform", "cache-imports", "no-cache", "context", "filename"];

/// What is to be said.
#[derive(Debug, Clone, Default)]
pub(super) struct Attest {
    provenance: Option<Said>,
    /// The image whose program lists the packages, when that is wanted.
    pub(super) generator: Option<String>,
}

/// How it is to be said where a result comes from.
#[derive(Debug, Clone)]
struct Said {
    /// Only where it travels within the result: no file is written for it, and no index made.
    only_inline: bool,
    wish: ProvenanceWish,
}

/// What statements tell of a build's files.
#[derive(Clone, Copy)]
pub(super) struct Told<'f> {
    /// The Dockerfile.
    pub(super) dockerfile: &'f [u8],
    /// What was found where the context comes from.
    pub(super) checksum: Option<&'f Checksum>,
}

impl Attest {
    /// Reads what a build is asked to say.
    pub(super) fn read(wish: &Wish, invocation: &str, files: Told<'_>) -> Result<Self, Status> {
        let mut attest = Self::default();
        for (kind, value) in &wish.attestations {
            match kind.as_str() {
                "provenance" => {
                    attest.provenance = provenance(value, of_wish(wish, invocation, files))?;
                }
                "sbom" => attest.generator = generator(value)?,
                other => {
                    let text = format!("unknown attestation type {other:?}");
                    return Err(Status::new(Code::InvalidArgument, text));
                }
            }
        }
        Ok(attest)
    }

    /// Where one platform's result comes from, if that is said in what an exporter of this kind makes. Where nobody asked
    /// for it only what goes to registries gets it; an engine's own images stay plain, too.
    pub(super) fn provenance(&self, provenance: &Provenance, exporter: &str) -> Option<Statement> {
        let said = self.provenance.as_ref().filter(|said| !said.only_inline || exporter == "image");
        said.map(|said| provenance.statement(&said.wish))
    }

    /// Whether it may be said where a result comes from.
    pub(super) fn wants_provenance(&self) -> bool {
        self.provenance.is_some()
    }

    /// Whether something is said in any case.
    pub(super) fn says(&self) -> bool {
        self.generator.is_some() || self.provenance.as_ref().is_some_and(|said| !said.only_inline)
    }
}

fn provenance(value: &str, wish: ProvenanceWish) -> Result<Option<Said>, Status> {
    // As with BuildKit: whoever asks for it without a mode gets all of it.
    let mut said = Said { only_inline: false, wish: ProvenanceWish { full: true, ..wish } };
    for (name, value) in fields(value) {
        match name {
            "mode" => said.wish.full = mode(value)?,
            "inline-only" => said.only_inline = flag(name, value)?,
            "reproducible" => said.wish.reproducible = flag(name, value)?,
            "builder-id" => value.clone_into(&mut said.wish.builder),
            "disabled" if flag(name, value)? => return Ok(None),
            // As with BuildKit, what is not known is no error.
            _ => {}
        }
    }
    Ok(Some(said))
}

fn generator(value: &str) -> Result<Option<String>, Status> {
    let mut generator = sbom::USUAL.to_owned();
    for (name, value) in fields(value) {
        match name {
            "generator" if !value.is_empty() => value.clone_into(&mut generator),
            "disabled" if flag(name, value)? => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(generator))
}

fn fields(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let fields = value.split(',').filter(|field| !field.is_empty());
    fields.map(|field| field.split_once('=').unwrap_or((field, "true")))
}

fn mode(value: &str) -> Result<bool, Status> {
    match value {
        "min" => Ok(false),
        "max" => Ok(true),
        other => {
            let text = format!("invalid provenance mode {other:?}: use min or max");
            Err(Status::new(Code::InvalidArgument, text))
        }
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Status> {
    let wrong = || Status::new(Code::InvalidArgument, format!("invalid value {value:?} for {name}"));
    model::boolean::parse(value).ok_or_else(wrong)
}

fn of_wish(wish: &Wish, invocation: &str, files: Told<'_>) -> ProvenanceWish {
    let is_said = |name: &str| {
        !LEFT_OUT.contains(&name)
            && !["attest:", "vcs:", "wharf-"].iter().any(|start| name.starts_with(start))
    };
    let repository = wish.options.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("vcs:")?;
        Some((name.to_owned(), value.clone()))
    });
    let local = |context: &Context| match context {
        Context::Local(name) => Some(name.clone()),
        _ => None,
    };
    let mut folders: Vec<String> = [&wish.context, &wish.dockerfile]
        .into_iter()
        .chain(wish.contexts.values())
        .filter_map(local)
        .collect();
    folders.sort();
    folders.dedup();
    let arguments = wish.options.iter().filter(|(name, _)| is_said(name));
    let arguments: BTreeMap<String, String> =
        arguments.map(|(name, value)| (name.clone(), value.clone())).collect();
    ProvenanceWish {
        invocation: invocation.to_owned(),
        address: match &wish.context {
            Context::Address(address) | Context::Repository(address) => Some(address.clone()),
            _ => None,
        },
        entry_point: wish.filename.clone(),
        checksum: files.checksum.cloned(),
        text: files.dockerfile.to_vec(),
        arguments,
        folders,
        repository: repository.collect(),
        ..ProvenanceWish::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, value: &str) -> Result<Attest, Status> {
        let mut wish = Wish::default();
        wish.attestations.insert(kind.into(), value.into());
        Attest::read(&wish, "id", Told { dockerfile: b"FROM scratch", checksum: None })
    }

    #[test]
    fn what_is_to_be_said_is_read() {
        let said = |value: &str| read("provenance", value).expect("reads").provenance;
        let default = said("mode=min,inline-only=true").expect("wanted");
        assert!(default.only_inline && !default.wish.full);
        let all = said("mode=max,builder-id=https://b,reproducible=true").expect("wanted");
        assert!(all.wish.full && all.wish.reproducible && !all.only_inline);
        assert_eq!(all.wish.builder, "https://b");
        let bare = said("").expect("wanted");
        assert!(bare.wish.full && !bare.only_inline);
        assert!(said("disabled=true").is_none());
        for (kind, value) in [("provenance", "mode=some"), ("sbom", "disabled=perhaps"), ("other", "")] {
            assert!(read(kind, value).is_err(), "{kind} {value}");
        }
    }

    #[test]
    fn a_generator_is_named_or_the_usual_one() {
        let named = |value: &str| read("sbom", value).expect("reads").generator;
        assert_eq!(named("").as_deref(), Some(sbom::USUAL));
        assert_eq!(named("generator=a/b:1").as_deref(), Some("a/b:1"));
        assert_eq!(named("disabled=true"), None);
        assert!(read("sbom", "generator=a").expect("reads").says());
        assert!(!read("provenance", "inline-only=true").expect("reads").says());
    }
}
