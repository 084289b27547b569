//! The client's configuration file, `config.json`: read leniently, written as docker writes it and in one step.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value as Json};

use crate::credentials::entry;
use crate::failure::{Failure, file_failure, go_io_error};

/// The file's content and place.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Json>,
}

/// More than this is no configuration.
const LIMIT: u64 = 8 << 20;

/// Fields in the order docker writes them. The first is always written, the others only when they say something.
const ORDER: [&str; 24] = [
    "auths",
    "HttpHeaders",
    "psFormat",
    "imagesFormat",
    "networksFormat",
    "pluginsFormat",
    "volumesFormat",
    "statsFormat",
    "detachKeys",
    "credsStore",
    "credHelpers",
    "serviceInspectFormat",
    "servicesFormat",
    "tasksFormat",
    "secretFormat",
    "configFormat",
    "nodesFormat",
    "pruneFilters",
    "proxies",
    "currentContext",
    "cliPluginsExtraDirs",
    "plugins",
    "aliases",
    "features",
];

impl ConfigFile {
    /// Reads the file in the folder; a missing one is empty, and so is, after a warning, one that can't be read.
    pub fn load(folder: &Path) -> Self {
        let path = folder.join("config.json");
        let (fields, complaint) = read(&path);
        if let Some(complaint) = complaint {
            eprintln!("WARNING: Error {complaint}");
        }
        Self { path, fields }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
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
    pub fn store(&self, name: &str, value: Option<Json>) -> Result<(), Failure> {
        self.update(|fields| {
            match value {
                Some(value) => fields.insert(name.to_owned(), value),
                None => fields.shift_remove(name),
            };
            true
        })
    }

    /// Changes the fields and writes the file, unless the change says that it changed nothing.
    ///
    /// The file is read again first, under a lock, so that of two changes at the same time none is lost.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn update(&self, change: impl FnOnce(&mut Map<String, Json>) -> bool) -> Result<(), Failure> {
        // What is a link to somewhere else stays one.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().unwrap_or(Path::new("."));
        let failed = |action: &str, path: &Path, error: &std::io::Error| {
            file_failure(action, &path.display().to_string(), error)
        };
        make_private_folder(folder).map_err(|error| failed("mkdir", folder, &error))?;
        let lock = std::fs::File::open(folder).map_err(|error| failed("open", folder, &error))?;
        rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| failed("lock", folder, &error.into()))?;
        let (mut fields, _) = read(&path);
        if !change(&mut fields) {
            return Ok(());
        }
        let text = render(&fields);
        replace(&path, text.as_bytes()).map_err(|error| failed("open", &path, &error))
    }
}

/// Secrets may be in it, so it says only where it is.
impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The fields of the file, and what there is to complain about.
fn read(path: &Path) -> (Map<String, Json>, Option<String>) {
    use std::io::Read as _;
    let shown = path.display();
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    match opened {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Map::new(), None),
        Err(error) => {
            let complaint = format!("loading config file: open {shown}: {}", go_io_error(&error));
            return (Map::new(), Some(complaint));
        }
        Ok(0) => return (Map::new(), None),
        Ok(_) => {}
    }
    match serde_json::from_slice(&bytes) {
        Ok(Json::Object(fields)) => {
            let fault = fields.get("auths").and_then(entry::fault);
            let complaint = fault.map(|fault| format!("parsing config file ({shown}): {fault}"));
            (fields, complaint)
        }
        Ok(_) => (Map::new(), Some(format!("parsing config file ({shown}): it is no JSON object"))),
        Err(error) if error.is_eof() => {
            (Map::new(), Some(format!("parsing config file ({shown}): unexpected EOF")))
        }
        // The parser's words may quote what is there; its place says enough.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let complaint =
                format!("parsing config file ({shown}): invalid JSON at line {line}, column {column}");
            (Map::new(), Some(complaint))
        }
    }
}

/// The file's text: docker's order of fields and of names within them, then what docker does not know.
fn render(fields: &Map<String, Json>) -> String {
    let mut out = Map::new();
    for name in ORDER {
        let value = match (name, fields.get(name)) {
            ("auths", held) => held.map_or_else(|| Json::Object(Map::new()), entry::canonical),
            (_, None) => continue,
            ("HttpHeaders", Some(held)) => without_user_agent(held),
            (_, Some(held)) => held.clone(),
        };
        if name == "auths" || !is_empty(&value) {
            out.insert(name.to_owned(), sorted(value, if name == "auths" { 1 } else { 2 }));
        }
    }
    for (name, value) in fields {
        if !ORDER.contains(&name.as_str()) {
            out.insert(name.clone(), value.clone());
        }
    }
    crate::json::go_indented(&Json::Object(out), "\t", true)
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// Names in alphabetical order, so many levels deep.
fn sorted(value: Json, levels: usize) -> Json {
    match value {
        Json::Object(map) if levels > 0 => {
            let mut entries: Vec<(String, Json)> = map.into_iter().collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Json::Object(entries.into_iter().map(|(name, value)| (name, sorted(value, levels - 1))).collect())
        }
        other => other,
    }
}

fn without_user_agent(headers: &Json) -> Json {
    let Json::Object(map) = headers else { return headers.clone() };
    let kept = map.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"));
    Json::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Makes a folder that only its owner can enter, if it is not there.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Puts a private file in place whole: whoever reads sees the old one or the new one, also after a power cut.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let fresh = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        if let Ok(before) = std::fs::metadata(path) {
            // Root may have written for somebody else, whose file it stays.
            let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

/// Writes a file only its owner can read.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_in_dockers_order() {
        let check = |text: &str, wanted: &str| {
            let fields: Map<String, Json> = serde_json::from_str(text).unwrap();
            assert_eq!(render(&fields), wanted);
        };
        check("{}", "{\n\t\"auths\": {}\n}");
        check(
            r#"{"psFormat":"<x>","zz":{"b":1,"a":2},"credsStore":"","HttpHeaders":{"b":"1","User-Agent":"u","a":"2"},
               "auths":{"b.example":{"identitytoken":"T","auth":"dTpw"},"a.example":{"username":"u","password":"p"}}}"#,
            "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t},\n\t\t\"b.example\": {\n\t\t\t\"auth\": \"dTpw\",\n\t\t\t\"identitytoken\": \"T\"\n\t\t}\n\t},\n\t\"HttpHeaders\": {\n\t\t\"a\": \"2\",\n\t\t\"b\": \"1\"\n\t},\n\t\"psFormat\": \"\\u003cx\\u003e\",\n\t\"zz\": {\n\t\t\"b\": 1,\n\t\t\"a\": 2\n\t}\n}",
        );
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = std::env::temp_dir().join(format!("wharf-config-{}", std::process::id()));
        let file = ConfigFile { path: folder.join("config.json"), fields: Map::new() };
        std::thread::scope(|scope| {
            for number in 0..16 {
                let file = &file;
                scope.spawn(move || file.store(&format!("n{number}"), Some(number.into())).unwrap());
            }
        });
        let (fields, complaint) = read(&file.path);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((fields.len(), complaint, left.len()), (17, None, 1));
    }
}
