//! A folder of this machine: where it really is, and where its Dockerfile is.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use build_context::{Context, Ignore, Replacement};

use crate::failure::{Failure, file_failure, go_io_error};

/// A folder that will be a context.
pub(super) struct Local {
    /// The folder, links followed.
    pub path: PathBuf,
    /// Where the Dockerfile is.
    pub dockerfile: Dockerfile,
}

/// Where a Dockerfile is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dockerfile {
    /// In the context, relative to it.
    Inside(PathBuf),
    /// Somewhere else on this machine.
    Outside(PathBuf),
    /// On standard input.
    Stdin,
}

/// The usual name.
pub(super) const DEFAULT: &str = "Dockerfile";
/// Longest Dockerfile that is sent beside a context.
const LONGEST_DOCKERFILE: u64 = 16 << 20;

/// Finds folder and Dockerfile.
///
/// # Errors
/// Docker's words about what is missing.
pub(super) fn find(folder: &str, file: &str) -> Result<Local, Failure> {
    let unable = |text: String| Failure::text(format!("unable to prepare context: {text}"));
    let path = real(Path::new(folder))
        .map_err(|reason| unable(format!("unable to evaluate symlinks in context path: {reason}")))?;
    if !path.is_dir() {
        return Err(unable(format!("context must be a directory: {}", path.display())));
    }
    let dockerfile = match file {
        "-" => Dockerfile::Stdin,
        file => {
            let place = if file.is_empty() { usual(&path) } else { PathBuf::from(file) };
            let place = real(&place).map_err(|reason| {
                unable(format!("unable to evaluate symlinks in Dockerfile path: {reason}"))
            })?;
            match place.strip_prefix(&path) {
                Ok(inside) if inside.as_os_str().is_empty() => Dockerfile::Inside(PathBuf::from(".")),
                Ok(inside) => Dockerfile::Inside(inside.to_owned()),
                Err(_) => Dockerfile::Outside(place),
            }
        }
    };
    Ok(Local { path, dockerfile })
}

/// `Dockerfile`, or `dockerfile` where only that is there.
fn usual(folder: &Path) -> PathBuf {
    let lower = folder.join(DEFAULT.to_lowercase());
    let there = |path: &Path| path.symlink_metadata().is_ok();
    if !there(&folder.join(DEFAULT)) && there(&lower) { lower } else { folder.join(DEFAULT) }
}

/// The absolute path without links, or Go's words about what of it is not there.
fn real(path: &Path) -> Result<PathBuf, String> {
    std::fs::canonicalize(path)
        .map_err(|error| format!("lstat {}: {}", first_missing(path).display(), go_io_error(&error)))
}

/// The first part of a path that cannot be looked at, links followed on the way.
fn first_missing(path: &Path) -> PathBuf {
    let mut place = std::env::current_dir().unwrap_or_default();
    let mut links = 0;
    let mut parts: Vec<PathBuf> = parts_of(path);
    while let Some(part) = parts.pop() {
        if part == Path::new("..") {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        match std::fs::read_link(&next) {
            Ok(target) if links < 255 => {
                links += 1;
                parts.extend(parts_of(&target));
            }
            _ if next.symlink_metadata().is_err() => return next,
            _ => place = next,
        }
    }
    place
}

/// The parts of a path, the first one last.
fn parts_of(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// A folder that is ready to be packed: what is in it, what is added, the name of the Dockerfile.
pub(super) struct Prepared {
    pub context: Context,
    pub replacements: Vec<Replacement>,
    pub dockerfile: String,
}

impl Local {
    /// Opens the folder, and the Dockerfile where that does not lie in it.
    ///
    /// # Errors
    /// When one of them cannot be read, or the ignore file not be understood.
    pub fn prepare(&self) -> Result<Prepared, Failure> {
        let inside = match &self.dockerfile {
            Dockerfile::Inside(path) => Some(path.as_path()),
            _ => None,
        };
        let failed = |error: build_context::ContextError| Failure::text(model::error::chain(&error));
        let mut context = Context::open(&self.path, inside).map_err(failed)?;
        let text = match &self.dockerfile {
            Dockerfile::Inside(path) => {
                let dockerfile = path.to_string_lossy().into_owned();
                return Ok(Prepared { context, replacements: Vec::new(), dockerfile });
            }
            Dockerfile::Outside(path) => {
                if let Some(ignore) = Ignore::beside(path).map_err(failed)? {
                    context = context.with_ignore(ignore);
                }
                let shown = path.display().to_string();
                let opened = File::open(path).map_err(|error| {
                    let reason = file_failure("open", &shown, &error).message();
                    Failure::text(format!("unable to open Dockerfile: {reason}"))
                })?;
                whole(opened).map_err(|error| file_failure("read", &shown, &error))?
            }
            Dockerfile::Stdin => whole(std::io::stdin())?,
        };
        let replacements = beside(&context, text).map_err(failed)?;
        let dockerfile = replacements.first().map(|added| added.path.to_string_lossy().into_owned());
        Ok(Prepared { context, replacements, dockerfile: dockerfile.unwrap_or_default() })
    }
}

/// All bytes of a Dockerfile from somewhere.
///
/// # Errors
/// When it cannot be read, or is too long to be one.
pub(super) fn whole(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LONGEST_DOCKERFILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_DOCKERFILE {
        let text = format!("a Dockerfile may have {LONGEST_DOCKERFILE} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    Ok(bytes)
}

/// A Dockerfile under a name that is nobody else's, and an ignore file that hides both from the build's steps.
fn beside(context: &Context, text: Vec<u8>) -> Result<Vec<Replacement>, build_context::ContextError> {
    const IGNORE_FILE: &str = ".dockerignore";
    const LONGEST_IGNORE: u64 = 1 << 20;
    let modified = model::Timestamp::now().seconds();
    let mut random = [0u8; 10];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!(".dockerfile.{digits}");
    let mut ignore = context.read(Path::new(IGNORE_FILE), LONGEST_IGNORE)?.unwrap_or_default();
    ignore.extend_from_slice(format!("\n{IGNORE_FILE}\n{name}").as_bytes());
    Ok(vec![
        Replacement { path: PathBuf::from(name), content: text, modified },
        Replacement { path: PathBuf::from(IGNORE_FILE), content: ignore, modified },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wharf-build-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(path.join("context/sub")).unwrap();
            Self(std::fs::canonicalize(path).unwrap())
        }

        fn at(&self, name: &str) -> String {
            self.0.join(name).display().to_string()
        }

        fn dockerfile(&self, folder: &str, file: &str) -> Result<Dockerfile, String> {
            let file = if matches!(file, "" | "-") { file.to_owned() } else { self.at(file) };
            find(&self.at(folder), &file).map(|found| found.dockerfile).map_err(|failure| failure.message())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn dockerfiles_are_found_where_docker_finds_them() {
        let place = Place::new("found");
        let inside = |path: &str| Ok(Dockerfile::Inside(PathBuf::from(path)));
        let lost = |what: &str, path: &str| {
            Err(format!(
                "unable to prepare context: unable to evaluate symlinks in {what} path: lstat {path}: no such file or directory"
            ))
        };
        assert_eq!(place.dockerfile("context", ""), lost("Dockerfile", &place.at("context/Dockerfile")));
        std::fs::write(place.at("context/dockerfile"), "").unwrap();
        assert_eq!(place.dockerfile("context", ""), inside("dockerfile"));
        std::fs::write(place.at("context/Dockerfile"), "").unwrap();
        assert_eq!(place.dockerfile("context", ""), inside("Dockerfile"));
        std::fs::write(place.at("context/sub/prod"), "").unwrap();
        std::os::unix::fs::symlink("sub/prod", place.at("context/link")).unwrap();
        std::os::unix::fs::symlink("nowhere/at/all", place.at("context/dangling")).unwrap();
        std::os::unix::fs::symlink("context", place.at("other")).unwrap();
        assert_eq!(place.dockerfile("other", "other/link"), inside("sub/prod"));
        assert_eq!(place.dockerfile("context", "context"), inside("."));
        let gone = place.at("context/nowhere");
        assert_eq!(place.dockerfile("context", "context/dangling"), lost("Dockerfile", &gone));
        assert_eq!(place.dockerfile("gone/for/good", ""), lost("context", &place.at("gone")));
        std::fs::write(place.at("outside"), "").unwrap();
        assert_eq!(
            place.dockerfile("context", "outside"),
            Ok(Dockerfile::Outside(PathBuf::from(place.at("outside"))))
        );
        assert_eq!(place.dockerfile("context", "-"), Ok(Dockerfile::Stdin));
        let text = format!("unable to prepare context: context must be a directory: {}", place.at("outside"));
        assert_eq!(place.dockerfile("outside", ""), Err(text));
    }

    #[test]
    fn a_dockerfile_from_elsewhere_comes_along_hidden() {
        let place = Place::new("beside");
        std::fs::write(place.at("outside"), "FROM x").unwrap();
        std::fs::write(place.at("outside.dockerignore"), "sub").unwrap();
        std::fs::write(place.at("context/.dockerignore"), "*.o").unwrap();
        let local = find(&place.at("context"), &place.at("outside")).unwrap();
        let prepared = local.prepare().unwrap();
        let [dockerfile, ignore] = prepared.replacements.as_slice() else { panic!("two files") };
        assert_eq!(dockerfile.content, b"FROM x");
        assert!(prepared.dockerfile.starts_with(".dockerfile.") && prepared.dockerfile.len() == 32);
        let text = format!("*.o\n.dockerignore\n{}", prepared.dockerfile);
        assert_eq!(String::from_utf8_lossy(&ignore.content), text);
        assert!(prepared.context.ignore().is_ignored("sub/x"));
    }
}
