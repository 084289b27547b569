//! The configuration file: JSON, read whole, refused when it holds anything unknown.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use registry::auth::{Access, Accounts};
use registry::registry::{Policy, Retention};
use registry::server::Settings;
use registry::storage::{LocalStorage, S3, S3Storage, Storage};
use registry::upstream::{Upstream, Upstreams};
use registry::{Options, Registry};
use serde::Deserialize;
use transport::server::Beyond;
use transport::tls::TlsAcceptor;

use crate::arguments::Place;

const DEFAULT_FILE: &str = "/etc/wharf/registry.json";
const DEFAULT_ROOT: &str = "/var/lib/registry";
const DEFAULT_ADDRESS: &str = "0.0.0.0:5000";
/// Seconds.
const DEFAULT_PATIENCE: u64 = 60;

/// Everything that can be configured.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub root: Option<PathBuf>,
    /// An object store for records and blobs; uploads under way stay in the root.
    pub s3: Option<S3>,
    /// Where to listen.
    pub listen: Vec<String>,
    /// Certificates; without them clients speak plain HTTP.
    pub tls: Option<Tls>,
    /// Who may do what; without accounts everybody may do everything.
    pub accounts: Option<Accounts>,
    /// Registries that are mirrored.
    pub upstreams: Vec<Upstream>,
    /// What a collection takes away, and when.
    pub collect: Collect,
    /// Seconds that an upload nobody adds to stays.
    pub upload_lifetime: Option<u64>,
    /// What clients may take.
    pub limits: Limits,
    /// A line on standard output for each request.
    pub access_log: bool,
}

/// What clients may take.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections at once; who comes then is told to come again.
    pub connections: Option<usize>,
    /// Seconds that a client may keep the registry waiting.
    pub patience: Option<u64>,
}

/// Certificate files.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients have to show a certificate that this authority signed.
    #[serde(default)]
    pub client_authority: Option<PathBuf>,
}

/// Collection.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Collect {
    /// Seconds that new blobs stay although no manifest names them.
    pub grace: Option<u64>,
    /// Manifests that no tag leads to go.
    pub untagged: bool,
    /// Which tags stay.
    pub retention: Vec<Retention>,
    /// Seconds from one collection to the next; never by itself when not given.
    pub every: Option<u64>,
}

impl Config {
    /// Reads the file, then lets the command line have its way.
    ///
    /// # Errors
    /// With the file and what is wrong in it.
    pub(crate) fn load(place: &Place) -> Result<Self, String> {
        let path = place.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let mut config = match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && place.config.is_none() => {
                Self::default()
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        if let Some(root) = &place.root {
            config.root = Some(root.clone());
        }
        if !place.listen.is_empty() {
            config.listen.clone_from(&place.listen);
        }
        if config.listen.is_empty() {
            config.listen.push(DEFAULT_ADDRESS.to_owned());
        }
        Ok(config)
    }

    /// Where everything is kept.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT))
    }

    /// The socket for administrators of this machine.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.root().join("admin.sock")
    }

    /// Opens the storage and the registry over it.
    ///
    /// # Errors
    /// When another process has it open, or it can't be made.
    pub(crate) fn open(&self) -> Result<Arc<Registry>, String> {
        let root = self.root();
        let storage: Arc<dyn Storage> = match &self.s3 {
            Some(settings) => Arc::new(S3Storage::new(settings)?),
            None => Arc::new(LocalStorage::open(&root).map_err(|error| model::error::chain(&error))?),
        };
        let defaults = Options::default();
        let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        let options = Options {
            grace: seconds(self.collect.grace, defaults.grace),
            upload_lifetime: seconds(self.upload_lifetime, defaults.upload_lifetime),
        };
        Registry::open(storage, &root.join("uploads"), options)
            .map(Arc::new)
            .map_err(|error| model::error::chain(&error))
    }

    /// What a server is told, and told anew at a reload.
    ///
    /// # Errors
    /// When a file it names can't be used.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let access = match &self.accounts {
            Some(accounts) => Access::new(accounts, &self.root())?,
            None => Access::open(),
        };
        let upstreams = Upstreams::new(&self.upstreams)?;
        Ok(Settings { access, policy: self.policy(), upstreams, secure: self.tls.is_some() })
    }

    /// What clients may take.
    pub(crate) fn limits(&self) -> transport::server::Limits {
        let connections = self.limits.connections.unwrap_or(transport::server::MAX_CONNECTIONS);
        let patience = self.limits.patience.unwrap_or(DEFAULT_PATIENCE);
        transport::server::Limits {
            connections: connections.max(1),
            beyond: Beyond::TurnAway,
            patience: Some(Duration::from_secs(patience.max(1))),
        }
    }

    /// What a collection takes away.
    pub(crate) fn policy(&self) -> Policy {
        Policy { retention: self.collect.retention.clone(), untagged: self.collect.untagged }
    }

    /// Reads the certificates.
    ///
    /// # Errors
    /// When they can't be used.
    pub(crate) fn acceptor(&self) -> Result<Option<TlsAcceptor>, String> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let authority: Option<&Path> = tls.client_authority.as_deref();
        TlsAcceptor::load(&tls.certificate, &tls.key, authority)
            .map(Some)
            .map_err(|error| model::error::chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_and_unknown_words_are_refused() {
        let path = std::env::temp_dir().join(format!("wharf-registry-config-{}", std::process::id()));
        std::fs::write(&path, r#"{"root":"/a","listen":[":1"],"collect":{"untagged":true}}"#).unwrap();
        let mut place = Place { config: Some(path.clone()), ..Place::default() };
        let config = Config::load(&place).unwrap();
        assert_eq!((config.root(), config.listen.clone()), ("/a".into(), vec![":1".to_owned()]));
        assert!(config.policy().untagged);
        place.root = Some("/b".into());
        assert_eq!(Config::load(&place).unwrap().admin_socket(), Path::new("/b/admin.sock"));
        std::fs::write(&path, r#"{"rot":"/a"}"#).unwrap();
        assert!(Config::load(&place).unwrap_err().contains("rot"));
        std::fs::remove_file(&path).unwrap();
        assert!(Config::load(&place).is_err(), "a file that was named has to be there");
    }
}
