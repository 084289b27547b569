//! Contexts: named engines, stored in docker's own layout under `contexts/`.

use std::path::{Path, PathBuf};

use api_client::TlsFiles;
use serde_json::{Map, Value as Json, json};

use crate::config_file::write_private;
use crate::failure::{Failure, file_failure};

/// The context that is made of flags and environment.
pub const DEFAULT: &str = "default";

/// The folder of contexts.
#[derive(Debug)]
pub struct ContextStore {
    folder: PathBuf,
}

/// A named engine.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Words about it.
    pub description: String,
    /// The engine's address.
    pub host: String,
    /// Whether its certificate is not checked.
    pub skip_verify: bool,
    /// Where its certificates are.
    pub tls_dir: PathBuf,
    /// Where its record is.
    pub meta_dir: PathBuf,
    /// Fields of the record's metadata that are not ours.
    pub metadata: Map<String, Json>,
}

impl Context {
    /// Its certificates, if it has any.
    pub fn tls(&self) -> Option<TlsFiles> {
        let pick = |name: &str| Some(self.tls_dir.join("docker").join(name)).filter(|path| path.exists());
        let files = TlsFiles {
            ca: pick("ca.pem"),
            cert: pick("cert.pem"),
            key: pick("key.pem"),
            skip_verify: self.skip_verify,
        };
        (files.ca.is_some() || files.cert.is_some() || self.skip_verify).then_some(files)
    }

    /// The names of its certificate files.
    pub fn tls_files(&self) -> Vec<String> {
        ["ca.pem", "cert.pem", "key.pem"]
            .iter()
            .filter(|name| self.tls_dir.join("docker").join(name).exists())
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// The record as it is stored.
    pub fn record(&self) -> Json {
        let mut metadata = self.metadata.clone();
        if self.description.is_empty() {
            metadata.shift_remove("Description");
        } else {
            metadata.insert("Description".to_owned(), Json::from(self.description.as_str()));
        }
        json!({
            "Name": self.name,
            "Metadata": metadata,
            "Endpoints": {"docker": {"Host": self.host, "SkipTLSVerify": self.skip_verify}},
        })
    }
}

impl ContextStore {
    /// Over a folder that need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn meta_dir(&self, name: &str) -> PathBuf {
        self.folder.join("meta").join(digest(name))
    }

    fn tls_dir(&self, name: &str) -> PathBuf {
        self.folder.join("tls").join(digest(name))
    }

    /// All contexts, by name.
    pub fn list(&self) -> Vec<Context> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("meta")) else { return Vec::new() };
        let mut list: Vec<Context> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| std::fs::read(entry.path().join("meta.json")).ok())
            .filter_map(|bytes| self.parse(&bytes))
            .collect();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        list
    }

    fn parse(&self, bytes: &[u8]) -> Option<Context> {
        let record: Json = serde_json::from_slice(bytes).ok()?;
        let name = record.get("Name")?.as_str()?.to_owned();
        let endpoint = record.pointer("/Endpoints/docker").cloned().unwrap_or_default();
        let metadata = record.get("Metadata").and_then(Json::as_object).cloned().unwrap_or_default();
        Some(Context {
            tls_dir: self.tls_dir(&name),
            meta_dir: self.meta_dir(&name),
            name,
            description: metadata.get("Description").and_then(Json::as_str).unwrap_or_default().to_owned(),
            host: endpoint.get("Host").and_then(Json::as_str).unwrap_or_default().to_owned(),
            skip_verify: endpoint.get("SkipTLSVerify").and_then(Json::as_bool).unwrap_or_default(),
            metadata,
        })
    }

    /// The context of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, name: &str) -> Result<Context, Failure> {
        let path = self.meta_dir(name).join("meta.json");
        std::fs::read(&path).ok().and_then(|bytes| self.parse(&bytes)).ok_or_else(|| {
            Failure::text(format!(
                "context {}: context not found: open {}: no such file or directory",
                crate::value::quoted(name),
                path.display()
            ))
        })
    }

    /// Writes a context and, when given, its certificates.
    ///
    /// # Errors
    /// When files can't be written.
    pub fn save(&self, context: &Context, certificates: &[(&str, Vec<u8>)]) -> Result<(), Failure> {
        let fault =
            |path: &Path, error: std::io::Error| file_failure("open", &path.display().to_string(), &error);
        let folder = self.meta_dir(&context.name);
        std::fs::create_dir_all(&folder).map_err(|error| fault(&folder, error))?;
        let text = crate::json::compact(&context.record());
        std::fs::write(folder.join("meta.json"), text).map_err(|error| fault(&folder, error))?;
        if !certificates.is_empty() {
            let folder = self.tls_dir(&context.name).join("docker");
            std::fs::create_dir_all(&folder).map_err(|error| fault(&folder, error))?;
            for (name, bytes) in certificates {
                write_private(&folder.join(name), bytes).map_err(|error| fault(&folder, error))?;
            }
        }
        Ok(())
    }

    /// Removes a context and its certificates.
    ///
    /// # Errors
    /// When files can't be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        remove_folder(&self.meta_dir(name))?;
        self.remove_certificates(name)
    }

    /// Removes a context's certificates.
    ///
    /// # Errors
    /// When files can't be removed.
    pub fn remove_certificates(&self, name: &str) -> Result<(), Failure> {
        remove_folder(&self.tls_dir(name))
    }
}

fn remove_folder(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_failure("remove", &folder.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}

fn digest(name: &str) -> String {
    model::id::hex(ring::digest::digest(&ring::digest::SHA256, name.as_bytes()).as_ref())
}
