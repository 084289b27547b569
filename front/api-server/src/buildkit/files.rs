//! The files of a build: Dockerfile and ignore file at once, contexts when it is known what of them is needed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use buildkit::ops::SourceInfo;
use buildkit::server::{Context, Job, Wish};
use buildkit::session::sync::{SyncError, SyncLimits, Wanted};
use engine::Engine;
use engine::build::{Cancel, ContextSource, ForeignContext, KeptFolder};
use grpc::{Code, Status};

use super::attest::Told;
use super::contexts::{self, Contexts};
use super::failure;
use super::place::{self, Here};
use super::vertex::{self, Telling};

/// Longest Dockerfile and ignore file.
pub(super) const LONGEST: u64 = 2 << 20;
/// How often people are told how much came.
const OFTEN: Duration = Duration::from_millis(100);

/// The files of one build.
pub(super) struct Files {
    pub(super) dockerfile: SourceInfo,
    /// Folders of the client, by the names the build has for them; the main one has none.
    folders: BTreeMap<String, Local>,
    /// What the names in the Dockerfile stand for.
    pub(super) contexts: Contexts,
    /// The main context, when it comes from elsewhere.
    main: Option<ForeignContext>,
    /// The main context, when it is a folder of this machine.
    here: Option<Here>,
    /// What its ignore file says then.
    here_exclude: Vec<String>,
}

/// A folder of the client.
struct Local {
    /// Its name in the session.
    name: String,
    exclude: Vec<String>,
    kept: KeptFolder,
}

impl Files {
    /// What statements tell of them.
    pub(super) fn told(&self) -> Told<'_> {
        let checksum = self.main.as_ref().and_then(ForeignContext::checksum);
        Told { dockerfile: &self.dockerfile.data, checksum }
    }

    /// Gets the Dockerfile, and places for the folders.
    pub(super) fn new(engine: &Engine, wish: &Wish, job: &Job, cancel: &Cancel) -> Result<Self, Status> {
        let main = main_context(engine, wish, job, cancel)?;
        let here = place::find(wish, job)?;
        let definition = match &here {
            Some(here) => Definition { file: here.dockerfile(&wish.filename), ignore: None },
            None => Definition::get(engine, wish, job, main.as_ref())?,
        };
        let mut folders = BTreeMap::new();
        if let (Context::Local(name), None) = (&wish.context, &here) {
            let text = match definition.ignore {
                Some(text) => Some(text),
                None => vertex::told(&job.progress, "[internal] load .dockerignore", |telling| {
                    read(
                        &fetch_few(engine, job, name, &[".dockerignore"], telling, "context")?,
                        ".dockerignore",
                    )
                })?,
            };
            folders.insert(String::new(), Local::new(engine, job, name, patterns(text))?);
        }
        for (known, context) in &wish.contexts {
            if let Context::Local(name) = context {
                let text = fetch_ignore(engine, job, known, name)?;
                folders.insert(known.clone(), Local::new(engine, job, name, patterns(text))?);
            }
        }
        let contexts = Contexts::new(engine, wish, job, cancel)?;
        let here_exclude = here.as_ref().map(|here| patterns(here.ignore())).unwrap_or_default();
        Ok(Self { dockerfile: definition.file, folders, contexts, main, here, here_exclude })
    }

    /// The Dockerfile's path in its context.
    pub(super) fn dockerfile_path(&self) -> &str {
        self.here.as_ref().map_or(&self.dockerfile.filename, |here| &here.place.dockerfile)
    }

    /// What the main folder's ignore file says, pattern by pattern.
    pub(super) fn ignore(&self) -> &[String] {
        self.folders.get("").map_or(&self.here_exclude, |local| &local.exclude)
    }

    /// Where a folder of the client is here, by the name the build has for it.
    pub(super) fn folder(&self, name: &str) -> Option<PathBuf> {
        let here = self.here.as_ref().filter(|_| name.is_empty()).map(|here| PathBuf::from(&here.place.path));
        here.or_else(|| self.folders.get(name).map(|local| local.kept.path().to_owned()))
    }

    /// Where the folders are.
    pub(super) fn source<'c>(&self) -> ContextSource<'c> {
        let own = self.folders.iter().map(|(name, local)| (name.clone(), local.kept.path().to_owned()));
        let foreign =
            self.contexts.foreign.iter().map(|(name, files)| (name.clone(), files.path().to_owned()));
        let main = self.main.iter().map(|files| (String::new(), files.path().to_owned()));
        let paths: BTreeMap<String, PathBuf> = own.chain(foreign).chain(main).collect();
        match &self.here {
            Some(here) => here.source(paths),
            None => ContextSource::Folders(paths),
        }
    }

    /// Gets what is needed of a folder: these paths, or all of it.
    pub(super) fn fetch(&self, name: &str, paths: &[String], job: &Job) -> Result<(), Status> {
        let Some(local) = self.folders.get(name) else { return Ok(()) };
        let wanted = Wanted {
            name: local.name.clone(),
            exclude: local.exclude.clone(),
            follow: follow(paths),
            include: Vec::new(),
        };
        let title = match name {
            "" => "[internal] load build context".to_owned(),
            name => format!("[context {name}] load from client"),
        };
        vertex::told(&job.progress, &title, |telling| {
            let word = if name.is_empty() { "context" } else { name };
            transfer(job, &wanted, &local.kept, telling, word)
        })
    }
}

impl Local {
    fn new(engine: &Engine, job: &Job, name: &str, exclude: Vec<String>) -> Result<Self, Status> {
        Ok(Self { name: name.to_owned(), exclude, kept: kept(engine, job, name)? })
    }
}

/// The Dockerfile, and the ignore file that belongs to it alone.
pub(super) struct Definition {
    pub(super) file: SourceInfo,
    ignore: Option<Vec<u8>>,
}

impl Definition {
    /// The vertex it is shown as.
    pub(super) fn vertex(filename: &str) -> String {
        vertex::digest(&Self::title(filename))
    }

    fn title(filename: &str) -> String {
        format!("[internal] load build definition from {filename}")
    }

    /// Gets it from the client, or out of a context from elsewhere.
    pub(super) fn get(
        engine: &Engine,
        wish: &Wish,
        job: &Job,
        main: Option<&ForeignContext>,
    ) -> Result<Self, Status> {
        let filename = wish.filename.clone();
        if let Some(text) = &wish.text {
            let data = text.clone().into_bytes();
            return Ok(Self { file: SourceInfo { filename, data, ..SourceInfo::default() }, ignore: None });
        }
        let missing = || {
            let text = format!("failed to read dockerfile: open {filename}: no such file or directory");
            Status::new(Code::Unknown, text)
        };
        let lower = if filename == "Dockerfile" { "dockerfile" } else { filename.as_str() };
        let (text, ignore) = match (&wish.dockerfile, main) {
            (Context::Local(name), _) => {
                let beside = format!("{filename}.dockerignore");
                vertex::told(&job.progress, &Self::title(&filename), |telling| {
                    let files = [&filename, lower, &beside];
                    let folder = fetch_few(engine, job, name, &files, telling, "dockerfile")?;
                    let text = match read(&folder, &filename)? {
                        Some(text) => Some(text),
                        None => read(&folder, lower)?,
                    };
                    Ok((text, read(&folder, &beside)?))
                })?
            }
            (_, Some(main)) => {
                let read = |name: &str| main.read(name).map_err(|error| failure::plain(&error));
                let text = match main.text() {
                    Some(text) => Some(text.to_vec()),
                    None => read(&filename)?,
                };
                (if text.is_none() { read(lower)? } else { text }, None)
            }
            (_, None) => (None, None),
        };
        let data = text.ok_or_else(missing)?;
        let file = SourceInfo { filename, data, language: "Dockerfile".into(), ..SourceInfo::default() };
        Ok(Self { file, ignore })
    }
}

/// The main context, when it is not a folder of the client.
pub(super) fn main_context(
    engine: &Engine,
    wish: &Wish,
    job: &Job,
    cancel: &Cancel,
) -> Result<Option<ForeignContext>, Status> {
    let builds = engine.builds();
    match &wish.context {
        Context::Local(_) | Context::Nothing => Ok(None),
        Context::Address(address) if is_upload(address) => {
            let path = address.rsplit_once('/').map_or("", |(_, name)| name);
            let mut upload = job.session()?.upload(path, &job.cancellation)?;
            let unpacked = builds.unpack_context(&mut upload);
            unpacked.map(Some).map_err(|error| failure::plain(&error))
        }
        Context::Address(address) => {
            let title = match engine::build::is_repository(address) {
                true => format!("[internal] load git source {address}"),
                false => format!("[internal] load remote build context {address}"),
            };
            let keep = contexts::keeps_git_dir(wish);
            let fetched = vertex::told(&job.progress, &title, |_| {
                let fetched = builds.fetch_context(address, keep, cancel);
                fetched.map_err(|error| failure::plain(&error))
            })?;
            Ok(Some(fetched))
        }
        Context::Repository(address) | Context::File { address, .. } => {
            let name = match &wish.context {
                Context::File { name, .. } => Some(name.as_str()).filter(|name| !name.is_empty()),
                _ => None,
            };
            let remote = contexts::remote(wish, address, &wish.context);
            let fetched = vertex::told(&job.progress, address, |_| {
                let fetched = builds.fetch_named_context(&remote, name, cancel);
                fetched.map_err(|error| failure::plain(&error))
            })?;
            Ok(Some(fetched))
        }
        other => {
            let text = format!("{other:?} as the main context is not supported by this builder");
            Err(Status::new(Code::Unimplemented, text))
        }
    }
}

/// The ignore file of a named folder of the client.
fn fetch_ignore(engine: &Engine, job: &Job, known: &str, name: &str) -> Result<Option<Vec<u8>>, Status> {
    let title = format!("[context {known}] load .dockerignore");
    vertex::told(&job.progress, &title, |telling| {
        read(&fetch_few(engine, job, name, &[".dockerignore"], telling, known)?, ".dockerignore")
    })
}

/// Whether an address means bytes of the session.
fn is_upload(address: &str) -> bool {
    address.strip_prefix("http://").and_then(|rest| rest.split('/').next())
        == Some(buildkit::session::upload::HOST)
}

/// A place that stays for all builds of the same folder.
fn kept(engine: &Engine, job: &Job, what: &str) -> Result<KeptFolder, Status> {
    let key = format!("{what}:{}", job.session()?.info().shared_key);
    engine.builds().kept_folder(&key, what).map_err(|error| failure::plain(&error))
}

/// Gets a few files into a place of their own.
fn fetch_few(
    engine: &Engine,
    job: &Job,
    name: &str,
    files: &[&str],
    telling: &Telling<'_>,
    word: &str,
) -> Result<KeptFolder, Status> {
    let folder = kept(engine, job, &format!("few:{name}"))?;
    // They may be links to others.
    let mut follow: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    follow.dedup();
    let wanted = Wanted { name: name.to_owned(), follow, ..Wanted::default() };
    transfer(job, &wanted, &folder, telling, word)?;
    Ok(folder)
}

fn transfer(
    job: &Job,
    wanted: &Wanted,
    into: &KeptFolder,
    telling: &Telling<'_>,
    word: &str,
) -> Result<(), Status> {
    let id = format!("transferring {word}:");
    let tell = |bytes, done| telling.part(&id, "transferring", bytes, done);
    let mut last = Instant::now();
    let mut progress = |bytes| {
        if last.elapsed() >= OFTEN {
            last = Instant::now();
            tell(bytes, false);
        }
    };
    let limits = SyncLimits::default();
    let synced = job.session()?.sync(wanted, into.root(), limits, &job.cancellation, &mut progress);
    let synced = synced.map_err(|error| match error {
        SyncError::Peer(status) if status.code == Code::Unimplemented => {
            let reading = if word == "dockerfile" { "failed to read dockerfile: " } else { "" };
            Status::new(Code::Unknown, format!("{reading}no local sources enabled"))
        }
        SyncError::Peer(status) if status.code == Code::Unknown => {
            let text = format!("rpc error: code = Unknown desc = {}", status.message);
            Status::new(Code::Unknown, text)
        }
        SyncError::Peer(status) => status,
        error => Status::new(Code::Unknown, model::error::chain(&error)),
    })?;
    tell(synced.sent_bytes, true);
    Ok(())
}

fn read(folder: &KeptFolder, path: &str) -> Result<Option<Vec<u8>>, Status> {
    let Ok(file) = folder.root().open_regular(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    let failed = |error: std::io::Error| Status::new(Code::Internal, format!("reading {path}: {error}"));
    std::fs::File::from(file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Status::new(Code::Unknown, format!("{path} is longer than {LONGEST} bytes")));
    }
    Ok(Some(bytes))
}

/// The lines of an ignore file that say something, as the client's matcher reads them.
fn patterns(text: Option<Vec<u8>>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let text = String::from_utf8_lossy(text);
    text.lines().filter(|line| !line.starts_with('#')).map(pattern).filter(|line| !line.is_empty()).collect()
}

/// One pattern: without leading slash, dots and double slashes resolved.
fn pattern(line: &str) -> String {
    let line = line.trim();
    let (not, line) = line.strip_prefix('!').map_or(("", line), |rest| ("!", rest.trim()));
    let cleaned = model::path::below_root(line);
    if cleaned.is_empty() && not.is_empty() && !line.is_empty() {
        ".".to_owned()
    } else {
        format!("{not}{cleaned}")
    }
}

/// The paths a client is asked for; none when all of the folder is needed.
fn follow(paths: &[String]) -> Vec<String> {
    let mut wanted: Vec<String> = paths.iter().map(|path| model::path::below_root(path)).collect();
    wanted.sort();
    wanted.dedup();
    if wanted.iter().any(String::is_empty) { Vec::new() } else { wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_files_become_patterns() {
        let text = b"\xef\xbb\xbf# no\n/a/../b/\n  c  \n\n!/d\n*.rs\n! e\n.\n".to_vec();
        assert_eq!(patterns(Some(text)), ["b", "c", "!d", "*.rs", "!e", "."]);
        assert!(patterns(None).is_empty());
    }

    #[test]
    fn a_folder_is_asked_for_whole_when_something_needs_all_of_it() {
        let paths = |paths: &[&str]| follow(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(paths(&["/b", "a/./c", "b"]), ["a/c", "b"]);
        assert!(paths(&["a", "."]).is_empty());
        assert!(paths(&["a", "/"]).is_empty());
        assert_eq!(paths(&["../../a*"]), ["a*"]);
    }

    #[test]
    fn addresses_of_the_session_are_told_apart() {
        assert!(is_upload("http://buildkit-session/abc"));
        for other in ["http://buildkit-session.example/abc", "https://buildkit-session/x", "buildkit-session"]
        {
            assert!(!is_upload(other), "{other}");
        }
    }
}
