//! Where the files of a build are, as options of the frontend and folders of the session.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildkit::client::{Layout, LayoutError, Offer};
use linux::root::RootDir;

use super::attributes::Attributes;
use crate::commands::build::local::{self, Dockerfile, Local};
use crate::commands::build::source::Source;
use crate::failure::{Failure, file_failure};
use crate::matches::Matches;

/// The names a session knows the two folders by.
const CONTEXT: &str = "context";
const DOCKERFILE: &str = "dockerfile";

/// What has to stay until the build is done, and what there is to say about the folders.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The same for all builds of one folder: a builder keeps what it got before under it.
    pub shared_key: String,
    /// A folder of our own with a Dockerfile that came from elsewhere.
    temporary: Option<Temporary>,
    /// The main folder, for an engine on this machine that may read it in place.
    place: Option<(PathBuf, String)>,
}

/// A folder that goes with its owner.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Offers context, Dockerfile and named contexts.
///
/// # Errors
/// When one of them cannot be read.
pub(super) fn offer(
    source: Source,
    matches: &Matches,
    to: &mut Offer,
    attributes: &mut Attributes,
) -> Result<Files, Failure> {
    let mut files = Files::default();
    match source {
        Source::Local(local) => files.local(&local, to, attributes)?,
        Source::Archive(stream, dockerfile) => {
            let address = to.upload(&model::id::random_hex(), stream);
            attributes.insert("context".into(), address);
            set_name(attributes, &dockerfile);
        }
        Source::Dockerfile(text) => {
            // Nothing but a Dockerfile: the context is a folder with nothing else in it.
            let folder = files.dockerfile(&text, to, attributes)?;
            to.folder(CONTEXT, open(&folder)?);
        }
        Source::Remote(address, dockerfile) if dockerfile == "-" => {
            attributes.insert("context".into(), address);
            let text = whole(std::io::stdin())?;
            files.dockerfile(&text, to, attributes)?;
            attributes.insert("dockerfilekey".into(), DOCKERFILE.into());
        }
        Source::Remote(address, dockerfile) => {
            attributes.insert("context".into(), address);
            set_name(attributes, &dockerfile);
        }
    }
    for text in matches.list("build-context") {
        named(text, to, attributes)?;
    }
    Ok(files)
}

/// The Dockerfile's name in a context from elsewhere.
fn set_name(attributes: &mut Attributes, name: &str) {
    let name = if name.is_empty() { local::DEFAULT } else { name };
    attributes.insert("filename".into(), name.to_owned());
}

impl Files {
    fn local(&mut self, local: &Local, to: &mut Offer, attributes: &mut Attributes) -> Result<(), Failure> {
        to.folder(CONTEXT, open(&local.path)?);
        self.shared_key = shared_key(&local.path);
        let path = match &local.dockerfile {
            Dockerfile::Stdin => {
                let text = whole(std::io::stdin())?;
                return self.dockerfile(&text, to, attributes).map(drop);
            }
            Dockerfile::Inside(inside) => {
                if let Some(inside) = inside.to_str() {
                    self.place = Some((local.path.clone(), inside.to_owned()));
                }
                local.path.join(inside)
            }
            Dockerfile::Outside(path) => path.clone(),
        };
        let shown = path.display().to_string();
        if path.is_dir() {
            return Err(Failure::text(format!("failed to read dockerfile: read {shown}: is a directory")));
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        to.folder(DOCKERFILE, open(folder)?);
        attributes.insert("filename".into(), name);
        Ok(())
    }

    /// Offers a Dockerfile that is no file of this machine; the folder it lies in now.
    fn dockerfile(
        &mut self,
        text: &[u8],
        to: &mut Offer,
        attributes: &mut Attributes,
    ) -> Result<PathBuf, Failure> {
        let folder = std::env::temp_dir().join(format!("wharf-build-{}", &model::id::random_hex()[..16]));
        let shown = folder.display().to_string();
        let private =
            std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&folder);
        private.map_err(|error| file_failure("mkdir", &shown, &error))?;
        self.temporary = Some(Temporary(folder.clone()));
        let path = folder.join(local::DEFAULT);
        std::fs::write(&path, text)
            .map_err(|error| file_failure("open", &path.display().to_string(), &error))?;
        to.folder(DOCKERFILE, open(&folder)?);
        attributes.insert("filename".into(), local::DEFAULT.into());
        Ok(folder)
    }

    /// Names the main folder for an engine of ours, which reads it in place when it finds the same one there; whether
    /// there is one.
    ///
    /// # Errors
    /// When the folder is gone, or its ignore file makes no sense.
    pub fn name_place(&self, attributes: &mut Attributes) -> Result<bool, Failure> {
        let Some((path, dockerfile)) = &self.place else { return Ok(false) };
        let Some(text) = path.to_str() else { return Ok(false) };
        let context = build_context::Context::open(path, Some(Path::new(dockerfile)))
            .map_err(|error| Failure::text(model::error::chain(&error)))?;
        let (device, inode) = context.identity();
        for (name, value) in [
            ("wharf-context", text.to_owned()),
            ("wharf-context-device", device.to_string()),
            ("wharf-context-inode", inode.to_string()),
            ("wharf-dockerfile", dockerfile.clone()),
        ] {
            attributes.insert(name.to_owned(), value);
        }
        Ok(true)
    }
}

/// `--build-context NAME=PLACE`.
fn named(text: &str, to: &mut Offer, attributes: &mut Attributes) -> Result<(), Failure> {
    let (name, place) = text.split_once('=').ok_or_else(|| {
        let text = crate::value::quoted(text);
        Failure::text(format!("invalid context value: {text}, expected key=value"))
    })?;
    let name = crate::commands::image::reference::parse(name)
        .map(|reference| reference.familiar())
        .map_err(|failure| Failure::text(format!("invalid context name {name}: {}", failure.message())))?;
    let is_elsewhere =
        ["docker-image://", "target:", "https://", "http://", "git@", "git://", "ssh://", "input:"]
            .iter()
            .any(|start| place.starts_with(start));
    let value = if is_elsewhere {
        place.to_owned()
    } else if let Some(image) = place.strip_prefix("oci-layout://") {
        layout(image, to).map_err(|failure| {
            Failure::text(format!("failed to get build context {name}: {}", failure.message()))
        })?
    } else {
        let found = std::fs::metadata(place).map_err(|error| {
            let reason = file_failure("stat", place, &error).message();
            Failure::text(format!("failed to get build context {name}: {reason}"))
        })?;
        if !found.is_dir() {
            return Err(Failure::text(format!(
                "failed to get build context {name}: {place} is no directory"
            )));
        }
        // A name of a context may be that of one of ours.
        let known = if matches!(name.as_str(), CONTEXT | DOCKERFILE) {
            format!("{name}-named")
        } else {
            name.clone()
        };
        to.folder(&known, open(Path::new(place))?);
        format!("local:{known}")
    };
    attributes.insert(format!("context:{name}"), value);
    Ok(())
}

/// An image in a folder in OCI layout, `PATH[:TAG][@DIGEST]`, lent to the builder; what the builder knows it by.
fn layout(text: &str, to: &mut Offer) -> Result<String, Failure> {
    let failed = |error: LayoutError| Failure::text(model::error::chain(&error));
    let (place, digest) = match text.rsplit_once('@') {
        Some((place, digest)) if !digest.contains('/') => (place, Some(digest)),
        _ => (text, None),
    };
    let (path, tag) = match place.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (place, "latest"),
    };
    let layout = Layout::open(Path::new(path)).map_err(failed)?;
    let digest = match digest {
        Some(digest) => digest.parse::<oci::Digest>().map_err(|error| {
            Failure::text(format!("invalid digest {} of {path}: {error}", crate::value::quoted(digest)))
        })?,
        None => {
            let known = layout.named(tag).map_err(failed)?;
            let known = if known.is_some() { known } else { layout.only().map_err(failed)? };
            let none = || Failure::text(format!("{path} has nothing tagged {tag}"));
            known.ok_or_else(none)?.digest
        }
    };
    // A builder would only say that the content is missing, not where.
    layout.size(&digest).map_err(failed)?;
    let id = model::id::random_hex()[..25].to_owned();
    to.store(&format!("oci:{id}"), Arc::new(layout));
    Ok(format!("oci-layout://{id}:{tag}@{digest}"))
}

fn open(path: &Path) -> Result<RootDir, Failure> {
    let shown = path.display().to_string();
    RootDir::open(path).map_err(|error| file_failure("open", &shown, &std::io::Error::from(error)))
}

/// What names a folder of this machine for all time.
fn shared_key(path: &Path) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let text = format!("{} {}", machine.trim(), path.display());
    oci::Digest::of(text.as_bytes()).hex().to_owned()
}

fn whole(source: impl Read) -> Result<Vec<u8>, Failure> {
    Ok(local::whole(source)?)
}
