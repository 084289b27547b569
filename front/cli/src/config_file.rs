//! The client's configuration file, `config.json`: read leniently, written back with what it held.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::failure::{Failure, file_failure};

/// The file's content and place.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Json>,
}

impl ConfigFile {
    /// Reads the file in the folder; a missing one is empty.
    ///
    /// # Errors
    /// When it is there and is no JSON.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("config.json");
        let fields = match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(Json::Object(fields)) => fields,
                Ok(_) => Map::new(),
                Err(error) => {
                    let text = format!("WARNING: Error loading config file: {}: {error}", path.display());
                    eprintln!("{text}");
                    Map::new()
                }
            },
            Err(_) => Map::new(),
        };
        Ok(Self { path, fields })
    }

    /// A text field, empty when it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// A field as it is.
    pub fn field(&self, name: &str) -> Option<&Json> {
        self.fields.get(name)
    }

    /// The entries of a field that maps texts to texts.
    pub fn texts(&self, name: &str) -> Vec<(String, String)> {
        let Some(Json::Object(map)) = self.fields.get(name) else { return Vec::new() };
        map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Sets or removes a field and writes the file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn store(&mut self, name: &str, value: Option<Json>) -> Result<(), Failure> {
        match value {
            Some(value) => self.fields.insert(name.to_owned(), value),
            None => self.fields.shift_remove(name),
        };
        let shown = self.path.display().to_string();
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| file_failure("mkdir", &shown, &error))?;
        }
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.fields, &mut serializer)
            .map_err(|error| Failure::text(error.to_string()))?;
        // Passwords may be in it: a private file, put in place whole.
        let fresh = self.path.with_extension(format!("json.{}", std::process::id()));
        write_private(&fresh, &text).map_err(|error| file_failure("open", &shown, &error))?;
        std::fs::rename(&fresh, &self.path).map_err(|error| file_failure("rename", &shown, &error))
    }
}

/// Writes a file only its owner can read.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
