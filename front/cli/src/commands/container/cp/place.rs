//! Paths of a copy: splitting them, what is at them, and where things land.

use std::path::Path;

use api_client::query::path_escape;
use api_client::{Client, Query};
use base64::Engine as _;
use serde_json::Value as Json;

use crate::failure::{Failure, go_io_error};

/// One side of a copy.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub path: String,
    pub exists: bool,
    pub is_dir: bool,
}

/// Where the archive goes, and the name its first entry takes; no name keeps the archive's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Landing {
    pub directory: String,
    pub name: Option<String>,
}

/// Whether the path says that a folder is meant: `x/` or `x/.`.
pub fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || ends_in_dot(path)
}

/// Whether the path means what is in a folder: `x/.`.
pub fn ends_in_dot(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// Folder and last part of a path; a trailing `/.` gives the last part `.`.
pub fn split(path: &str) -> (String, String) {
    let cleaned = model::path::clean(path);
    if ends_in_dot(path) {
        return (cleaned, ".".to_owned());
    }
    match cleaned.rsplit_once('/') {
        Some(("", last)) => ("/".to_owned(), last.to_owned()),
        Some((folder, last)) => (folder.to_owned(), last.to_owned()),
        None => (".".to_owned(), cleaned),
    }
}

/// Where a copy lands.
///
/// # Errors
/// For a folder onto a file, and for a file into a folder that is not there.
pub fn land(source: &Place, target: &Place) -> Result<Landing, Failure> {
    let (folder, base) = split(&target.path);
    match (target.exists, target.is_dir, source.is_dir) {
        (true, true, _) => Ok(Landing { directory: target.path.clone(), name: None }),
        (true, false, true) => Err(Failure::text("cannot copy directory")),
        (false, _, false) if asserts_directory(&target.path) => Err(Failure::text("no such directory")),
        _ if base == "." => Ok(Landing { directory: split(&folder).0, name: Some(split(&folder).1) }),
        _ => Ok(Landing { directory: folder, name: Some(base) }),
    }
}

/// What the engine says is at a path.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub mode: u32,
    pub link_target: String,
}

impl Found {
    /// Go's bit of folders.
    pub fn is_dir(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    /// Go's bit of links.
    pub fn is_link(&self) -> bool {
        self.mode & (1 << 27) != 0
    }

    /// Whether it can be written to: a folder or a plain file.
    pub fn is_target(&self) -> bool {
        const DEVICE_PIPE_SOCKET: u32 = (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21);
        self.mode & DEVICE_PIPE_SOCKET == 0
    }

    pub fn parse(header: Option<&str>) -> Result<Self, Failure> {
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(header.unwrap_or_default()).unwrap_or_default();
        let document: Json = serde_json::from_slice(&decoded).map_err(|error| {
            Failure::text(format!("unable to decode container path stat header: {error}"))
        })?;
        Ok(Self {
            mode: document
                .get("mode")
                .and_then(Json::as_u64)
                .and_then(|mode| u32::try_from(mode).ok())
                .unwrap_or(0),
            link_target: document.get("linkTarget").and_then(Json::as_str).unwrap_or_default().to_owned(),
        })
    }
}

/// Looks at a path of a container.
pub fn look(client: &Client, container: &str, path: &str) -> Result<Found, Failure> {
    let url = archive_path(container);
    let answer = client.send("HEAD", &url, &Query::new().set("path", path), &[], api_client::Body::Empty)?;
    Found::parse(answer.head.header("X-Docker-Container-Path-Stat"))
}

/// The URL of a container's files.
pub fn archive_path(container: &str) -> String {
    format!("/containers/{}/archive", path_escape(container))
}

/// Where a link leads, seen from the folder it is in.
pub fn follow(path: &str, link_target: &str) -> String {
    if link_target.starts_with('/') {
        return link_target.to_owned();
    }
    format!("{}/{link_target}", split(path).0)
}

/// A local path made absolute, with its trailing slash or dot kept.
pub fn absolute(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default().display().to_string();
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{here}/{path}") };
    let cleaned = model::path::clean(&joined);
    match () {
        () if ends_in_dot(path) && cleaned != "/" => format!("{cleaned}/."),
        () if path.ends_with('/') && cleaned != "/" => format!("{cleaned}/"),
        () => cleaned,
    }
}

/// What is at a local target, links followed.
pub fn local_target(path: &str) -> Result<Place, Failure> {
    let mut path = path.to_owned();
    for _ in 0..10 {
        match std::fs::symlink_metadata(path.trim_end_matches('/')) {
            Ok(data) if data.is_symlink() => {
                let to = std::fs::read_link(path.trim_end_matches('/'))?.display().to_string();
                path = follow(&path, &to);
            }
            Ok(data) => return Ok(Place { path, exists: true, is_dir: data.is_dir() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let parent = split(&path).0;
                let parent = if ends_in_dot(&path) { split(&parent).0 } else { parent };
                if !Path::new(&parent).is_dir() {
                    return Err(Failure::text(format!("lstat {parent}: no such file or directory")));
                }
                return Ok(Place { path, exists: false, is_dir: false });
            }
            Err(error) => return Err(Failure::text(format!("lstat {path}: {}", go_io_error(&error)))),
        }
    }
    Err(Failure::text(format!("too many symlinks in {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_like_dockers() {
        for (path, folder, base) in [
            ("/a/b", "/a", "b"),
            ("/a/b/", "/a", "b"),
            ("/a/b/.", "/a/b", "."),
            ("/a", "/", "a"),
            ("/", "/", ""),
            ("a", ".", "a"),
            ("/a/../b", "/", "b"),
        ] {
            assert_eq!(split(path), (folder.to_owned(), base.to_owned()), "{path}");
        }
    }

    #[test]
    fn copies_land_by_what_is_there() {
        let place = |path: &str, exists, is_dir| Place { path: path.to_owned(), exists, is_dir };
        let landed = |source, target| {
            land(&source, &target).map(|landing| (landing.directory, landing.name)).map_err(|f| f.message())
        };
        let file = || place("/s/f", true, false);
        let dir = || place("/s/d", true, true);
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(landed(file(), place("/t", true, true)), Ok(("/t".into(), None)));
        assert_eq!(landed(file(), place("/t/x", true, false)), Ok(("/t".into(), name("x"))));
        assert_eq!(landed(file(), place("/t/x", false, false)), Ok(("/t".into(), name("x"))));
        assert_eq!(landed(file(), place("/t/x/", false, false)), Err("no such directory".into()));
        assert_eq!(landed(dir(), place("/t/x", true, false)), Err("cannot copy directory".into()));
        assert_eq!(landed(dir(), place("/t/x", false, false)), Ok(("/t".into(), name("x"))));
        assert_eq!(landed(dir(), place("/t/x/.", false, false)), Ok(("/t".into(), name("x"))));
    }
}
