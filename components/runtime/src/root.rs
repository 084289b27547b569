//! The root file system as a detached mount.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use linux::mount::{Change, Propagation, clone_tree};
use linux::overlay::{IdMap, Overlay};
use oci::runtime::{IdMapping, Spec};
use rustix::fs::CWD;

use crate::error::{Error, Result};
use crate::id_map::IdMaps;
use crate::plan::host_id;
use crate::request::RootTree;
use crate::step::Step;

/// Makes the root mount. Beside it the path it has on the host, where there is one.
pub(crate) fn open(tree: RootTree, spec: &Spec, bundle: &Path) -> Result<(OwnedFd, Option<PathBuf>)> {
    let named = spec.root.as_ref().map(|root| bundle.join(&root.path)).filter(|path| path.is_dir());
    let mapped = |layers: &Overlay| overlay(layers, spec).map(|fd| (fd, named.clone()));
    match tree {
        RootTree::Spec => {
            let root = spec.root.as_ref().ok_or_else(|| Error::spec("root filesystem must be specified"))?;
            let path = bundle.join(&root.path);
            directory(&path).map(|fd| (fd, Some(path)))
        }
        RootTree::Directory(path) => directory(&path).map(|fd| (fd, Some(path))),
        RootTree::Overlay { lowers, upper, work, volatile } => {
            mapped(&Overlay { lowers, upper: Some((upper, work)), volatile, attributes: 0 })
        }
        RootTree::OverlayView { lowers } => mapped(&Overlay { lowers, ..Overlay::default() }),
        RootTree::Mount(fd) => Ok((fd, named)),
    }
}

fn directory(path: &Path) -> Result<OwnedFd> {
    let failed = || Error::system(Step::Open, path.display().to_string());
    let tree = clone_tree(CWD, path, true).map_err(failed())?;
    let private = Change { propagation: Some(Propagation::Private), recursive: true, ..Change::default() };
    private.apply(tree.as_fd()).map_err(failed())?;
    Ok(tree)
}

/// Layers belong to nobody's namespace: their ids are mapped into that of the container, if it has one of its own.
fn overlay(overlay: &Overlay, spec: &Spec) -> Result<OwnedFd> {
    let mut maps = IdMaps::default();
    let linux = spec.linux.as_ref().filter(|linux| !linux.uid_mappings.is_empty());
    let namespace =
        linux.map(|linux| maps.namespace(&linux.uid_mappings, &linux.gid_mappings)).transpose()?;
    let root = |mappings: &[IdMapping]| host_id(mappings, 0).unwrap_or_default();
    let id_map = linux.zip(namespace).map(|(linux, namespace)| IdMap {
        namespace: namespace.as_fd(),
        uid: root(&linux.uid_mappings),
        gid: root(&linux.gid_mappings),
    });
    overlay.mount_mapped(id_map).map_err(|error| Error::System {
        step: Step::Root,
        subject: error.to_string(),
        errno: linux::Errno::from_io_error(&error).unwrap_or(linux::Errno::INVAL),
    })
}
