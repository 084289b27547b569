//! What a client offers in its session: folders, secrets, agents, credentials, bytes, folders of blobs, and places for
//! results.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use linux::root::RootDir;

use super::content::Store;
use super::{Layout, Output};
use crate::services::method;
use crate::session::auth::Credentials;
use crate::session::upload;

/// Who knows what to say to a registry.
type Keyring = Box<dyn Fn(&str) -> Option<Credentials> + Send + Sync>;
/// Who connects to an ssh agent.
type Connect = Box<dyn Fn() -> io::Result<UnixStream> + Send + Sync>;
/// Bytes that are there once.
type Bytes = Box<dyn Read + Send>;

/// Everything one session has. Without something of a kind its service is not offered.
#[derive(Default)]
pub struct Offer {
    folders: BTreeMap<String, RootDir>,
    secrets: BTreeMap<String, Secret>,
    agents: BTreeMap<String, Connect>,
    keyring: Option<Keyring>,
    uploads: Mutex<HashMap<String, Bytes>>,
    outputs: BTreeMap<usize, Output>,
    stores: BTreeMap<String, Store>,
}

/// Where a secret's bytes are; they are read when somebody asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// Here.
    Value(Vec<u8>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "Secret({})", path.display()),
            Self::Value(bytes) => write!(formatter, "Secret({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Offer")
            .field("folders", &self.folders.keys())
            .field("secrets", &self.secrets.keys())
            .field("agents", &self.agents.keys())
            .field("outputs", &self.outputs.keys())
            .field("stores", &self.stores.keys())
            .finish_non_exhaustive()
    }
}

impl Offer {
    /// A folder under a name; its files belong to root, as builds see them.
    pub fn folder(&mut self, name: &str, root: RootDir) {
        self.folders.insert(name.to_owned(), root);
    }

    /// A secret under an id.
    pub fn secret(&mut self, id: &str, secret: Secret) {
        self.secrets.insert(id.to_owned(), secret);
    }

    /// An ssh agent under an id; whoever asks for it gets a connection of its own.
    pub fn agent(&mut self, id: &str, connect: impl Fn() -> io::Result<UnixStream> + Send + Sync + 'static) {
        self.agents.insert(id.to_owned(), Box::new(connect));
    }

    /// Whoever knows what to say to a registry, asked by the registry's host.
    pub fn keyring(&mut self, ask: impl Fn(&str) -> Option<Credentials> + Send + Sync + 'static) {
        self.keyring = Some(Box::new(ask));
    }

    /// Bytes, which can be read once; the address the builder reads them at.
    pub fn upload(&mut self, id: &str, bytes: impl Read + Send + 'static) -> String {
        let uploads = self.uploads.get_mut().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(id.to_owned(), Box::new(bytes));
        format!("http://{}/{id}", upload::HOST)
    }

    /// A place for the result of the exporter with this number.
    pub fn output(&mut self, exporter: usize, output: Output) {
        self.outputs.insert(exporter, output);
    }

    /// A folder of blobs under an id, to be read.
    pub fn store(&mut self, id: &str, layout: Arc<Layout>) {
        let is_writable = self.stores.get(id).is_some_and(|store| store.is_writable);
        self.stores.insert(id.to_owned(), Store { layout, is_writable });
    }

    /// A folder of blobs under an id, to be read and written.
    pub fn writable_store(&mut self, id: &str, layout: Arc<Layout>) {
        self.stores.insert(id.to_owned(), Store { layout, is_writable: true });
    }

    /// The methods of the services there is something for, as a session tells them.
    pub fn methods(&self) -> Vec<&'static str> {
        let has_uploads = !self.uploads.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let takes_blobs = self.stores.values().any(|store| store.is_writable);
        let all: [(bool, &[&'static str]); 8] = [
            (!self.folders.is_empty(), &[method::FILE_SYNC]),
            (!self.outputs.is_empty(), &[method::FILE_SEND]),
            (self.keyring.is_some(), &[method::CREDENTIALS]),
            (!self.secrets.is_empty(), &[method::GET_SECRET]),
            (!self.agents.is_empty(), &[method::CHECK_AGENT, method::FORWARD_AGENT]),
            (has_uploads, &[method::PULL]),
            (!self.stores.is_empty(), &[method::CONTENT_INFO, method::CONTENT_READ]),
            (takes_blobs, &[method::CONTENT_WRITE]),
        ];
        let offered = all.into_iter().filter(|(there, _)| *there).flat_map(|(_, methods)| methods);
        offered.copied().chain([HEALTH]).collect()
    }

    pub(super) fn folder_named(&self, name: &str) -> Option<&RootDir> {
        self.folders.get(name)
    }

    pub(super) fn store_named(&self, id: &str) -> Option<&Store> {
        self.stores.get(id)
    }

    pub(super) fn secret_of(&self, id: &str) -> Option<&Secret> {
        self.secrets.get(id)
    }

    pub(super) fn agent_of(&self, id: &str) -> Option<&Connect> {
        self.agents.get(if id.is_empty() { "default" } else { id })
    }

    pub(super) fn credentials(&self, host: &str) -> Option<Credentials> {
        self.keyring.as_ref().and_then(|ask| ask(host))
    }

    pub(super) fn take_upload(&self, id: &str) -> Option<Bytes> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// The output of a number; without one the only output there is, for builders that have only one.
    pub(super) fn output_of(&self, exporter: Option<usize>) -> Option<&Output> {
        match exporter {
            Some(number) => self.outputs.get(&number),
            None if self.outputs.len() == 1 => self.outputs.values().next(),
            None => None,
        }
    }
}

/// What builders watch a session by.
const HEALTH: &str = "/grpc.health.v1.Health/Check";
