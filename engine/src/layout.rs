//! The on-disk layout, drawn once: every path of the engine comes from here.
//!
//! ```text
//! <data-root>/                    0700
//!   engine-id                     the id `info` shows
//!   wharf.db                      records (base/store)
//!   containers/<id>/              hostname hosts resolv.conf <id>-json.log
//!   content/ ...                  components/image
//!   snapshots/ ...                components/snapshot
//!   volumes/<name>/_data          components/volume
//!   build-mounts/<id>/            cache mounts of builds
//!   build-history/<digest>        builds that have ended, and what they said
//!   tmp/                          emptied at each start
//! <exec-root>/                    0700
//!   containers/<id>/              shim.sock exit.json record.json     (auto-removed containers only)
//! ```

use std::path::{Path, PathBuf};

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Layout {
    data_root: PathBuf,
    exec_root: PathBuf,
}

impl Layout {
    /// The layout below the two roots.
    pub fn new(data_root: &Path, exec_root: &Path) -> Self {
        Self { data_root: data_root.to_owned(), exec_root: exec_root.to_owned() }
    }

    /// `<data-root>`
    pub fn data_root(&self) -> &Path {
        &self.data_root
    }

    /// `<exec-root>`
    pub fn exec_root(&self) -> &Path {
        &self.exec_root
    }

    /// The file with the engine's id.
    pub fn engine_id_path(&self) -> PathBuf {
        self.data_root.join("engine-id")
    }

    /// The record store.
    pub fn store_path(&self) -> PathBuf {
        self.data_root.join("wharf.db")
    }

    /// Folder of temporary files.
    pub fn temporary_dir(&self) -> PathBuf {
        self.data_root.join("tmp")
    }

    /// Content store and image records.
    pub fn image_dir(&self) -> PathBuf {
        self.data_root.join("content")
    }

    /// Snapshot driver's folder.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.data_root.join("snapshots")
    }

    /// Folders of the cache mounts of builds.
    pub fn cache_mounts_dir(&self) -> PathBuf {
        self.data_root.join("build-mounts")
    }

    /// Folders of clients, kept from build to build.
    pub fn build_contexts_dir(&self) -> PathBuf {
        self.data_root.join("build-contexts")
    }

    /// What builds that have ended said.
    pub fn build_history_dir(&self) -> PathBuf {
        self.data_root.join("build-history")
    }

    /// Volumes.
    pub fn volume_dir(&self) -> PathBuf {
        self.data_root.join("volumes")
    }

    /// Durable files of all containers.
    pub fn containers_dir(&self) -> PathBuf {
        self.data_root.join("containers")
    }

    /// Durable files of one container.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.containers_dir().join(id)
    }

    /// Its `/etc/hostname`.
    pub fn hostname_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("hostname")
    }

    /// Its `/etc/hosts`.
    pub fn hosts_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("hosts")
    }

    /// Its `/etc/resolv.conf`.
    pub fn resolv_conf_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("resolv.conf")
    }

    /// Its log.
    pub fn log_path(&self, id: &str) -> PathBuf {
        self.container_dir(id).join(format!("{id}-json.log"))
    }

    /// Volatile files of all containers.
    pub fn run_dir(&self) -> PathBuf {
        self.exec_root.join("containers")
    }

    /// Volatile files of one container (shim socket, exit record).
    pub fn container_run_dir(&self, id: &str) -> PathBuf {
        self.run_dir().join(id)
    }

    /// Record of a container that dies with its process.
    pub fn volatile_record_path(&self, id: &str) -> PathBuf {
        self.container_run_dir(id).join("record.json")
    }
}
