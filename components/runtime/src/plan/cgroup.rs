//! How a container sees control groups.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use linux::cgroup::{Hierarchies, Layout};
use linux::mount::{Change, Propagation, clone_tree};
use rustix::fs::CWD;

use super::text::c_string;
use crate::error::{Error, Result};
use crate::step::Step;

/// The `cgroup` mount of a container.
#[derive(Debug)]
pub(crate) enum CgroupView {
    /// One version 2 hierarchy.
    Unified(Hierarchy),
    /// A directory of hierarchies, with links for controllers that share one.
    Directory {
        /// The hierarchies by name of their directory.
        entries: Vec<(CString, Hierarchy)>,
        /// Link name and what it points to.
        links: Vec<(CString, CString)>,
    },
}

/// One hierarchy.
#[derive(Debug)]
pub(crate) enum Hierarchy {
    /// Made inside the container's cgroup namespace: type and options.
    Own(CString, Vec<(CString, Option<CString>)>),
    /// A copy of the host's mount.
    Tree(OwnedFd),
}

/// What decides the view.
pub(crate) struct CgroupMount<'a> {
    version_2: bool,
    own_namespace: bool,
    path: Option<&'a str>,
}

impl<'a> CgroupMount<'a> {
    /// `path` is the container's group, shown alone when there is no namespace to do that.
    pub(crate) fn new(version_2: bool, own_namespace: bool, path: Option<&'a str>) -> Self {
        Self { version_2, own_namespace, path }
    }

    /// Looks the machine's hierarchies up and copies what is to be copied.
    pub(crate) fn prepare(&self) -> Result<CgroupView> {
        let hierarchies = Hierarchies::of_this_process()?;
        if self.version_2 || hierarchies.layout() == Layout::Unified {
            let unified = |layout, name: &str| layout == Layout::Unified || name == "unified";
            let point = hierarchies.mount_points().find(|(name, ..)| unified(hierarchies.layout(), name));
            let (_, _, point) = point.ok_or_else(|| Error::spec("cgroup2 is not mounted"))?;
            return Ok(CgroupView::Unified(self.hierarchy(&[], true, point)?));
        }
        let mut entries = Vec::new();
        let mut links = Vec::new();
        for (name, controllers, point) in hierarchies.mount_points() {
            let unified = name == "unified" || controllers.is_empty();
            entries.push((c_string(name)?, self.hierarchy(controllers, unified, point)?));
            if !unified {
                for controller in
                    controllers.iter().filter(|controller| !controller.contains('=') && *controller != name)
                {
                    links.push((c_string(controller.as_str())?, c_string(name)?));
                }
            }
        }
        Ok(CgroupView::Directory { entries, links })
    }

    fn hierarchy(&self, controllers: &[String], unified: bool, point: &Path) -> Result<Hierarchy> {
        if !self.own_namespace {
            let path = self.path.map_or(point.to_owned(), |path| point.join(path.trim_start_matches('/')));
            let path = if path.exists() { path } else { point.to_owned() };
            let failed = |path: &Path| Error::system(Step::Open, path.display().to_string());
            let tree = clone_tree(CWD, &path, false).map_err(failed(&path))?;
            let private = Change { propagation: Some(Propagation::Private), ..Change::default() };
            private.apply(std::os::fd::AsFd::as_fd(&tree)).map_err(failed(&path))?;
            return Ok(Hierarchy::Tree(tree));
        }
        if unified {
            return Ok(Hierarchy::Own(c"cgroup2".to_owned(), source()));
        }
        let mut data = source();
        for controller in controllers {
            data.push(match controller.split_once('=') {
                Some((key, value)) => (c_string(key)?, Some(c_string(value)?)),
                None => (c_string(controller.as_str())?, None),
            });
        }
        if controllers.iter().all(|controller| controller.contains('=')) {
            data.push((c"none".to_owned(), None));
        }
        Ok(Hierarchy::Own(c"cgroup".to_owned(), data))
    }
}

/// The name shown in the first column of /proc/mounts.
fn source() -> Vec<(CString, Option<CString>)> {
    vec![(c"source".to_owned(), Some(c"cgroup".to_owned()))]
}
