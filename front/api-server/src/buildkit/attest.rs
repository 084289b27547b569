//! `--provenance` and `--sbom`: what is to be said about a result.

use std::collections::BTreeMap;

use buildkit::server::{Context, Wish};
use engine::build::export::Statement;
use engine::build::{Provenance, ProvenanceWish};
use grpc::{Code, Status};

/// Options that are about a builder's machine, or about what is said itself.
const LEFT_OUT: [&str; 7] =
    ["cgroup-parent", "image-resolve-mode", "platform", "cache-imports", "no-cache", "context", "filename"];

/// What is to be said.
#[derive(Debug, Clone)]
pub(super) struct Attest {
    /// Only where it travels within the result: no file is written for it, and no index made.
    pub(super) only_inline: bool,
    wish: ProvenanceWish,
}

impl Attest {
    /// Reads what a build is asked to say; nothing is none.
    pub(super) fn read(wish: &Wish, invocation: &str, dockerfile: &[u8]) -> Result<Option<Self>, Status> {
        for kind in wish.attestations.keys() {
            match kind.as_str() {
                "provenance" => {}
                "sbom" => {
                    let text = "attestation of type sbom is not supported by this builder: it would run a program of another image (build with --sbom=false)";
                    return Err(Status::new(Code::Unimplemented, text));
                }
                other => {
                    let text = format!("unknown attestation type {other:?}");
                    return Err(Status::new(Code::InvalidArgument, text));
                }
            }
        }
        let Some(said) = wish.attestations.get("provenance") else { return Ok(None) };
        let mut attest = Self { only_inline: false, wish: of_wish(wish, invocation, dockerfile) };
        // As with BuildKit: whoever asks for it without a mode gets all of it.
        attest.wish.full = true;
        for field in said.split(',').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, "true"));
            match name {
                "mode" => attest.wish.full = mode(value)?,
                "inline-only" => attest.only_inline = flag(name, value)?,
                "reproducible" => attest.wish.reproducible = flag(name, value)?,
                "builder-id" => value.clone_into(&mut attest.wish.builder),
                "disabled" if flag(name, value)? => return Ok(None),
                // As with BuildKit, what is not known is no error.
                _ => {}
            }
        }
        Ok(Some(attest))
    }

    /// Where one platform's result comes from.
    pub(super) fn provenance(&self, provenance: &Provenance) -> Statement {
        provenance.statement(&self.wish)
    }
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

fn of_wish(wish: &Wish, invocation: &str, dockerfile: &[u8]) -> ProvenanceWish {
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
        text: dockerfile.to_vec(),
        arguments,
        folders,
        repository: repository.collect(),
        ..ProvenanceWish::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, value: &str) -> Result<Option<Attest>, Status> {
        let mut wish = Wish::default();
        wish.attestations.insert(kind.into(), value.into());
        Attest::read(&wish, "id", b"FROM scratch")
    }

    #[test]
    fn what_is_to_be_said_is_read() {
        let default = read("provenance", "mode=min,inline-only=true").expect("reads").expect("wanted");
        assert!(default.only_inline && !default.wish.full);
        let all = read("provenance", "mode=max,builder-id=https://b,reproducible=true").expect("reads");
        let all = all.expect("wanted");
        assert!(all.wish.full && all.wish.reproducible && !all.only_inline);
        assert_eq!(all.wish.builder, "https://b");
        let bare = read("provenance", "").expect("reads").expect("wanted");
        assert!(bare.wish.full && !bare.only_inline);
        assert!(read("provenance", "disabled=true").expect("reads").is_none());
        for (kind, value) in [("provenance", "mode=some"), ("sbom", ""), ("other", "")] {
            assert!(read(kind, value).is_err(), "{kind} {value}");
        }
    }
}
