//! `create`: everything but the command itself.

use std::path::PathBuf;

use oci::runtime::Spec;
use runtime::container::{Container, GATE, listen};
use runtime::store::Record;
use runtime::{CgroupPlacement, CreateRequest, Created, Gate, RootTree, Stdio};

use super::console;
use crate::Context;
use crate::arguments::{Flag, Parsed, parse};
use crate::failure::{Failure, Result};

pub(super) const FLAGS: [Flag; 9] = [
    Flag::short_value("bundle", 'b'),
    Flag::value("console-socket"),
    Flag::value("pid-file"),
    Flag::switch("no-pivot"),
    Flag::switch("no-new-keyring"),
    Flag::value("preserve-fds"),
    // of `run` only
    Flag::short_switch("detach", 'd'),
    Flag::switch("keep"),
    Flag::switch("no-subreaper"),
];

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &FLAGS, false)?;
    let id = parsed.id("create")?;
    make(context, &parsed, id).map(|_| 0).map_err(|error| Failure::of("create", error))
}

/// Makes a container and remembers it; forgets it when that fails.
pub(super) fn make(context: &Context, parsed: &Parsed, id: &str) -> Result<(Created, Container)> {
    let bundle = bundle(parsed)?;
    let mut spec = runtime::store::read_spec(&bundle)?;
    let preserve = super::preserve::count(parsed, &mut spec)?;
    let console = console::Socket::new(parsed.get("console-socket"), wants_terminal(&spec))?;
    let directory = context.store.reserve(id)?;
    let made = make_in(&directory, parsed, id, (bundle, spec), preserve, console);
    if made.is_err() {
        let _ = context.store.forget(id);
    }
    made
}

fn make_in(
    directory: &std::path::Path,
    parsed: &Parsed,
    id: &str,
    (bundle, spec): (PathBuf, Spec),
    preserve: u32,
    console: Option<console::Socket>,
) -> Result<(Created, Container)> {
    let listener = listen(&directory.join(GATE))?;
    let root = spec.root.as_ref().map(|root| bundle.join(&root.path)).unwrap_or_default();
    let path = cgroup_path(&spec, id);
    let stdio = if wants_terminal(&spec) { Stdio::Terminal { rows: 0, columns: 0 } } else { Stdio::Inherit };
    let request = CreateRequest {
        root: RootTree::Spec,
        stdio,
        cgroup: Some(CgroupPlacement { path: path.clone(), resources: None }),
        gate: Gate::Listener(listener),
        preserve,
        no_pivot: parsed.has("no-pivot"),
        no_new_keyring: parsed.has("no-new-keyring"),
        ..CreateRequest::new(id, spec.clone(), &bundle)
    };
    let created = runtime::create(request)?;
    if let (Some(console), Some(master)) = (console, &created.pty_master) {
        console.send(master)?;
    }
    let record = Record {
        id: id.to_owned(),
        pid: created.pid,
        rootfs: root.canonicalize().unwrap_or(root),
        created: model::Timestamp::now().to_string(),
        cgroup: Some(runtime::cgroup::path(&path)),
        oci_version: spec.oci_version.clone(),
        annotations: spec.annotations.clone(),
        bundle,
        ..Record::default()
    };
    let container = Container::remember(directory.to_owned(), record, &spec)?;
    super::write_pid(parsed.get("pid-file"), created.pid)?;
    Ok((created, container))
}

fn bundle(parsed: &Parsed) -> Result<PathBuf> {
    let path = std::path::Path::new(parsed.get("bundle").unwrap_or("."));
    path.canonicalize().map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn wants_terminal(spec: &Spec) -> bool {
    spec.process.as_ref().is_some_and(|process| process.terminal)
}

fn cgroup_path(spec: &Spec, id: &str) -> String {
    let given = spec.linux.as_ref().map(|linux| linux.cgroups_path.as_str()).unwrap_or_default();
    if given.is_empty() { format!("/wharf-runtime/{id}") } else { given.to_owned() }
}
