//! Named contexts: what stands for a name in a Dockerfile, found or fetched before the build begins.

use std::collections::BTreeMap;

use builder::operation::Remote;
use builder::plan::NamedContext;
use buildkit::ops::Definition;
use buildkit::server::{Context, Job, Wish};
use engine::Engine;
use engine::build::{Cancel, ForeignContext};
use grpc::{Code, Status};
use oci::Platform;

use super::backend::PassingImage;
use super::explain::Memory;
use super::{failure, vertex};

/// What the source of a result begins with when its client takes it for the input of another build.
const BUILT: &str = "wharf-built://";

/// Contexts by the names clients gave them, which may end in `::` and a platform.
#[derive(Default)]
pub(super) struct Contexts {
    pub(super) named: BTreeMap<String, NamedContext>,
    /// Files of those that came from elsewhere.
    pub(super) foreign: BTreeMap<String, ForeignContext>,
    /// Images that were built for it, until the build has them.
    built: Vec<PassingImage>,
}

impl Contexts {
    /// Finds all contexts of a build.
    pub(super) fn new(engine: &Engine, wish: &Wish, job: &Job, cancel: &Cancel) -> Result<Self, Status> {
        let mut found = Self::default();
        let wanted = wish.platforms.first().and_then(|platform| platform.parse().ok());
        let platform = wanted.unwrap_or_else(Platform::host);
        for (name, context) in &wish.contexts {
            let meaning = match context {
                Context::Image(image) => NamedContext::Image(image.clone()),
                Context::Local(_) => NamedContext::Folder(name.clone()),
                Context::Address(address) | Context::Repository(address) | Context::File { address, .. } => {
                    let title = format!("[context {name}] {address}");
                    let remote = remote(wish, address, context);
                    let files = vertex::told(&job.progress, &title, |_| {
                        let fetched = engine.builds().fetch_named_context(&remote, None, cancel);
                        fetched.map_err(|error| failure::plain(&error))
                    })?;
                    found.foreign.insert(name.clone(), files);
                    NamedContext::Folder(name.clone())
                }
                Context::Input(input) => {
                    let image = match input_source(wish, name, input)? {
                        Source::Built(image) => image,
                        Source::Wish(source) => {
                            let parts = super::build::build(engine, &Memory::default(), &source, job)?;
                            let ids = parts.0.into_iter().map(|part| part.outcome.id);
                            let first = found.built.len();
                            found.built.extend(ids.map(|id| PassingImage::new(engine, id)));
                            found.built.get(first).map(|built| built.id.clone()).unwrap_or_default()
                        }
                    };
                    NamedContext::Image(image)
                }
                Context::OciLayout(layout) => {
                    let lent = super::layout::load(engine, job, name, layout, &platform)?;
                    let image = lent.id.clone();
                    found.built.push(lent);
                    NamedContext::Image(image)
                }
                Context::Stage(_) | Context::Nothing => {
                    return Err(invalid(format!("unsupported context source target for {name}")));
                }
            };
            found.named.insert(name.clone(), meaning);
        }
        Ok(found)
    }

    /// What the names mean in a build for one platform.
    pub(super) fn on(&self, platform: &Platform) -> BTreeMap<String, NamedContext> {
        let mut all = BTreeMap::new();
        // Names with a platform are longer and come later, so that they count.
        for (name, context) in &self.named {
            let name = match name.split_once("::") {
                None => name,
                Some((name, of)) if of.parse::<Platform>().is_ok_and(|of| of == *platform) => name,
                Some(_) => continue,
            };
            all.insert(name.to_owned(), context.clone());
        }
        all
    }
}

/// What is fetched for a context.
pub(super) fn remote(wish: &Wish, address: &str, context: &Context) -> Remote {
    let checksum = match context {
        Context::File { checksum, .. } => checksum.clone(),
        _ => None,
    };
    Remote { address: address.to_owned(), checksum, keep_git_dir: keeps_git_dir(wish) }
}

/// Whether repositories keep their `.git`.
pub(super) fn keeps_git_dir(wish: &Wish) -> bool {
    let said = wish.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    said.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// A graph that stands for a result, for clients that pass it on.
pub(super) fn as_definition(id: &str) -> Definition {
    Definition::of_source(&format!("{BUILT}{id}"), BTreeMap::new())
}

/// What an input is.
enum Source {
    /// A result of an earlier build.
    Built(String),
    /// Something to be built first.
    Wish(Box<Wish>),
}

fn input_source(wish: &Wish, name: &str, input: &str) -> Result<Source, Status> {
    let missing = || invalid(format!("invalid input {input} for {name}"));
    let definition = wish.inputs.get(input).ok_or_else(missing)?;
    let source = definition.only_source();
    let built = source.as_ref().and_then(|source| source.identifier.strip_prefix(BUILT));
    match built {
        Some(id) => Ok(Source::Built(id.to_owned())),
        None => Wish::of_source(definition).map(|wish| Source::Wish(Box::new(wish))),
    }
}

fn invalid(text: String) -> Status {
    Status::new(Code::Unknown, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_again_in_their_graphs() {
        let id = "sha256:0123";
        let inputs = BTreeMap::from([
            ("in".to_owned(), as_definition(id)),
            ("other".to_owned(), Definition::of_source("docker-image://a", BTreeMap::new())),
            ("broken".to_owned(), Definition { def: vec![vec![0xff], vec![]], ..<_>::default() }),
        ]);
        let wish = Wish { inputs, ..Wish::default() };
        let Ok(Source::Built(found)) = input_source(&wish, "base", "in") else { panic!("a result") };
        assert_eq!(found, id);
        let Ok(Source::Wish(other)) = input_source(&wish, "base", "other") else { panic!("an image") };
        assert_eq!(other.text.as_deref(), Some("FROM a\n"));
        let refused = |input| input_source(&wish, "base", input).err().expect("refused");
        assert_eq!(refused("out").message, "invalid input out for base");
        assert_eq!(refused("broken").code, Code::Unimplemented);
    }

    #[test]
    fn a_name_with_the_platform_counts_more() {
        let image = |name: &str| NamedContext::Image(name.to_owned());
        let named = [("a", "a1"), ("a::linux/arm64", "a2"), ("b::linux/s390x", "b1")];
        let named = named.into_iter().map(|(name, to)| (name.to_owned(), image(to))).collect();
        let contexts = Contexts { named, ..Contexts::default() };
        let on = |text: &str| contexts.on(&text.parse().expect("a platform"));
        assert_eq!(on("linux/amd64"), BTreeMap::from([("a".to_owned(), image("a1"))]));
        assert_eq!(on("linux/arm64"), BTreeMap::from([("a".to_owned(), image("a2"))]));
        assert_eq!(on("linux/s390x").len(), 2);
    }
}
