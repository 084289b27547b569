//! A plan in the words of BuildKit's graphs, as documents about a build have it.

use std::collections::{BTreeMap, HashMap};

use builder::operation::{Copy, Exec, Inline, Mount, MountKind, Origin, Secret, Selection};
use builder::plan::{Base, Plan};
use builder::solve::Done;
use builder::{Operation, VertexId};
use oci::{Digest, Platform, Reference};
use serde_json::{Map, Value, json};

/// No input, or no output.
const NONE: i64 = -1;
/// Permissions of folders that are made.
const FOLDER: u32 = 0o755;

/// What was done, step by step.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    /// The operations, each after its inputs.
    pub(super) definition: Vec<Value>,
    /// Names of the steps, by their digests.
    pub(super) digests: BTreeMap<String, String>,
    /// Where steps are in the Dockerfile.
    pub(super) locations: Map<String, Value>,
    /// The layers of the steps' results, as they are kept.
    pub(super) layers: Map<String, Value>,
}

/// Puts the steps into words.
struct Teller<'t> {
    plan: &'t Plan,
    bases: &'t HashMap<(String, Platform), Base>,
    platform: &'t Platform,
    steps: Steps,
    /// Each step's digest, by its place.
    own: Vec<Digest>,
    /// The steps of sources that are no vertices.
    sources: HashMap<String, usize>,
    /// The steps of vertices.
    vertices: HashMap<VertexId, usize>,
}

impl Steps {
    /// Of what was needed of a plan.
    pub(super) fn of(
        plan: &Plan,
        results: &[Option<Done>],
        bases: &HashMap<(String, Platform), Base>,
        platform: &Platform,
    ) -> Self {
        let mut teller = Teller {
            plan,
            bases,
            platform,
            steps: Self::default(),
            own: Vec::new(),
            sources: HashMap::new(),
            vertices: HashMap::new(),
        };
        let targets: Vec<_> = plan.target.into_iter().collect();
        let needed = plan.graph.needed(&targets);
        for (id, vertex) in plan.graph.vertices().filter(|(id, _)| needed.get(id.0) == Some(&true)) {
            let Some(number) = teller.vertex(&vertex.operation, &vertex.inputs) else { continue };
            teller.vertices.insert(id, number);
            teller.place(id, number, results);
        }
        if let Some(last) = plan.target.and_then(|target| teller.vertices.get(&target)).copied() {
            teller.add(Value::Null, false, &[last]);
        }
        teller.steps
    }
}

impl Teller<'_> {
    /// A new step; its number.
    fn add(&mut self, operation: Value, is_for_platform: bool, inputs: &[usize]) -> usize {
        let number = self.steps.definition.len();
        let mut op = json!({ "Op": operation });
        if let Some(members) = op.as_object_mut().filter(|members| members.get("Op") != Some(&Value::Null)) {
            if is_for_platform {
                let platform = self.platform.normalized();
                let mut words = json!({ "Architecture": platform.architecture, "OS": platform.os });
                if let Some(words) = words.as_object_mut().filter(|_| !platform.variant.is_empty()) {
                    words.insert("Variant".into(), platform.variant.clone().into());
                }
                members.insert("platform".into(), words);
            }
            members.insert("constraints".into(), json!({}));
        }
        let below: Vec<&Digest> = inputs.iter().filter_map(|input| self.own.get(*input)).collect();
        let digest = Digest::of(json!({ "op": op, "inputs": below }).to_string().as_bytes());
        let id = format!("step{number}");
        let mut step = json!({ "id": id, "op": op });
        if let Some(members) = step.as_object_mut().filter(|_| !inputs.is_empty()) {
            let inputs: Vec<String> = inputs.iter().map(|input| format!("step{input}:0")).collect();
            members.insert("inputs".into(), inputs.into());
        }
        self.steps.definition.push(step);
        self.steps.digests.insert(digest.to_string(), id);
        self.own.push(digest);
        number
    }

    fn source(&mut self, identifier: &str, attributes: &Value) -> usize {
        if let Some(known) = self.sources.get(identifier) {
            return *known;
        }
        let mut source = json!({ "identifier": identifier });
        if let Some(members) = source.as_object_mut().filter(|_| attributes != &json!({})) {
            members.insert("attrs".into(), attributes.clone());
        }
        let is_image = identifier.starts_with("docker-image:");
        let number = self.add(json!({ "source": source }), is_image, &[]);
        self.sources.insert(identifier.to_owned(), number);
        number
    }

    fn vertex(&mut self, operation: &Operation, inputs: &[VertexId]) -> Option<usize> {
        let below: Vec<usize> = inputs.iter().filter_map(|input| self.vertices.get(input).copied()).collect();
        match operation {
            Operation::Source(name) => Some(self.image(name)),
            Operation::Exec(exec) => Some(self.exec(exec, below)),
            Operation::Copy(copy) => Some(self.copy(copy, below)),
            Operation::MakeDirectory { path, owner, .. } => {
                let mut folder =
                    json!({ "path": path, "mode": FOLDER, "makeParents": true, "timestamp": NONE });
                if let Some(members) = folder.as_object_mut().filter(|_| !owner.is_empty()) {
                    members.insert("owner".into(), owner.clone().into());
                }
                let root = if below.is_empty() { NONE } else { 0 };
                let action = json!({
                    "input": root, "secondaryInput": NONE, "output": 0, "Action": { "mkdir": folder },
                });
                Some(self.add(json!({ "file": { "actions": [action] } }), false, &below))
            }
            Operation::Merge => {
                let inputs: Vec<Value> = (0..below.len()).map(|input| json!({ "input": input })).collect();
                Some(self.add(json!({ "merge": { "inputs": inputs } }), false, &below))
            }
            Operation::Diff => {
                let diff = json!({ "lower": { "input": 0 }, "upper": { "input": 1 } });
                Some(self.add(json!({ "diff": diff }), false, &below))
            }
            Operation::Refuse(_) => None,
        }
    }

    /// An image, by its whole name and what it was.
    fn image(&mut self, key: &str) -> usize {
        let (name, platform) = key.rsplit_once(' ').unwrap_or((key, ""));
        let base = self.bases.iter().find(|((known, on), _)| known == name && on.text() == platform);
        let whole =
            name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.or_latest().canonical());
        let identifier = match base {
            Some((_, base)) if !whole.contains('@') => format!("docker-image://{whole}@{}", base.id),
            _ => format!("docker-image://{whole}"),
        };
        self.source(&identifier, &json!({}))
    }

    /// The step of a place that files come from; one of the inputs, or a source of its own.
    fn origin(&mut self, origin: &Origin, below: &[usize]) -> Option<usize> {
        match origin {
            Origin::Input(input) => below.get(*input).copied(),
            Origin::Context(name) => {
                let name = if name.is_empty() { "context" } else { name };
                Some(self.source(&format!("local://{name}"), &json!({})))
            }
            Origin::Remote(remote) => {
                let address = super::without_password(&remote.address);
                let mut attributes = Map::new();
                if !super::super::is_repository(&remote.address) {
                    if let Some(checksum) = &remote.checksum {
                        attributes.insert("http.checksum".into(), checksum.clone().into());
                    }
                    return Some(self.source(&address, &attributes.into()));
                }
                attributes.insert("git.fullurl".into(), address.clone().into());
                if remote.keep_git_dir {
                    attributes.insert("git.keepgitdir".into(), "true".into());
                }
                let bare = address.split_once("://").map_or(address.as_str(), |(_, bare)| bare);
                Some(self.source(&format!("git://{bare}"), &attributes.into()))
            }
            Origin::Inline(_) => None,
        }
    }

    fn copy(&mut self, copy: &Copy, below: Vec<usize>) -> usize {
        let root = below.first().copied().filter(|_| !copy.link);
        let mut inputs: Vec<usize> = root.into_iter().collect();
        let mut work = Vec::new();
        for selection in &copy.selections {
            if let Origin::Inline(files) = &selection.origin {
                work.extend(files.iter().map(|file| (None, json!({ "mkfile": new_file(copy, file) }))));
                continue;
            }
            let from =
                self.origin(&selection.origin, &below).map(|step| input(&mut inputs, step, root.is_some()));
            let remote = matches!(selection.origin, Origin::Remote(_));
            let whole = ["/".to_owned()];
            let paths = if remote { &whole[..] } else { &selection.paths };
            work.extend(paths.iter().map(|path| (from, json!({ "copy": copied(copy, selection, path) }))));
        }
        let count = work.len();
        let first = if root.is_some() { 0 } else { NONE };
        let action = |(index, (from, action)): (usize, (Option<usize>, Value))| {
            let input = if index == 0 { json!(first) } else { json!(inputs.len() + index - 1) };
            let from = from.map_or(json!(NONE), |from| json!(from));
            let output = if index + 1 == count { 0 } else { NONE };
            json!({ "input": input, "secondaryInput": from, "output": output, "Action": action })
        };
        let actions: Vec<Value> = work.into_iter().enumerate().map(action).collect();
        let files = self.add(json!({ "file": { "actions": actions } }), false, &inputs);
        match below.first().filter(|_| copy.link) {
            Some(root) => {
                let merged = json!({ "inputs": [{ "input": 0 }, { "input": 1 }] });
                self.add(json!({ "merge": merged }), false, &[*root, files])
            }
            None => files,
        }
    }

    fn exec(&mut self, exec: &Exec, below: Vec<usize>) -> usize {
        let mut inputs: Vec<usize> = below.first().copied().into_iter().collect();
        let root = if inputs.is_empty() { NONE } else { 0 };
        let mut mounts = vec![json!({ "input": root, "dest": "/", "output": 0 })];
        let mut variables = Vec::new();
        for mount in &exec.mounts {
            match &mount.kind {
                MountKind::Secret(secret) if secret.variable.is_some() => {
                    let optional = !secret.required;
                    variables.push(json!({ "ID": secret.id, "name": secret.variable, "optional": optional }));
                }
                _ => mounts.push(self.mount(mount, &below, &mut inputs)),
            }
        }
        let mut meta = json!({
            "args": exec.arguments, "env": exec.environment, "cwd": exec.working_directory,
        });
        if let Some(members) = meta.as_object_mut().filter(|_| !exec.user.is_empty()) {
            members.insert("user".into(), exec.user.clone().into());
        }
        let mut words = Map::from_iter([("meta".to_owned(), meta), ("mounts".to_owned(), mounts.into())]);
        if let Some(network) = match exec.network.as_str() {
            "host" => Some(1),
            "none" => Some(2),
            _ => None,
        } {
            words.insert("network".into(), network.into());
        }
        if exec.insecure {
            words.insert("security".into(), 1.into());
        }
        if !variables.is_empty() {
            words.insert("secretenv".into(), variables.into());
        }
        self.add(json!({ "exec": words }), true, &inputs)
    }

    fn mount(&mut self, mount: &Mount, below: &[usize], inputs: &mut Vec<usize>) -> Value {
        let mut from = |teller: &mut Self, selection: &Selection| {
            teller
                .origin(&selection.origin, below)
                .map_or(json!(NONE), |step| json!(input(inputs, step, true)))
        };
        let first = |selection: &Selection| selection.paths.first().cloned().unwrap_or_default();
        let target = &mount.target;
        match &mount.kind {
            MountKind::Bind { selection, writable } => json!({
                "input": from(self, selection), "selector": first(selection), "dest": target, "output": NONE,
                "readonly": !writable,
            }),
            MountKind::Cache { id, from: source, options } => json!({
                "input": source.as_ref().map_or(json!(NONE), |source| from(self, source)),
                "selector": source.as_ref().map(first).unwrap_or_default(),
                "dest": target, "output": NONE, "readonly": options.read_only, "mountType": 3,
                "cacheOpt": { "ID": id, "sharing": options.sharing as u8 },
            }),
            MountKind::Tmpfs { size } => json!({
                "input": NONE, "dest": target, "output": NONE, "mountType": 4,
                "TmpfsOpt": { "size": size.unwrap_or_default() },
            }),
            MountKind::Secret(secret) => json!({
                "input": NONE, "dest": target, "output": NONE, "mountType": 1, "secretOpt": only_client_has(secret),
            }),
            MountKind::Ssh(secret) => json!({
                "input": NONE, "dest": target, "output": NONE, "mountType": 2, "SSHOpt": only_client_has(secret),
            }),
        }
    }

    /// Notes where a vertex comes from and what came out.
    fn place(&mut self, id: VertexId, number: usize, results: &[Option<Done>]) {
        let of_vertex = self.plan.steps.iter().filter(|step| step.vertex == Some(id));
        let ranges: Vec<Value> = of_vertex
            .filter_map(|step| step.lines)
            .map(|lines| json!({ "start": { "line": lines.first }, "end": { "line": lines.last } }))
            .collect();
        if !ranges.is_empty() {
            let locations = json!({ "locations": [{ "ranges": ranges }] });
            self.steps.locations.insert(format!("step{number}"), locations);
        }
        let Some(Some(done)) = results.get(id.0) else { return };
        let layers: Vec<Value> = done.state.iter().map(|layer| json!(layer.blob)).collect();
        if !layers.is_empty() {
            self.steps.layers.insert(format!("step{number}:0"), json!([layers]));
        }
    }
}

/// The place of a step among the inputs; a root that is there keeps the first one for itself.
fn input(inputs: &mut Vec<usize>, step: usize, has_root: bool) -> usize {
    let skip = usize::from(has_root && !inputs.is_empty());
    let known = inputs.iter().skip(skip).position(|known| *known == step);
    known.map_or_else(
        || {
            inputs.push(step);
            inputs.len() - 1
        },
        |place| place + skip,
    )
}

fn only_client_has(secret: &Secret) -> Value {
    json!({
        "ID": secret.id, "uid": secret.uid, "gid": secret.gid, "mode": secret.mode, "optional": !secret.required,
    })
}

fn new_file(copy: &Copy, file: &Inline) -> Value {
    use base64::Engine as _;
    let path = match copy.destination.ends_with('/') {
        true => format!("{}{}", copy.destination, file.name),
        false => copy.destination.clone(),
    };
    let data = base64::engine::general_purpose::STANDARD.encode(&file.content);
    let mode = copy.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
    let mut words = json!({ "path": path, "mode": mode, "data": data, "timestamp": NONE });
    if let (Some(owner), Some(words)) = (&copy.owner, words.as_object_mut()) {
        words.insert("owner".into(), owner.clone().into());
    }
    words
}

fn copied(copy: &Copy, selection: &Selection, path: &str) -> Value {
    let source = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mode = copy.mode.as_deref().and_then(|mode| i64::from_str_radix(mode, 8).ok()).unwrap_or(NONE);
    let mut words = json!({
        "src": source, "dest": copy.destination, "mode": mode, "followSymlink": true, "dirCopyContents": true,
        "createDestPath": true, "allowWildcard": true, "allowEmptyWildcard": true, "timestamp": NONE,
    });
    if let Some(members) = words.as_object_mut() {
        if let Some(owner) = &copy.owner {
            members.insert("owner".into(), owner.clone().into());
        }
        if copy.archives && copy.unpack != Some(false) {
            members.insert("attemptUnpackDockerCompatibility".into(), true.into());
        }
        if copy.parents {
            members.insert("parentPathCopy".into(), true.into());
        }
        if !selection.exclude.is_empty() {
            members.insert("exclude_patterns".into(), selection.exclude.clone().into());
        }
    }
    words
}
