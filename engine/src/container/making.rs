//! What exists already of a container that is being made: it goes again when a later step fails.

use ::container::MountPoint;
use api::container::CreateRequest;
use model::ContainerId;

use super::mount_request::{MountKind, MountRequest};
use super::validate::Checked;
use crate::engine::Inner;
use crate::error::Context;
use crate::storage::Image;
use crate::{Error, Result};

/// What exists already of a container that is being made; dropped before [`Making::done`], all of it goes again.
pub(super) struct Making<'e> {
    inner: &'e Inner,
    id: String,
    root: bool,
    directory: bool,
    /// Volumes in use by the new container.
    acquired: Vec<String>,
    /// Those of them that were made for it.
    volumes: Vec<String>,
    finished: bool,
}

impl<'e> Making<'e> {
    pub(super) fn new(inner: &'e Inner, id: &ContainerId) -> Self {
        Self {
            inner,
            id: id.to_string(),
            root: false,
            directory: false,
            acquired: Vec::new(),
            volumes: Vec::new(),
            finished: false,
        }
    }

    pub(super) fn prepare_root(&mut self, image: Option<&Image>) -> Result<()> {
        self.inner.storage.prepare_root(&self.id, image)?;
        self.root = true;
        Ok(())
    }

    pub(super) fn make_directory(&mut self) -> Result<()> {
        let directory = self.inner.layout.container_dir(&self.id);
        store::file::make_private_dir(&directory)
            .doing(|| format!("making folder {}", directory.display()))?;
        self.directory = true;
        Ok(())
    }

    /// Docker's order: volumes-from, binds and mounts, what the image declares; later ones hide earlier ones.
    pub(super) fn prepare_mounts(
        &mut self,
        request: &CreateRequest,
        checked: &mut Checked,
    ) -> Result<Vec<MountPoint>> {
        let mut points: Vec<MountPoint> = Vec::new();
        for (reference, mode, text) in &checked.volumes_from {
            let donor =
                self.inner.find(reference).map_err(|error| error.with_kind(model::ErrorKind::Invalid))?;
            for mount in &donor.record().mounts {
                let mut copy = mount.clone();
                copy.writable = copy.writable && !mode.read_only;
                if !text.is_empty() {
                    copy.mode.clone_from(text);
                }
                copy.anonymous = false;
                set_access(&mut copy);
                if copy.kind == "volume" {
                    self.inner.storage.volumes.acquire(&copy.name, &self.id).map_err(Error::from_kinded)?;
                    self.acquired.push(copy.name.clone());
                }
                replace(&mut points, copy);
            }
        }
        for mount in std::mem::take(&mut checked.mounts) {
            if mount.create_source && mount.kind == MountKind::Bind {
                checked.settings.created_sources.push(mount.source.clone());
            }
            let point = self.mount_point(mount)?;
            replace(&mut points, point);
        }
        for destination in request.config.volumes.iter().flatten().map(|(destination, _)| destination) {
            let destination = model::path::clean(&format!("/{destination}"));
            let taken = points.iter().any(|point| point.destination == destination)
                || checked.settings.tmpfs.keys().any(|path| model::path::clean(path) == destination);
            if taken || destination == "/" {
                continue;
            }
            let wish = MountRequest {
                kind: MountKind::Volume,
                destination,
                driver: match request.host_config.volume_driver.as_str() {
                    "" => "local".to_owned(),
                    wanted => wanted.to_owned(),
                },
                copy: true,
                anonymous: true,
                ..MountRequest::default()
            };
            points.push(self.mount_point(wish)?);
        }
        Ok(points)
    }

    fn mount_point(&mut self, wish: MountRequest) -> Result<MountPoint> {
        let mut point = MountPoint {
            kind: wish.kind.name().to_owned(),
            source: wish.source.clone(),
            destination: wish.destination.clone(),
            mode: wish.mode.clone(),
            writable: wish.writable,
            propagation: wish.propagation.clone(),
            subpath: wish.subpath.clone(),
            anonymous: wish.anonymous,
            ..MountPoint::default()
        };
        match wish.kind {
            MountKind::Tmpfs => {
                point.options = wish
                    .tmpfs_options
                    .split(',')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            MountKind::Bind => point.options = bind_options(&wish),
            MountKind::Volume => {
                let volume = self.inner.storage.acquire_volume(&wish, &self.id)?;
                self.acquired.push(volume.name.clone());
                if volume.created {
                    self.volumes.push(volume.name.clone());
                    crate::volume::created_event(self.inner, &volume.name);
                }
                point.name = volume.name;
                point.driver = wish.driver.clone();
                point.source = volume.path;
                point.options = bind_options(&wish);
                if wish.copy {
                    self.inner.storage.fill_volume(&point.name, &self.id, &wish.destination)?;
                }
            }
        }
        Ok(point)
    }

    pub(super) fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for volume in &self.acquired {
            self.inner.storage.volumes.release(volume, &self.id);
        }
        for volume in &self.volumes {
            self.inner.storage.discard_volume(volume);
        }
        if self.directory {
            let _ = std::fs::remove_dir_all(self.inner.layout.container_dir(&self.id));
        }
        if self.root {
            self.inner.storage.remove_root(&self.id);
        }
    }
}

/// A later mount at the same place hides the earlier one.
fn replace(points: &mut Vec<MountPoint>, point: MountPoint) {
    points.retain(|held| held.destination != point.destination);
    points.push(point);
}

fn bind_options(wish: &MountRequest) -> Vec<String> {
    let mut options = vec![if wish.non_recursive { "bind" } else { "rbind" }.to_owned()];
    if !wish.writable {
        let plain = wish.non_recursive || wish.read_only_non_recursive || wish.kind == MountKind::Volume;
        options.push(if plain { "ro" } else { "rro" }.to_owned());
    }
    options.push(if wish.propagation.is_empty() { "rprivate".to_owned() } else { wish.propagation.clone() });
    options
}

/// Makes a copied mount's options say what `writable` says.
fn set_access(point: &mut MountPoint) {
    let read_only = point.options.iter().any(|option| option == "ro" || option == "rro");
    if !point.writable && !read_only {
        point.options.push("ro".to_owned());
    }
}
