//! Volumes: list, create, inspect, remove, prune.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ApiVersion;
use api::volume::{CreateRequest, ListResponse, PruneResponse, UsageData, Volume};
use model::Filters;
use volume::CreateVolume;

use crate::engine::Inner;
use crate::event::EventType;
use crate::{Error, Result};

/// Calls about volumes.
#[derive(Clone, Copy)]
pub struct Volumes<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl Volumes<'_> {
    /// The volumes that the filters choose, by name.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn list(&self, filters: &Filters) -> Result<ListResponse> {
        filters.allow_only(&["dangling", "driver", "label", "name"]).map_err(Error::from_kinded)?;
        let dangling = crate::image::flag(filters, "dangling")?;
        let chosen = self.inner.storage.volumes.list().into_iter().filter(|volume| {
            dangling.is_none_or(|wanted| volume.used_by.is_empty() == wanted)
                && filters.any("driver", |driver| driver == volume.driver)
                && filters.any("name", |name| volume.name.contains(name))
                && filters.match_labels(volume.labels.as_ref().unwrap_or(&BTreeMap::new()))
        });
        Ok(ListResponse { volumes: chosen.map(|volume| document(&volume)).collect(), warnings: None })
    }

    /// Makes a volume, or finds the one of this name.
    ///
    /// # Errors
    /// For names, drivers and options that are refused.
    pub fn create(&self, request: CreateRequest) -> Result<Volume> {
        let wanted = CreateVolume {
            name: request.name,
            driver: request.driver,
            options: request.driver_opts,
            labels: Some(request.labels.unwrap_or_default()).filter(|labels| !labels.is_empty()),
        };
        let (volume, created) = self.inner.storage.volumes.create(wanted).map_err(Error::from_kinded)?;
        if created {
            created_event(self.inner, &volume.name);
        }
        Ok(document(&volume))
    }

    /// One volume.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn inspect(&self, name: &str) -> Result<Volume> {
        self.inner.storage.volumes.get(name).map(|volume| document(&volume)).map_err(Error::from_kinded)
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// When it is in use, or missing and not forced.
    pub fn remove(&self, name: &str, force: bool) -> Result<()> {
        let existed = self.inner.storage.volumes.get(name).is_ok();
        self.inner.storage.volumes.remove(name, force).map_err(Error::from_kinded)?;
        if existed {
            event(self.inner, name, "destroy");
        }
        Ok(())
    }

    /// Removes the unused volumes: anonymous ones, before API 1.42 or with the filter `all` every one.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn prune(&self, filters: &Filters, version: ApiVersion) -> Result<PruneResponse> {
        filters.allow_only(&["all", "label", "label!"]).map_err(Error::from_kinded)?;
        let all = version.below(42) || crate::image::flag(filters, "all")? == Some(true);
        let empty = BTreeMap::new();
        let pruned = self.inner.storage.volumes.prune(|volume| {
            (all || volume.anonymous) && filters.match_labels(volume.labels.as_ref().unwrap_or(&empty))
        });
        let (names, space_reclaimed) = pruned.map_err(Error::from_kinded)?;
        for name in &names {
            event(self.inner, name, "destroy");
        }
        let attributes = [("reclaimed".to_owned(), space_reclaimed.to_string())].into();
        self.inner.events.publish(EventType::Volume, "prune", "", attributes);
        Ok(PruneResponse { volumes_deleted: Some(names), space_reclaimed })
    }
}

fn event(inner: &Inner, name: &str, action: &str) {
    let attributes = [("driver".to_owned(), "local".to_owned())].into();
    inner.events.publish(EventType::Volume, action, name, attributes);
}

/// Tells that a volume was made.
pub(crate) fn created_event(inner: &Inner, name: &str) {
    event(inner, name, "create");
}

/// Removes a container's own volume unless another container uses it too.
pub(crate) fn remove_anonymous(inner: &Inner, name: &str) {
    // In use by a container that took it over with --volumes-from: then it stays.
    if inner.storage.volumes.remove(name, true).is_ok() {
        event(inner, name, "destroy");
    }
}

/// The API's document.
pub(crate) fn document(volume: &::volume::Volume) -> Volume {
    Volume {
        created_at: volume.created.to_string().split('.').next().map_or_else(String::new, |seconds| {
            if seconds.ends_with('Z') { seconds.to_owned() } else { format!("{seconds}Z") }
        }),
        driver: volume.driver.clone(),
        labels: volume.labels.clone(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        name: volume.name.clone(),
        options: volume.options.clone(),
        scope: "local".to_owned(),
        status: None,
        usage_data: None,
    }
}

/// The document with its size and the number of containers that use it, for `system df`.
pub(crate) fn document_with_usage(inner: &Inner, volume: &::volume::Volume) -> Volume {
    let size = inner.storage.volumes.usage(&volume.name).unwrap_or(0);
    let usage = UsageData {
        ref_count: i64::try_from(volume.used_by.len()).unwrap_or(i64::MAX),
        size: i64::try_from(size).unwrap_or(i64::MAX),
    };
    Volume { usage_data: Some(usage), ..document(volume) }
}
