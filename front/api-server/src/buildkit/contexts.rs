//! Named contexts: what stands for a name in a Dockerfile, found or fetched before the build begins.

use std::collections::BTreeMap;

use builder::plan::NamedContext;
use buildkit::ops::Definition;
use buildkit::server::{Context, Job, Wish};
use engine::Engine;
use engine::build::{Cancel, ForeignContext};
use grpc::{Code, Status};
use oci::Platform;

use super::{failure, vertex};

/// What the source of a result begins with when its client takes it for the input of another build.
const BUILT: &str = "wharf-built://";

/// Contexts by the names clients gave them, which may end in `::` and a platform.
#[derive(Default)]
pub(super) struct Contexts {
    pub(super) named: BTreeMap<String, NamedContext>,
    /// Files of those that came from elsewhere.
    pub(super) foreign: BTreeMap<String, ForeignContext>,
}

impl Contexts {
    /// Finds all contexts of a build.
    pub(super) fn new(engine: &Engine, wish: &Wish, job: &Job, cancel: &Cancel) -> Result<Self, Status> {
        let mut found = Self::default();
        for (name, context) in &wish.contexts {
            let meaning = match context {
                Context::Image(image) => NamedContext::Image(image.clone()),
                Context::Local(_) => NamedContext::Folder(name.clone()),
                Context::Address(address) => {
                    let title = format!("[context {name}] {address}");
                    let keep = keeps_git_dir(wish);
                    let files = vertex::told(&job.progress, &title, |_| {
                        let fetched = engine.builds().fetch_named_context(address, keep, cancel);
                        fetched.map_err(|error| failure::plain(&error))
                    })?;
                    found.foreign.insert(name.clone(), files);
                    NamedContext::Folder(name.clone())
                }
                Context::Input(input) => NamedContext::Image(input_image(wish, name, input)?),
                Context::OciLayout(layout) => {
                    let text =
                        format!("context {name}: oci-layout://{layout} is not supported by this builder");
                    return Err(Status::new(Code::Unimplemented, text));
                }
                Context::Stage(_) => {
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

/// Whether repositories keep their `.git`.
pub(super) fn keeps_git_dir(wish: &Wish) -> bool {
    let said = wish.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    said.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// A graph that stands for a result, for clients that pass it on.
pub(super) fn as_definition(id: &str) -> Definition {
    Definition::of_source(&format!("{BUILT}{id}"))
}

fn input_image(wish: &Wish, name: &str, input: &str) -> Result<String, Status> {
    let missing = || invalid(format!("invalid input {input} for {name}"));
    let definition = wish.inputs.get(input).ok_or_else(missing)?;
    let built = definition.only_source().and_then(|source| Some(source.strip_prefix(BUILT)?.to_owned()));
    built.ok_or_else(|| {
        let text = format!("context {name}: building from a graph of operations is not supported");
        Status::new(Code::Unimplemented, text)
    })
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
            ("other".to_owned(), Definition::of_source("git://example.test/x")),
            ("broken".to_owned(), Definition { def: vec![vec![0xff], vec![]], ..<_>::default() }),
        ]);
        let wish = Wish { inputs, ..Wish::default() };
        assert_eq!(input_image(&wish, "base", "in").as_deref(), Ok(id));
        let missing = input_image(&wish, "base", "out").expect_err("not there");
        assert_eq!(missing.message, "invalid input out for base");
        for foreign in ["other", "broken"] {
            assert_eq!(input_image(&wish, "base", foreign).expect_err(foreign).code, Code::Unimplemented);
        }
    }

    #[test]
    fn a_name_with_the_platform_counts_more() {
        let image = |name: &str| NamedContext::Image(name.to_owned());
        let named = [("a", "a1"), ("a::linux/arm64", "a2"), ("b::linux/s390x", "b1")];
        let named = named.into_iter().map(|(name, to)| (name.to_owned(), image(to))).collect();
        let contexts = Contexts { named, foreign: BTreeMap::new() };
        let on = |text: &str| contexts.on(&text.parse().expect("a platform"));
        assert_eq!(on("linux/amd64"), BTreeMap::from([("a".to_owned(), image("a1"))]));
        assert_eq!(on("linux/arm64"), BTreeMap::from([("a".to_owned(), image("a2"))]));
        assert_eq!(on("linux/s390x").len(), 2);
    }
}
