//! What a Dockerfile takes and gives: its stages, and what the build of one of them can be told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use builder::Dockerfile;
use builder::dockerfile::{Argument, Expansion, Instruction, Lines, MountKind, Run, Stage};
use buildkit::ops::SourceInfo;
use buildkit::server::Wish;
use grpc::{Code, Status};
use oci::Platform;
use serde_json::{Map, Value, json};

use super::subrequest::{bytes, columns, location};

/// The stages, as JSON and as text.
pub(super) fn targets(file: &Dockerfile, source: &SourceInfo) -> (Value, String) {
    let comments = Comments::new(source);
    let (mut all, mut rows) = (Vec::new(), vec![row(&["TARGET", "DESCRIPTION"])]);
    for (index, stage) in file.stages.iter().enumerate() {
        let from = &stage.from.value;
        let is_last = index + 1 == file.stages.len();
        let description = from.name.as_deref().and_then(|name| comments.about(stage.from.lines, name));
        let mut known = Map::new();
        put(&mut known, "name", from.name.as_deref().unwrap_or_default());
        if is_last {
            known.insert("default".into(), true.into());
        }
        put(&mut known, "description", description.unwrap_or_default());
        put(&mut known, "base", &from.base);
        put(&mut known, "platform", from.platform.as_deref().unwrap_or_default());
        known.insert("location".into(), location(stage.from.lines));
        all.push(Value::Object(known));
        let shown = match (&from.name, is_last) {
            (Some(name), true) => format!("{name} (default)"),
            (Some(name), false) => name.clone(),
            (None, true) => "(default)".to_owned(),
            (None, false) => String::new(),
        };
        rows.push(row(&[&shown, description.unwrap_or_default()]));
    }
    (json!({ "targets": all, "sources": [bytes(source)] }), columns(&rows, 1))
}

/// What the build of a stage can be told, as JSON and as text.
pub(super) fn outline(
    file: &Dockerfile,
    source: &SourceInfo,
    wish: &Wish,
) -> Result<(Value, String), Status> {
    let target = target(file, wish)?;
    let mut outline = Outline::new(file, wish, Comments::new(source));
    outline.globals();
    outline.visit(target);
    let stage = file.stages.get(target).map(|stage| &stage.from);
    let name = stage.and_then(|from| from.value.name.as_deref()).unwrap_or_default();
    let description = stage.and_then(|from| outline.comments.about(from.lines, name)).unwrap_or_default();
    Ok(outline.finish(name, description, source))
}

/// The stage that is asked about; the last one when none is named.
fn target(file: &Dockerfile, wish: &Wish) -> Result<usize, Status> {
    let Some(name) = &wish.target else { return Ok(file.stages.len().saturating_sub(1)) };
    file.stage(name)
        .ok_or_else(|| Status::new(Code::Unknown, format!("target stage {name:?} could not be found")))
}

/// An argument where it is declared.
#[derive(Clone)]
struct Known {
    value: Option<String>,
    lines: Lines,
    description: String,
    /// The arguments its default is made of.
    needs: BTreeSet<String>,
}

/// A secret or an agent where it is asked for.
struct Asked {
    lines: Lines,
    required: bool,
}

/// What is gathered: by stages, the target first.
struct Outline<'o> {
    file: &'o Dockerfile,
    wish: &'o Wish,
    comments: Comments,
    /// Variables of the machine, and arguments before the first FROM.
    values: BTreeMap<String, String>,
    global: BTreeMap<String, Known>,
    visited: BTreeSet<usize>,
    arguments: BTreeMap<String, Known>,
    secrets: BTreeMap<String, Asked>,
    agents: BTreeMap<String, Asked>,
}

impl<'o> Outline<'o> {
    fn new(file: &'o Dockerfile, wish: &'o Wish, comments: Comments) -> Self {
        let host = Platform::host();
        let wanted = wish.platforms.first().and_then(|text| text.parse().ok());
        let mut values = BTreeMap::new();
        for (prefix, platform) in [("TARGET", wanted.as_ref().unwrap_or(&host)), ("BUILD", &host)] {
            values.insert(format!("{prefix}PLATFORM"), platform.text());
            values.insert(format!("{prefix}OS"), platform.os.clone());
            values.insert(format!("{prefix}ARCH"), platform.architecture.clone());
            values.insert(format!("{prefix}VARIANT"), platform.variant.clone());
        }
        Self {
            file,
            wish,
            comments,
            values,
            global: BTreeMap::new(),
            visited: BTreeSet::new(),
            arguments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
        }
    }

    /// Reads the arguments before the first FROM.
    fn globals(&mut self) {
        for placed in &self.file.global_arguments {
            for argument in &placed.value {
                let known = self.known(argument, placed.lines, &self.values);
                if let Some(value) = &known.value {
                    self.values.insert(argument.name.clone(), value.clone());
                }
                self.global.insert(argument.name.clone(), known);
            }
        }
    }

    fn known(&self, argument: &Argument, lines: Lines, values: &BTreeMap<String, String>) -> Known {
        let (default, needs) = self.expand(argument.default.as_deref().unwrap_or_default(), values);
        let given = self.wish.arguments.get(&argument.name).cloned();
        let description = self.comments.about(lines, &argument.name).unwrap_or_default().to_owned();
        let value = given.or_else(|| argument.default.is_some().then_some(default));
        Known { value, lines, description, needs }
    }

    /// A text with its variables replaced, and which ones those were; what cannot be replaced stays as it is.
    fn expand(&self, text: &str, values: &BTreeMap<String, String>) -> (String, BTreeSet<String>) {
        let used = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            let value = values.get(name).cloned();
            if value.is_some() {
                used.borrow_mut().insert(name.to_owned());
            }
            value
        };
        let escape = self.file.directives.escape;
        let expansion =
            Expansion { escape, values: &lookup, keep_unset: false, raw_quotes: false, plain_quotes: false };
        let expanded = expansion.expand(text).map_or_else(|_| text.to_owned(), |expanded| expanded.text);
        (expanded, used.into_inner())
    }

    /// Gathers a stage, and all it is built from.
    fn visit(&mut self, first: usize) {
        let mut waiting = vec![first];
        while let Some(index) = waiting.pop() {
            let Some(stage) = self.file.stages.get(index).filter(|_| self.visited.insert(index)) else {
                continue;
            };
            let (mut below, base) = self.stage(index, stage);
            below.extend(base);
            waiting.extend(below);
        }
    }

    /// Gathers one stage; the stages it needs, and the one it begins with, which is looked at first.
    fn stage(&mut self, index: usize, stage: &Stage) -> (Vec<usize>, Option<usize>) {
        let from = &stage.from.value;
        let (base, mut used) = self.expand(&from.base, &self.values);
        used.extend(self.expand(from.platform.as_deref().unwrap_or_default(), &self.values).1);
        let mut all = self.global.clone();
        let mut values = BTreeMap::new();
        let mut needed = Vec::new();
        for placed in &stage.instructions {
            match &placed.value {
                Instruction::Arg(arguments) => arguments.iter().for_each(|argument| {
                    self.declare(argument, placed.lines, &mut all, &mut values);
                    used.insert(argument.name.clone());
                }),
                Instruction::Env(pairs) => pairs.iter().for_each(|pair| {
                    let value = self.expand(&pair.value, &values).0;
                    values.insert(pair.key.clone(), value);
                }),
                Instruction::Copy(copy) => needed.extend(copy.from.clone()),
                Instruction::Run(run) => {
                    needed.extend(run.mounts.iter().filter_map(|mount| mount.from.clone()));
                    self.mounts(placed.lines, run);
                }
                _ => {}
            }
        }
        self.use_arguments(&used, &all);
        let place = |name: &String| self.earlier(name, index);
        (needed.iter().filter_map(place).collect(), self.earlier(&base, index))
    }

    /// ARG in a stage: without a default it is the one before the first FROM.
    fn declare(
        &self,
        argument: &Argument,
        lines: Lines,
        all: &mut BTreeMap<String, Known>,
        values: &mut BTreeMap<String, String>,
    ) {
        let given = self.wish.arguments.contains_key(&argument.name);
        let inherited = argument.default.is_none() && !given && self.values.contains_key(&argument.name);
        let value = match inherited {
            true => self.values.get(&argument.name).cloned(),
            false => {
                let known = self.known(argument, lines, values);
                let value = known.value.clone();
                all.insert(argument.name.clone(), known);
                value
            }
        };
        values.extend(value.map(|value| (argument.name.clone(), value)));
    }

    /// Notes arguments with those they are made of; the first one of a name counts.
    fn use_arguments(&mut self, used: &BTreeSet<String>, all: &BTreeMap<String, Known>) {
        let mut waiting: Vec<String> = used.iter().cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            let Some(known) = all.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
            waiting.extend(known.needs.iter().cloned());
            self.arguments.entry(name).or_insert_with(|| known.clone());
        }
    }

    fn mounts(&mut self, lines: Lines, run: &Run) {
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        for mount in &run.mounts {
            match &mount.kind {
                MountKind::Secret(access) => {
                    let id = access.id.clone().or_else(|| mount.source.clone());
                    let id = id.unwrap_or_else(|| base(mount.target.as_deref().unwrap_or_default()));
                    self.secrets.entry(id).or_insert(Asked { lines, required: access.required });
                }
                MountKind::Ssh(access) => {
                    let id = access.id.clone().unwrap_or_else(|| "default".to_owned());
                    self.agents.entry(id).or_insert(Asked { lines, required: access.required });
                }
                _ => {}
            }
        }
    }

    fn earlier(&self, name: &str, index: usize) -> Option<usize> {
        self.file.stage(name).filter(|found| *found < index)
    }

    /// Everything that was gathered, by lines.
    fn finish(&self, name: &str, description: &str, source: &SourceInfo) -> (Value, String) {
        let mut arguments: Vec<(&String, &Known)> = self.arguments.iter().collect();
        arguments.sort_by_key(|(_, known)| known.lines);
        let mut json = Map::new();
        let mut text = String::new();
        put(&mut json, "name", name);
        put(&mut json, "description", description);
        if !name.is_empty() || !description.is_empty() {
            let mut rows = vec![row(&["TARGET:", if name.is_empty() { "(default)" } else { name }])];
            rows.extend((!description.is_empty()).then(|| row(&["DESCRIPTION:", description])));
            section(&mut text, &rows);
        }
        if !arguments.is_empty() {
            let mut rows = vec![row(&["BUILD ARG", "VALUE", "DESCRIPTION"])];
            rows.extend(arguments.iter().map(|(name, known)| {
                row(&[name, known.value.as_deref().unwrap_or_default(), &known.description])
            }));
            section(&mut text, &rows);
            json.insert("args".into(), arguments.iter().map(|(name, known)| known.json(name)).collect());
        }
        for (key, title, all) in [("secrets", "SECRET", &self.secrets), ("ssh", "SSH", &self.agents)] {
            if all.is_empty() {
                continue;
            }
            let mut all: Vec<(&String, &Asked)> = all.iter().collect();
            all.sort_by_key(|(_, asked)| asked.lines);
            let word = |asked: &Asked| if asked.required { "true" } else { "" };
            let mut rows = vec![row(&[title, "REQUIRED"])];
            rows.extend(all.iter().map(|(name, asked)| row(&[name, word(asked)])));
            section(&mut text, &rows);
            json.insert(key.into(), all.iter().map(|(name, asked)| asked.json(name)).collect());
        }
        json.insert("sources".into(), json!([bytes(source)]));
        (Value::Object(json), text)
    }
}

impl Known {
    fn json(&self, name: &str) -> Value {
        let mut json = Map::new();
        put(&mut json, "name", name);
        put(&mut json, "description", &self.description);
        json.extend(self.value.as_ref().map(|value| ("value".to_owned(), value.clone().into())));
        json.insert("location".into(), location(self.lines));
        Value::Object(json)
    }
}

impl Asked {
    fn json(&self, name: &str) -> Value {
        let mut json = Map::new();
        put(&mut json, "name", name);
        json.extend(self.required.then(|| ("required".to_owned(), true.into())));
        json.insert("location".into(), location(self.lines));
        Value::Object(json)
    }
}

fn section(text: &mut String, rows: &[Vec<String>]) {
    text.push_str(&columns(rows, 3));
    text.push('\n');
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// What is empty is left out.
fn put(json: &mut Map<String, Value>, name: &str, value: &str) {
    if !value.is_empty() {
        json.insert(name.to_owned(), value.into());
    }
}

/// The lines of a file, for the comments in them.
struct Comments(Vec<String>);

impl Comments {
    fn new(source: &SourceInfo) -> Self {
        Self(String::from_utf8_lossy(&source.data).lines().map(|line| line.trim().to_owned()).collect())
    }

    /// What the comment above an instruction says about a name: a line of it that begins with the name.
    fn about(&self, lines: Lines, name: &str) -> Option<&str> {
        let above = self.0.get(..lines.first.saturating_sub(1))?.iter().rev();
        let comment = above.map_while(|line| line.strip_prefix('#'));
        let comment: Vec<&str> = comment.collect();
        let said =
            comment.into_iter().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
        said.filter(|_| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ARG G=1
# GG is a global
ARG GG=busybox
FROM ${GG} AS base
# A is a thing
ARG A=x$G B
RUN --mount=type=secret,id=s --mount=type=ssh,required --mount=type=cache,target=/c,id=cc echo $A
ARG UNUSED=2
# last stage
# of all
FROM --platform=linux/amd64 base AS last
ARG G
COPY --from=base /bin/sh /x

FROM scratch
COPY --from=base /x /y
ARG Z
";

    fn source() -> (Dockerfile, SourceInfo) {
        let source = SourceInfo { data: TEXT.into(), ..SourceInfo::default() };
        (Dockerfile::read(TEXT.as_bytes()).expect("reads"), source)
    }

    fn outline_of(target: Option<&str>, given: &[(&str, &str)]) -> (Value, String) {
        let (file, source) = source();
        let arguments = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let wish =
            Wish { target: target.map(str::to_owned), arguments: arguments.collect(), ..<_>::default() };
        outline(&file, &source, &wish).expect("there is such a stage")
    }

    #[test]
    fn an_outline_has_what_its_stage_needs() {
        let (json, text) = outline_of(None, &[]);
        assert_eq!(
            text,
            "BUILD ARG   VALUE     DESCRIPTION\n\
             GG          busybox   is a global\n\
             A           x         is a thing\n\
             B                     \n\
             UNUSED      2         \n\
             Z                     \n\n\
             SECRET   REQUIRED\ns        \n\n\
             SSH       REQUIRED\ndefault   true\n\n"
        );
        assert_eq!(json["args"][0]["location"]["ranges"][0]["start"]["line"], 3);
        assert_eq!(json["args"][2], json!({ "name": "B", "location": location(Lines::one(6)) }));
        assert_eq!(json["ssh"][0]["required"], true);
        assert!(json.get("name").is_none());
    }

    #[test]
    fn a_stage_takes_arguments_from_before_the_first() {
        let (json, text) = outline_of(Some("last"), &[("A", "given")]);
        assert!(text.starts_with("TARGET:        last\nDESCRIPTION:   stage\n\n"), "{text}");
        let names: Vec<_> = json["args"].as_array().expect("a list").iter().map(|arg| &arg["name"]).collect();
        assert_eq!(names, ["G", "GG", "A", "B", "UNUSED"]);
        assert_eq!(json["args"][0]["value"], "1");
        assert_eq!(json["args"][2]["value"], "given");
    }

    #[test]
    fn stages_are_listed() {
        let (file, source) = source();
        let (json, text) = targets(&file, &source);
        assert_eq!(text, "TARGET    DESCRIPTION\nbase      \nlast      stage\n(default) \n");
        assert_eq!(json["targets"][1]["platform"], "linux/amd64");
        assert_eq!(json["targets"][2]["default"], true);
        assert!(json["targets"][2].get("name").is_none());
    }

    #[test]
    fn a_stage_that_is_not_there_has_no_outline() {
        let (file, source) = source();
        let wish = Wish { target: Some("none".into()), ..Wish::default() };
        let status = outline(&file, &source, &wish).expect_err("refused");
        assert_eq!(status.message, "target stage \"none\" could not be found");
    }
}
