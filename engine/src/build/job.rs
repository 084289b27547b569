//! One build at work: does what the solver asks for, with the engine's own means.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use build_context::Ignore;
use builder::operation::{Copy, Origin, Remote, Selection};
use builder::plan::{Plan, Style};
use builder::solve::{Event, Fingerprint, Record, Shape};
use builder::{Key, Layer, Operation, State, VertexId, Worker};
use linux::root::RootDir;
use model::{ContainerId, ErrorKind, Kinded as _};
use oci::Digest;
use oci::digest::{Algorithm, Digester};
use oci::image::{Descriptor, media};
use snapshot::{Snapshots, Unnamed};

use super::checksum::Checksum;
use super::copying::Target;
use super::mode::Mode;
use super::remote::{self, Fetched};
use super::remote_cache::Imports;
use super::tree::{self, Source, Tree};
use super::turns::Turn;
use super::twofold::Twofold;
use super::walked::Walked;
use super::{BuildError, BuildRequest, Cancel, Folder, Observer, owner, run};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Bytes of a tar stream without entries.
const EMPTY_TAR: u64 = 1024;

/// What a new layer's files are made of.
enum Files<'f> {
    /// A container's own files, where that is possible.
    Snapshot(&'f str),
    /// They are there.
    Unpacked(Unnamed),
    /// Its tar.
    Tar,
}

/// Everything a build has.
pub(super) struct Job<'j> {
    pub(super) inner: &'j Arc<Inner>,
    pub(super) request: &'j BuildRequest,
    pub(super) folders: &'j BTreeMap<String, Folder>,
    pub(super) observer: &'j dyn Observer,
    pub(super) cancel: &'j Cancel,
    pub(super) plan: &'j Plan,
    /// Something failed: the rest is not worth doing.
    pub(super) failed: &'j std::sync::atomic::AtomicBool,
    /// Whether that, or a cancellation, has come.
    pub(super) unwanted: &'j (dyn Fn() -> bool + Sync),
    /// What it has from elsewhere.
    pub(super) imports: &'j Imports<'j>,
    /// What was fetched, so that it is fetched once.
    pub(super) fetched: Mutex<HashMap<String, Arc<Fetched>>>,
    /// Files of the context that steps are going to take.
    pub(super) walked: Walked,
}

impl Job<'_> {
    /// Why nothing more is to be done, if it is so.
    pub(super) fn stopped(&self) -> Option<BuildError> {
        let failed = self.failed.load(std::sync::atomic::Ordering::SeqCst);
        (failed || self.cancel.is_stopped()).then_some(BuildError::Cancelled)
    }

    /// A container is going to start.
    pub(super) fn began(&self, id: &ContainerId) -> Option<BuildError> {
        self.cancel.began(id);
        self.stopped()
    }

    /// It is over.
    pub(super) fn ended(&self, id: &ContainerId) {
        self.cancel.ended(id);
    }

    /// Ends a container at once.
    pub(super) fn kill(&self, id: &ContainerId) {
        super::kill(self.inner, id);
    }

    /// Makes sure that layers can be stacked.
    pub(super) fn unpack(&self, state: &State) -> Result<()> {
        self.imports.fetch(state)?;
        let diff_ids: Vec<Digest> = state.iter().map(|layer| layer.diff_id.clone()).collect();
        let blob = |index: usize| state.get(index).map(|layer| layer.blob.digest.clone());
        self.inner.storage.unpack_blobs(&diff_ids, &blob)
    }

    /// A root to be looked at.
    pub(super) fn view(&self, state: &State) -> Result<RootDir> {
        self.imports.fetch(state)?;
        let diff_ids: Vec<Digest> = state.iter().map(|layer| layer.diff_id.clone()).collect();
        let blob = |index: usize| state.get(index).map(|layer| layer.blob.digest.clone());
        self.inner.storage.open_layers(&diff_ids, &blob)
    }

    /// What a container changed, as a layer above its root.
    pub(super) fn layer_of(&self, id: &ContainerId, root: &State, keep_empty: bool) -> Result<Option<Layer>> {
        let storage = &self.inner.storage;
        let mut writer = storage.images.layer_writer().map_err(Error::from_kinded)?;
        storage.snapshots.write_diff(id.as_str(), &mut writer).map_err(Error::from_kinded)?;
        let layer = self.finish(writer, keep_empty)?;
        if let Some(layer) = &layer {
            self.show(root, layer, Files::Snapshot(id.as_str()))?;
        }
        Ok(layer)
    }

    /// Ends a layer's blob; none when there is nothing in it and that is not wanted.
    fn finish(&self, mut writer: ::image::LayerWriter, keep_empty: bool) -> Result<Option<Layer>> {
        writer.flush().doing(|| "writing a layer".to_owned())?;
        let new = writer.finish().map_err(Error::from_kinded)?;
        if new.size <= EMPTY_TAR && !keep_empty {
            return Ok(None);
        }
        let blob = Descriptor::new(media::OCI_LAYER, new.diff_id.clone(), new.size);
        Ok(Some(Layer { diff_id: new.diff_id, blob }))
    }

    /// Makes a new layer usable above its root.
    fn show(&self, root: &State, layer: &Layer, files: Files<'_>) -> Result<()> {
        let storage = &self.inner.storage;
        let diff_ids: Vec<Digest> = root.iter().chain([layer]).map(|layer| layer.diff_id.clone()).collect();
        let chains = Snapshots::chains(&diff_ids);
        let Some((chain, below)) = chains.split_last() else { return Ok(()) };
        let blob = storage.images.content().path(&layer.blob.digest);
        let shown = match files {
            Files::Snapshot(key) => storage.snapshots.commit_layer(key, chain, below.last(), &blob),
            Files::Unpacked(files) => storage.snapshots.name_layer(files, chain, below.last()),
            Files::Tar => storage.snapshots.add_layer_file(chain, below.last(), &blob),
        };
        shown.map_err(Error::from_kinded)
    }

    pub(super) fn folder(&self, name: &str) -> Result<&Folder> {
        self.folders.get(name).ok_or_else(|| {
            Error::not_found(match name {
                "" => "this build has no context".to_owned(),
                name => format!("no context of the name {name:?}"),
            })
        })
    }

    /// The tree an origin is; none for what is no tree.
    pub(super) fn tree(&self, origin: &Origin, inputs: &[State]) -> Result<Option<Tree<'_>>> {
        let unwanted = self.unwanted;
        match origin {
            Origin::Context(name) => {
                let folder = self.folder(name)?;
                let root = folder.root.subroot(".").doing(|| "opening the build context".to_owned())?;
                let contents = Some(&self.inner.build.contents);
                Ok(Some(Tree { root, ignore: Some(&folder.ignore), owner: Some((0, 0)), contents, unwanted }))
            }
            Origin::Input(input) => {
                let state = inputs.get(*input).cloned().unwrap_or_default();
                let root = self.view(&state)?;
                Ok(Some(Tree { root, ignore: None, owner: None, contents: None, unwanted }))
            }
            Origin::Inline(_) => Ok(None),
            Origin::Remote(remote) => {
                let fetched = self.fetched(remote)?;
                let root = RootDir::open(&fetched.folder).doing(|| "opening what was fetched".to_owned())?;
                Ok(Some(Tree { root, ignore: None, owner: Some((0, 0)), contents: None, unwanted }))
            }
        }
    }

    fn fetched(&self, remote: &Remote) -> Result<Arc<Fetched>> {
        let key = serde_json::to_string(remote).unwrap_or_default();
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = fetched.get(&key) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(remote::fetch(self.inner, remote, &self.cancel.shared.pulls)?);
        fetched.insert(key, Arc::clone(&new));
        Ok(new)
    }

    /// What the addresses were found to be.
    pub(super) fn checksums(&self) -> HashMap<String, Checksum> {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.values().filter_map(|one| Some((one.address.clone(), one.checksum.clone()?))).collect()
    }

    /// The paths a selection names; of what is fetched it names none, and means the file, or all of a repository.
    fn paths(&self, selection: &Selection) -> Result<Vec<String>> {
        match &selection.origin {
            Origin::Remote(remote) => {
                let name = self.fetched(remote)?.name.clone();
                Ok(vec![name.map_or_else(|| "/".to_owned(), |name| tree::escaped(&name))])
            }
            _ => Ok(selection.paths.clone()),
        }
    }

    pub(super) fn sources(&self, tree: &Tree<'_>, selection: &Selection) -> Result<Vec<Source>> {
        let exclude = Ignore::new(selection.exclude.iter().map(String::as_str))
            .map_err(|error| Error::invalid(error.to_string()))?;
        let mut sources = Vec::new();
        for path in self.paths(selection)? {
            sources.extend(tree.sources(&path, &exclude).map_err(|error| self.missing(&path, error))?);
        }
        // BuildKit takes patterns that match nothing.
        if sources.is_empty() && self.request.options.style == Style::Classic {
            return Err(Error::invalid("no source files were specified"));
        }
        Ok(sources)
    }

    /// A source that is not there, in the words of the builder that is asked.
    fn missing(&self, path: &str, error: Error) -> Error {
        if self.request.options.style == Style::Classic || error.kind() != ErrorKind::NotFound {
            return error;
        }
        let path = model::path::clean(&format!("/{path}"));
        let build = &self.request.build_id;
        Error::not_found(format!(
            "failed to compute cache key: failed to calculate checksum of ref {build}: {path:?}: not found"
        ))
    }

    fn copy(
        &self,
        vertex: VertexId,
        copy: &Copy,
        inputs: &[State],
    ) -> std::result::Result<Option<Layer>, BuildError> {
        let root = inputs.first().filter(|_| !copy.link).cloned().unwrap_or_default();
        let view = self.view(&root)?;
        let owner = copy.owner.as_deref().map(|text| owner::find(text, &view)).transpose();
        let owner =
            owner.map_err(|error| BuildError::Refused { vertex, error: owner::missing(copy, &error) })?;
        let mode = copy.mode.as_deref().map(Mode::parse).transpose()?;
        let tar = self.inner.storage.images.layer_writer().map_err(Error::from_kinded)?;
        let mut writer =
            if copy.link { Twofold::tar_only(tar) } else { Twofold::new(tar, &self.inner.storage.snapshots) };
        let mut target = Target::new(&view, &mut writer, owner, mode);
        self.put(vertex, copy, inputs, &mut target)?;
        target.finish()?;
        let (tar, files) = writer.finish();
        let layer = self.finish(tar, true)?;
        if let Some(layer) = layer.as_ref().filter(|_| !copy.link) {
            self.show(&root, layer, files.wait().map_or(Files::Tar, Files::Unpacked))?;
        }
        Ok(layer)
    }

    fn put(&self, vertex: VertexId, copy: &Copy, inputs: &[State], target: &mut Target<'_>) -> Result<()> {
        for selection in &copy.selections {
            if let Origin::Inline(files) = &selection.origin {
                target.put_inline(copy, files)?;
                continue;
            }
            if let Some(tree) = self.tree(&selection.origin, inputs)? {
                let sources = match self.walked.take(vertex, selection) {
                    Some(sources) => sources,
                    None => self.sources(&tree, selection)?,
                };
                // What is fetched stays as it is, unless somebody says otherwise.
                let unpack = match selection.origin {
                    Origin::Remote(_) => Some(copy.unpack == Some(true)),
                    _ => copy.unpack,
                };
                target.put(&Copy { unpack, ..copy.clone() }, &tree, &sources)?;
            }
        }
        Ok(())
    }

    fn make_directory(
        &self,
        path: &str,
        owner_text: &str,
        keep_empty: bool,
        inputs: &[State],
    ) -> Result<Option<Layer>> {
        let root = inputs.first().cloned().unwrap_or_default();
        let view = self.view(&root)?;
        let owner = (!owner_text.is_empty()).then(|| owner::find(owner_text, &view)).transpose()?;
        let mut writer = self.inner.storage.images.layer_writer().map_err(Error::from_kinded)?;
        let mut target = Target::new(&view, &mut writer, owner, None);
        target.make_folder(Path::new(path))?;
        target.finish()?;
        let layer = self.finish(writer, keep_empty)?;
        if let Some(layer) = &layer {
            self.show(&root, layer, Files::Tar)?;
        }
        Ok(layer)
    }

    fn fingerprint(&self, vertex: VertexId, selection: &Selection, inputs: &[State]) -> Result<Fingerprint> {
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut shape = Shape::File;
        if let Some(tree) = self.tree(&selection.origin, inputs)? {
            let sources = self.sources(&tree, selection)?;
            shape = match sources.as_slice() {
                [one] if one.is_folder => Shape::Folder,
                [_] => Shape::File,
                _ => Shape::Several,
            };
            for source in &sources {
                tree.digest(source, &mut digester)?;
            }
            if let Origin::Context(_) = &selection.origin {
                self.walked.keep(vertex, selection, sources);
            }
        } else if let Origin::Inline(files) = &selection.origin {
            for file in files {
                digester.update(format!("{} {}\n{}", file.name, file.content.len(), file.content).as_bytes());
            }
        }
        Ok(Fingerprint { digest: digester.finish(), shape })
    }

    fn is_there(&self, layer: &Layer) -> bool {
        self.inner.storage.images.content().size(&layer.blob.digest) == Some(layer.blob.size)
    }
}

impl Worker for Job<'_> {
    type Error = BuildError;
    type Turn = Turn;

    fn fingerprint(
        &self,
        vertex: VertexId,
        selection: &Selection,
        inputs: &[State],
    ) -> std::result::Result<Fingerprint, BuildError> {
        Ok(self.fingerprint(vertex, selection, inputs)?)
    }

    fn execute(
        &self,
        vertex: VertexId,
        operation: &Operation,
        inputs: &[State],
    ) -> std::result::Result<Option<Layer>, BuildError> {
        self.inner.step("build.step")?;
        match operation {
            Operation::Exec(exec) => run::run(self, vertex, exec, inputs),
            Operation::Copy(copy) => self.copy(vertex, copy, inputs),
            Operation::MakeDirectory { path, owner, keep_empty } => {
                Ok(self.make_directory(path, owner, *keep_empty, inputs)?)
            }
            Operation::Refuse(why) => Err(BuildError::Refused { vertex, error: Error::invalid(why.clone()) }),
            // These have no layer of their own.
            Operation::Source(_) | Operation::Merge | Operation::Diff => Ok(None),
        }
    }

    fn find(&self, key: &Key) -> Option<Record> {
        let own = self.inner.storage.build_cache.find(key, |layer| self.is_there(layer));
        own.or_else(|| self.imports.find(key))
    }

    fn turn(&self, key: &Key) -> std::result::Result<Turn, BuildError> {
        let turn = self.inner.build.turns.take(key.as_str(), self.unwanted);
        turn.ok_or(BuildError::Cancelled)
    }

    fn keep(&self, key: &Key, record: &Record, root: &State, vertex: VertexId) {
        if record.imported {
            return;
        }
        let name = self.plan.graph.get(vertex).map_or("", |vertex| vertex.name.as_str());
        self.inner.storage.build_cache.keep(key, record, root, name);
    }

    fn tell(&self, vertex: VertexId, event: &Event) {
        if matches!(event, Event::Finished(_) | Event::Failed) {
            self.walked.forget(vertex);
        }
        self.observer.event(vertex, event);
    }

    fn stop(&self) {
        self.failed.store(true, std::sync::atomic::Ordering::SeqCst);
        self.cancel.kill_running();
    }

    fn cancelled(&self) -> Option<BuildError> {
        self.stopped()
    }
}
