//! COPY and ADD: which files are put where.

use super::history;
use super::running::{joined, or_root};
use super::scope::placed_problem;
use super::stage::{Finished, Planner, Work};
use super::{Bases, PlanError, Style};
use crate::dockerfile::{Add, Copy as Written, Lines, Problem, Sources};
use crate::graph::Vertex;
use crate::operation::{Copy, Inline, Operation, Origin, Remote, Selection, VertexId};

impl<B: Bases> Planner<'_, B> {
    pub(super) fn copy(&mut self, work: &mut Work, copy: &Written) -> Result<(), PlanError<B::Error>> {
        let mut inputs = self.inputs(work);
        let origin = match &copy.from {
            Some(from) => self.origin(from, work, &mut inputs)?,
            None => Origin::Context(String::new()),
        };
        let lines = work.lines.unwrap_or(Lines::one(1));
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let wishes = self.wishes(work, "COPY", &copy.sources)?;
        if wishes.paths.iter().any(|path| is_remote(path)) {
            return Err(at(Problem::CopyAddress));
        }
        if copy.from.is_none() {
            self.check_ignored(work, "Copy", &wishes.paths);
        }
        let mut selections = Vec::new();
        if !wishes.paths.is_empty() {
            selections.push(Selection {
                origin,
                paths: wishes.paths.clone(),
                exclude: wishes.exclude.clone(),
            });
        }
        selections.extend(wishes.inline());
        let parts = Parts { keyword: "COPY", parents: copy.parents, unpack: None, archives: false };
        self.put(work, &copy.sources, wishes, selections, inputs, &parts);
        Ok(())
    }

    pub(super) fn add(&mut self, work: &mut Work, add: &Add) -> Result<(), PlanError<B::Error>> {
        let inputs = self.inputs(work);
        let lines = work.lines.unwrap_or(Lines::one(1));
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let wishes = self.wishes(work, "ADD", &add.sources)?;
        let checksum = match &add.checksum {
            Some(text) => Some(self.expand(work, text).map_err(at)?),
            None => None,
        };
        if let Some(checksum) = &checksum {
            is_sum(checksum, &wishes.paths).map_err(at)?;
        }
        let mut selections: Vec<Selection> = Vec::new();
        for path in &wishes.paths {
            if is_remote(path) {
                let remote = Remote {
                    address: path.clone(),
                    checksum: checksum.clone(),
                    keep_git_dir: add.keep_git_dir.unwrap_or_default(),
                };
                let exclude = wishes.exclude.clone();
                selections.push(Selection { origin: Origin::Remote(remote), paths: Vec::new(), exclude });
                continue;
            }
            self.check_ignored(work, "Add", std::slice::from_ref(path));
            match selections.last_mut() {
                Some(Selection { origin: Origin::Context(_), paths, .. }) => paths.push(path.clone()),
                _ => selections.push(Selection {
                    origin: Origin::Context(String::new()),
                    paths: vec![path.clone()],
                    exclude: wishes.exclude.clone(),
                }),
            }
        }
        selections.extend(wishes.inline());
        let parts = Parts { keyword: "ADD", parents: false, unpack: add.unpack, archives: true };
        self.put(work, &add.sources, wishes, selections, inputs, &parts);
        Ok(())
    }

    /// A stage that begins with the files of a folder, without any configuration.
    pub(super) fn folder_stage(&mut self, folder: &str, platform: &oci::Platform) -> Finished {
        let copy = Copy {
            selections: vec![Selection {
                origin: Origin::Context(folder.to_owned()),
                paths: vec![".".to_owned()],
                exclude: Vec::new(),
            }],
            destination: "/".to_owned(),
            owner: None,
            mode: None,
            parents: false,
            unpack: None,
            archives: false,
            link: false,
        };
        let below = self.empty();
        let vertex = self.graph.add(Vertex {
            operation: Operation::Copy(copy),
            inputs: vec![below],
            name: format!("[context {folder}] files"),
            ignore_cache: false,
            layers: None,
        });
        let mut finished = self.scratch(platform);
        finished.root = Some(vertex);
        let words = format!("COPY --from={folder} . / # buildkit");
        finished.history.push(history::new(self.options.style, words, Some(vertex)));
        finished
    }

    fn inputs(&mut self, work: &Work) -> Vec<VertexId> {
        vec![work.finished.root.unwrap_or_else(|| self.empty())]
    }

    /// The instruction's texts with their variables replaced.
    fn wishes(
        &self,
        work: &Work,
        keyword: &'static str,
        sources: &Sources,
    ) -> Result<Wishes, PlanError<B::Error>> {
        let lines = work.lines.unwrap_or(Lines::one(1));
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let all = |texts: &[String]| -> Result<Vec<String>, PlanError<B::Error>> {
            texts.iter().map(|text| self.expand(work, text).map_err(at)).collect()
        };
        let optional = |text: &Option<String>| text.as_ref().map(|text| self.expand(work, text)).transpose();
        let written = self.expand(work, &sources.destination).map_err(at)?;
        let (paths, exclude) = (all(&sources.paths)?, all(&sources.exclude)?);
        if paths.len() + sources.heredocs.len() > 1 && !written.ends_with('/') && written != "." {
            return Err(at(Problem::ManySources { keyword }));
        }
        let mut files = Vec::new();
        for heredoc in &sources.heredocs {
            let content = match heredoc.expand {
                true => {
                    let scope = &work.finished.scope;
                    let environment = work.environment();
                    let expansion = crate::dockerfile::Expansion {
                        // Whatever the file's is.
                        escape: '\\',
                        values: &|name| scope.get(name, environment),
                        keep_unset: false,
                        raw_quotes: false,
                        plain_quotes: true,
                    };
                    let text = heredoc.text();
                    let expanded = expansion
                        .expand(&text)
                        .map_err(|problem| at(super::scope::of_word(&text, problem)))?;
                    self.note_unset(work, &expanded.unset);
                    expanded.text
                }
                false => heredoc.text(),
            };
            files.push(Inline { name: heredoc.name.clone(), content });
        }
        let folder = or_root(&work.finished.config.config.working_dir);
        let mut destination = joined(&folder, &written);
        let is_folder = written.ends_with('/') || written == "." || written.ends_with("/.");
        if is_folder && !destination.ends_with('/') {
            destination.push('/');
        }
        Ok(Wishes {
            paths,
            exclude,
            files,
            destination,
            written,
            owner: optional(&sources.chown).map_err(at)?,
            mode: optional(&sources.chmod).map_err(at)?,
        })
    }

    fn put(
        &mut self,
        work: &mut Work,
        sources: &Sources,
        wishes: Wishes,
        selections: Vec<Selection>,
        inputs: Vec<VertexId>,
        parts: &Parts,
    ) {
        let copy = Copy {
            selections,
            destination: wishes.destination.clone(),
            owner: wishes.owner.clone(),
            mode: wishes.mode.clone(),
            parents: parts.parents,
            unpack: parts.unpack,
            archives: parts.archives,
            link: sources.link && self.options.style == Style::BuildKit,
        };
        let vertex = self.operate(work, Operation::Copy(copy), inputs);
        let style = self.options.style;
        let shell = work.finished.config.config.shell.clone();
        let words = wishes.words();
        let keyword = parts.keyword;
        work.finished.history.push(history::files(
            style,
            shell.as_deref(),
            keyword,
            &words,
            (wishes.owner.as_deref(), &wishes.written),
            vertex,
        ));
    }
}

struct Parts {
    keyword: &'static str,
    parents: bool,
    unpack: Option<bool>,
    archives: bool,
}

/// An instruction's texts with their variables replaced.
struct Wishes {
    paths: Vec<String>,
    exclude: Vec<String>,
    files: Vec<Inline>,
    /// Absolute.
    destination: String,
    /// As it is written.
    written: String,
    owner: Option<String>,
    mode: Option<String>,
}

impl Wishes {
    fn inline(&self) -> Option<Selection> {
        let selection = || Selection {
            origin: Origin::Inline(self.files.clone()),
            paths: Vec::new(),
            exclude: self.exclude.clone(),
        };
        (!self.files.is_empty()).then(selection)
    }

    /// What BuildKit's history says.
    fn words(&self) -> String {
        let mut text = String::new();
        let flags = [("chown", &self.owner), ("chmod", &self.mode)];
        for (name, value) in flags.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            text.push_str(&format!(" --{name}={value}"));
        }
        let files = self.files.iter().map(|file| format!("<<{}", file.name));
        for word in self.paths.iter().cloned().chain(files).chain([self.written.clone()]) {
            text.push(' ');
            text.push_str(&word);
        }
        text
    }
}

/// Whether a text can be the sum of what these paths are: a digest of a file, or a commit of a repository.
fn is_sum(text: &str, paths: &[String]) -> Result<(), Problem> {
    match paths {
        [path] if is_remote(path) && !is_file(path) => Ok(()),
        [path] if is_file(path) => {
            let digest = text.parse::<oci::Digest>();
            digest.map(|_| ()).map_err(|error| Problem::Digest { reason: error.to_string() })
        }
        paths => Err(Problem::Checksum { several: paths.len() > 1 }),
    }
}

/// Whether an address is one of a file, not of a repository.
fn is_file(path: &str) -> bool {
    let scheme =
        |scheme: &str| path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let address = path.split(['#', '?']).next().unwrap_or_default();
    (scheme("http://") || scheme("https://")) && !address.ends_with(".git")
}

/// Whether ADD fetches it.
fn is_remote(path: &str) -> bool {
    let scheme =
        |scheme: &str| path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    scheme("http://") || scheme("https://") || scheme("git://") || path.starts_with("git@")
}
