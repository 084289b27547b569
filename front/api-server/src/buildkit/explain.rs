//! Why each step was done or taken from the cache: what is different from the last build of the same files.
//!
//! Every build leaves what its steps were made of; it is compared with the next one when somebody asks. Which files of a
//! folder changed is known from the second time on that somebody asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use builder::operation::{Origin, Selection};
use builder::solve::Done;
use builder::{Operation, VertexId};
use buildkit::server::{Job, Wish};
use serde_json::Value as Json;

use super::vertex;

/// The step that tells it; wharf's own client knows it by this name.
const TITLE: &str = "[internal] explain the cache";
/// Builds that are remembered.
const MOST: usize = 256;
/// Files named for one step.
const NAMED: usize = 5;
/// Files looked at in one folder.
const FILES: usize = 100_000;

/// What builds before were made of, by what they built.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, Past>>);

/// One build of the past.
#[derive(Default, Clone)]
struct Past {
    steps: Vec<Made>,
    folders: HashMap<String, Listing>,
}

/// The files of a folder: size, time in nanoseconds, permissions.
type Listing = BTreeMap<String, (u64, i64, u32)>;

/// What a step was made of.
#[derive(Debug, Clone)]
struct Made {
    written: String,
    operation: Operation,
    /// The root it was done in; empty when its result does not depend on that.
    root: String,
    sources: Vec<String>,
}

/// The steps of a build under way.
#[derive(Default)]
pub(super) struct Told(BTreeMap<VertexId, Step>);

struct Step {
    /// As it is shown.
    name: String,
    /// As it is written, which finds it again when what its variables stand for has changed.
    written: String,
    operation: Operation,
    inputs: Vec<VertexId>,
    ignore_cache: bool,
    end: Option<(Done, String)>,
}

impl Told {
    /// A step is planned.
    pub(super) fn plan(&mut self, id: VertexId, name: &str, planned: &builder::graph::Vertex) {
        let step = Step {
            name: name.to_owned(),
            written: planned.name.clone(),
            operation: planned.operation.clone(),
            inputs: planned.inputs.clone(),
            ignore_cache: planned.ignore_cache,
            end: None,
        };
        self.0.insert(id, step);
    }

    /// A step has ended well.
    pub(super) fn end(&mut self, id: VertexId, done: &Done) {
        let ids = done.state.iter().map(|layer| layer.diff_id.as_str());
        let state = ids.collect::<Vec<_>>().join(" ");
        if let Some(step) = self.0.get_mut(&id) {
            step.end = Some((done.clone(), state));
        }
    }

    fn name(&self, id: Option<&VertexId>) -> &str {
        id.and_then(|id| self.0.get(id)).map_or("a step before", |step| step.name.as_str())
    }

    fn made(&self, step: &Step) -> Option<Made> {
        let (done, _) = step.end.as_ref()?;
        let is_free = matches!(&step.operation, Operation::Copy(copy) if copy.link);
        let root = step.inputs.first().filter(|_| !is_free).and_then(|id| self.0.get(id)?.end.as_ref());
        Some(Made {
            written: step.written.clone(),
            operation: step.operation.clone(),
            root: root.map(|(_, state)| state.clone()).unwrap_or_default(),
            sources: done.sources.iter().map(ToString::to_string).collect(),
        })
    }
}

impl Memory {
    /// Remembers a build; tells why its steps were done when the client asks for it. `folder` is where a folder of
    /// the build is, by its name.
    pub(super) fn take(
        &self,
        wish: &Wish,
        job: &Job,
        platform: &str,
        told: &Told,
        folder: &dyn Fn(&str) -> Option<PathBuf>,
    ) {
        let subject = subject(wish, job, platform);
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&subject).cloned();
        let mut now = Past::default();
        now.steps.extend(told.0.values().filter_map(|step| told.made(step)));
        if wish.explain {
            for name in contexts(told) {
                now.folders.extend(folder(&name).map(|path| (name, list(&path))));
            }
            let lines = explain(told, before.as_ref(), &now);
            let outcome = vertex::told(&job.progress, TITLE, |_| {
                job.progress.log(&vertex::digest(TITLE), 1, lines.as_bytes());
                Ok(())
            });
            debug_assert!(outcome.is_ok());
        } else if let Some(before) = before {
            now.folders = before.folders;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&subject) {
            all.clear();
        }
        all.insert(subject, now);
    }
}

/// What tells builds of different things apart.
fn subject(wish: &Wish, job: &Job, platform: &str) -> String {
    let place = wish.place.as_ref().map(|place| place.path.as_str());
    let shared = || job.session.get().map(|session| session.info().shared_key.as_str());
    let from = place.or_else(shared).unwrap_or_default();
    let target = wish.target.as_deref().unwrap_or_default();
    format!("{from}\n{:?}\n{}\n{target}\n{platform}", wish.context, wish.filename)
}

fn contexts(told: &Told) -> BTreeSet<String> {
    let selections = told.0.values().flat_map(|step| step.operation.selections());
    selections
        .filter_map(|selection| match &selection.origin {
            Origin::Context(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// A line for each step that does something.
fn explain(told: &Told, before: Option<&Past>, now: &Past) -> String {
    let mut lines = String::new();
    for (place, step) in told.0.values().filter(|step| !is_source(step)).enumerate() {
        let why = match &step.end {
            None => "failed, or was not reached".to_owned(),
            Some((done, _)) if done.cached => "from the cache".to_owned(),
            Some(_) => format!("done: {}", reason(told, step, place, before, now)),
        };
        lines.push_str(&format!("{}: {why}\n", step.name));
    }
    lines
}

fn is_source(step: &Step) -> bool {
    !is_work(&step.operation)
}

fn is_work(operation: &Operation) -> bool {
    !matches!(operation, Operation::Source(_) | Operation::Merge | Operation::Diff)
}

/// What is different.
fn reason(told: &Told, step: &Step, place: usize, before: Option<&Past>, now: &Past) -> String {
    if step.ignore_cache {
        return "the cache was not to be used".to_owned();
    }
    let Some(before) = before else { return "nothing is known of a build before".to_owned() };
    let Some(made) = told.made(step) else { return String::new() };
    let worked = || before.steps.iter().filter(|made| is_work(&made.operation));
    let same = worked().find(|known| known.written == made.written);
    let Some(known) = same else {
        return match worked().nth(place) {
            Some(other) => format!("the instruction is new; in its place was {}", other.written),
            None => "the instruction is new".to_owned(),
        };
    };
    let json = |operation: &Operation| serde_json::to_value(operation).unwrap_or_default();
    let mut reasons = differences(&json(&known.operation), &json(&made.operation));
    for (number, selection) in step.operation.selections().into_iter().enumerate() {
        if known.sources.get(number) != made.sources.get(number) {
            reasons.push(source(told, step, selection, before, now));
        }
    }
    if reasons.is_empty() && known.root != made.root {
        reasons.push(format!("what it stands on changed: {}", told.name(step.inputs.first())));
    }
    if reasons.is_empty() { "its result was no longer kept".to_owned() } else { reasons.join("; ") }
}

/// Which files changed.
fn source(told: &Told, step: &Step, selection: &Selection, before: &Past, now: &Past) -> String {
    match &selection.origin {
        Origin::Context(name) => {
            let named = before.folders.get(name).zip(now.folders.get(name));
            let changed =
                named.map(|(before, now)| changes(before, now, &selection.paths)).unwrap_or_default();
            if changed.is_empty() {
                return format!("its files changed ({})", selection.paths.join(", "));
            }
            let more = match changed.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown: Vec<String> = changed.into_iter().take(NAMED).collect();
            format!("files changed: {}{more}", shown.join(", "))
        }
        Origin::Input(input) => {
            format!("the files it takes from {} changed", told.name(step.inputs.get(*input)))
        }
        Origin::Inline(_) => "the text of its files changed".to_owned(),
        Origin::Remote(remote) => format!("{} gives something else", remote.address),
    }
}

/// Files that are new, gone or different among those that paths select.
fn changes(before: &Listing, now: &Listing, paths: &[String]) -> Vec<String> {
    let is_selected = |file: &str| {
        paths.iter().any(|path| {
            let path = model::path::below_root(path);
            // What a pattern selects is taken generously: its plain beginning has to fit.
            let plain = path.split(['*', '?', '[', '\\']).next().unwrap_or_default();
            let is_wild = plain.len() != path.len();
            plain.is_empty()
                || file == plain
                || file.strip_prefix(plain).is_some_and(|rest| is_wild || rest.starts_with('/'))
        })
    };
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let word = |name: &&String| match (before.get(*name), now.get(*name)) {
        (None, Some(_)) => Some(format!("{name} (new)")),
        (Some(_), None) => Some(format!("{name} (gone)")),
        (one, other) if one != other => Some((*name).clone()),
        _ => None,
    };
    names.iter().filter(|name| is_selected(name)).filter_map(word).collect()
}

/// How two operations differ, in words.
fn differences(before: &Json, now: &Json) -> Vec<String> {
    let inner =
        |json: &Json| json.as_object().and_then(|all| all.values().next().cloned()).unwrap_or_default();
    let (before, now) = (inner(before), inner(now));
    let fields = now.as_object().into_iter().flatten();
    let changed = fields.filter(|(name, value)| before.get(name.as_str()) != Some(value));
    changed
        .map(|(name, value)| match name.as_str() {
            "environment" => variables(before.get("environment"), value),
            "arguments" => "its command changed".to_owned(),
            "selections" => "what it takes changed".to_owned(),
            name => format!("its {} changed", name.replace('_', " ")),
        })
        .collect()
}

/// The variables whose values differ; their names only.
fn variables(before: Option<&Json>, now: &Json) -> String {
    let read = |json: Option<&Json>| -> BTreeMap<String, String> {
        let list = json.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        list.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let (before, now) = (read(before), read(Some(now)));
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let names: Vec<&str> =
        names.into_iter().filter(|name| before.get(*name) != now.get(*name)).map(String::as_str).collect();
    match names.as_slice() {
        [] => "the order of its variables changed".to_owned(),
        [name] => format!("the variable {name} changed"),
        names => format!("the variables {} changed", names.join(", ")),
    }
}

/// The files of a folder that builds see; as many as there are until one cannot be looked at.
fn list(path: &Path) -> Listing {
    let Ok(context) = build_context::Context::open(path, None) else { return Listing::new() };
    let entries = context.walk().map_while(Result::ok).take(FILES);
    entries
        .map(|entry| {
            let nanos =
                entry.modified.0.saturating_mul(1_000_000_000).saturating_add(entry.modified.1.into());
            let is_folder = entry.kind == build_context::EntryKind::Directory;
            // A folder has a new time with each file in it.
            let time = if is_folder { 0 } else { nanos };
            (entry.path.to_string_lossy().into_owned(), (entry.size, time, entry.mode))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_differ_in_words() {
        let exec = |command: &str, variables: &[&str]| json!({ "Exec": { "arguments": ["sh", command], "environment": variables, "working_directory": "/" } });
        let before = exec("make", &["A=1", "B=2"]);
        assert_eq!(differences(&before, &before), [""; 0]);
        assert_eq!(differences(&before, &exec("make", &["A=1", "B=3"])), ["the variable B changed"]);
        assert_eq!(differences(&before, &exec("make", &["C=1"])), ["the variables A, B, C changed"]);
        assert_eq!(
            differences(&before, &exec("test", &["B=2", "A=1"])),
            ["its command changed", "the order of its variables changed"]
        );
    }

    #[test]
    fn only_selected_files_are_named() {
        let listing = |files: &[(&str, u64)]| -> Listing {
            files.iter().map(|(name, size)| ((*name).to_owned(), (*size, 0, 0o644))).collect()
        };
        let before = listing(&[("src/a", 1), ("src/b", 1), ("srcs", 1), ("other", 1)]);
        let now = listing(&[("src/a", 2), ("src/c", 1), ("srcs", 2), ("other", 2)]);
        let of = |path: &str| changes(&before, &now, &[path.to_owned()]);
        assert_eq!(of("src/"), ["src/a", "src/b (gone)", "src/c (new)"]);
        assert_eq!(of("/other"), ["other"]);
        assert_eq!(of("s*"), ["src/a", "src/b (gone)", "src/c (new)", "srcs"]);
        assert_eq!(of(".").len(), 5);
    }
}
