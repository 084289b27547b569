//! What a build is asked for, and how its files come to the engine.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{Compression, Decoder, ExtractOptions, Owner};
use build_context::Ignore;
use builder::Dockerfile;
use builder::plan::{Options, Style};
use linux::root::RootDir;
use oci::{Digest, Reference};
use registry_client::{Credentials, Stop};

use super::Folder;
use super::checksum::{Checksum, Hashed};
use super::git::{self, Repository};
use super::remote_cache::ImportedCache;
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Longest Dockerfile and ignore file.
const LONGEST: u64 = 2 << 20;

/// A build.
pub struct BuildRequest {
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Its text, where it does not come from the context.
    pub dockerfile_text: Option<Vec<u8>>,
    /// What the image is called.
    pub names: Vec<Reference>,
    /// What the Dockerfile's meaning depends on.
    pub options: Options,
    /// A platform was asked for.
    pub explicit_platform: bool,
    /// Images are looked for at their registries even if they are here.
    pub pull: bool,
    /// Limits and settings of the commands' containers.
    pub host_config: api::container::HostConfig,
    /// The name of the machine commands run on; their container's when absent.
    pub hostname: Option<String>,
    /// Commands may ask to run without their sandbox.
    pub insecure: bool,
    /// What it can be cancelled by.
    pub build_id: String,
    /// The other side, for secrets and keys.
    pub client: Arc<dyn Client>,
    /// Results from elsewhere.
    pub imports: Vec<Arc<ImportedCache>>,
    /// Somebody wants to know where the result comes from.
    pub provenance: bool,
}

/// What only the client of a build has.
pub trait Client: Send + Sync {
    /// What it says to the registry of this domain, when an image has to be fetched.
    ///
    /// # Errors
    /// When the client does not answer.
    fn credentials(&self, _domain: &str) -> Result<Credentials> {
        Ok(Credentials::default())
    }

    /// A secret; none when it has none of that id.
    ///
    /// # Errors
    /// When the client does not answer.
    fn secret(&self, _id: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Makes the client's agent of keys reachable at a socket's path, until what this answers is dropped.
    ///
    /// # Errors
    /// When the socket cannot be made.
    fn agent(&self, _id: &str, _path: &Path) -> Result<Option<Box<dyn Any + Send>>> {
        Ok(None)
    }

    /// Whether it wants a shell in the state that a failing command left.
    fn wants_shell(&self) -> bool {
        false
    }
}

/// Where the files of a build are.
pub enum ContextSource<'c> {
    /// A tar stream, perhaps compressed.
    Tar(&'c mut (dyn Read + Send)),
    /// A folder of this machine, which is read in place.
    Place {
        /// Its path.
        path: PathBuf,
        /// The device it is on, as the client sees it.
        device: u64,
        /// Its number there.
        inode: u64,
        /// Folders beside it, by their names, as in [`ContextSource::Folders`].
        others: BTreeMap<String, PathBuf>,
    },
    /// Folders by their names, which stay as they are; the main one has none. Whoever filled them knew the ignore file.
    Folders(BTreeMap<String, PathBuf>),
    /// A repository, an archive or a Dockerfile, by its address.
    Remote(String),
    /// There are none.
    Nothing,
}

/// The files of a build on this machine.
pub struct Received {
    pub(super) dockerfile: Dockerfile,
    pub(super) folders: BTreeMap<String, Folder>,
    _temporary: Option<Temporary>,
}

/// A folder that goes when it is no longer used.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new(inner: &Inner) -> Result<Self> {
        let folder = inner.layout.temporary_dir().join(format!("context-{}", model::id::random_hex()));
        store::file::make_private_dir(&folder).doing(|| format!("making folder {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("removing {}: {error}", self.0.display());
        }
    }
}

/// Gets the files of a build, and its Dockerfile.
pub(super) fn receive(
    inner: &Inner,
    request: &BuildRequest,
    context: ContextSource<'_>,
    stop: &Stop,
) -> Result<Received> {
    let mut temporary = None;
    let mut text = request.dockerfile_text.clone();
    let mut folders = BTreeMap::new();
    // What a client keeps to itself was not sent; and the files may come later than this.
    let filtered = matches!(context, ContextSource::Folders(_));
    let is_in_place = matches!(context, ContextSource::Place { .. });
    match context {
        ContextSource::Nothing => {}
        ContextSource::Folders(paths) => {
            for (name, path) in paths {
                folders.insert(name, open(&path, Ignore::default(), true)?);
            }
        }
        ContextSource::Place { path, device, inode, others } => {
            folders.insert(String::new(), in_place(&path, device, inode)?);
            for (name, path) in others {
                folders.insert(name, open(&path, Ignore::default(), true)?);
            }
        }
        ContextSource::Tar(stream) => {
            let folder = Temporary::new(inner)?;
            unpack(stream, &folder.0)?;
            folders.insert(String::new(), open(&folder.0, Ignore::default(), true)?);
            temporary = Some(folder);
        }
        ContextSource::Remote(address) => {
            let folder = Temporary::new(inner)?;
            let found = remote(inner, &address, &folder.0, false, stop)?;
            text = text.or(found.dockerfile);
            folders.insert(String::new(), open(&found.files, Ignore::default(), true)?);
            temporary = Some(folder);
        }
    }
    let main = folders.get_mut("");
    let name = if request.dockerfile.is_empty() { "Dockerfile" } else { &request.dockerfile };
    let dockerfile = match (&text, &main) {
        (Some(text), _) => text.clone(),
        (None, Some(folder)) => dockerfile(folder, name)?,
        (None, None) => return Err(Error::invalid("this build has neither a Dockerfile nor a context")),
    };
    // To BuildKit an archive is what is in it.
    let is_classic = request.options.style == Style::Classic;
    if let Some(folder) = main.filter(|_| !filtered && (is_in_place || is_classic)) {
        let all = ignore(folder, name)?;
        folder.ignore = if is_in_place { all } else { of_builder(&all, name)? };
    }
    let dockerfile = understand(&dockerfile, &request.options)?;
    Ok(Received { dockerfile, folders, _temporary: temporary })
}

/// Reads the Dockerfile; the classic builder also looks for the target before anything else.
fn understand(text: &[u8], options: &Options) -> Result<Dockerfile> {
    if options.style == Style::BuildKit {
        return Dockerfile::read(text).map_err(Error::from_kinded);
    }
    let file = Dockerfile::read(text).map_err(|error| Error::invalid(error.classic()))?;
    match options.target.as_deref().filter(|target| file.stage(target).is_none()) {
        Some(target) => Err(Error::invalid(format!("target stage {target:?} could not be found"))),
        None => Ok(file),
    }
}

/// A context from elsewhere.
pub(super) struct Elsewhere {
    /// Where its files are.
    pub(super) files: PathBuf,
    /// The Dockerfile, if it is nothing but that.
    pub(super) dockerfile: Option<Vec<u8>>,
    /// What was found there.
    pub(super) checksum: Checksum,
}

/// Gets a context from elsewhere into a folder.
pub(super) fn remote(
    inner: &Inner,
    address: &str,
    folder: &Path,
    keep_git_dir: bool,
    stop: &Stop,
) -> Result<Elsewhere> {
    if git::is_repository(address) {
        let out = Repository::parse(address)?.check_out(folder, keep_git_dir, None, stop)?;
        return Ok(Elsewhere {
            files: out.folder,
            dockerfile: None,
            checksum: Checksum::of_commit(out.commit),
        });
    }
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(Error::invalid(format!("remote is not a URL: {address}")));
    }
    let mut download = super::remote::open(inner, address, stop)?;
    let mut start = Vec::new();
    let reading = || format!("fetching {address}");
    (&mut download).take(LONGEST + 1).read_to_end(&mut start).doing(reading)?;
    let is_text = std::str::from_utf8(&start).is_ok_and(|text| !text.contains('\0'));
    if is_text && start.len() as u64 <= LONGEST {
        let checksum = Checksum::from(&Digest::of(&start));
        return Ok(Elsewhere { files: folder.to_owned(), dockerfile: Some(start), checksum });
    }
    let mut stream = Hashed::new(std::io::Cursor::new(start).chain(download));
    unpack(&mut stream, folder)?;
    let digest = stream.finish().doing(reading)?;
    Ok(Elsewhere { files: folder.to_owned(), dockerfile: None, checksum: Checksum::from(&digest) })
}

fn open(path: &Path, ignore: Ignore, own: bool) -> Result<Folder> {
    let root = RootDir::open(path).doing(|| format!("opening the build context {}", path.display()))?;
    Ok(Folder { path: path.to_owned(), root, ignore, own })
}

/// The client's folder, if it is the same one here: the client may see other file systems.
fn in_place(path: &Path, device: u64, inode: u64) -> Result<Folder> {
    let here = std::fs::metadata(path).ok();
    let same = here.is_some_and(|here| (here.dev(), here.ino()) == (device, inode) && here.is_dir());
    if !same || !path.is_absolute() {
        return Err(Error::conflict(format!(
            "context not in place: {} is another folder, or none, for the engine",
            path.display()
        )));
    }
    open(path, Ignore::default(), false)
}

pub(super) fn unpack(stream: &mut (dyn Read + Send), folder: &Path) -> Result<()> {
    let root = RootDir::open(folder).doing(|| format!("opening {}", folder.display()))?;
    let mut buffered = std::io::BufReader::with_capacity(256 << 10, stream);
    let start = std::io::BufRead::fill_buf(&mut buffered).doing(|| "reading the build context".to_owned())?;
    if start.is_empty() {
        return Err(Error::invalid("the build context is empty"));
    }
    let plain = Compression::detect(start) == Compression::None;
    let options = ExtractOptions { owner: Owner::Fixed(0, 0), ..ExtractOptions::copy() };
    let unpacked = if plain {
        archive::extract(buffered, &root, Path::new(""), &options)
    } else {
        let decoder = Decoder::new(buffered).doing(|| "reading the build context".to_owned())?;
        archive::extract(decoder, &root, Path::new(""), &options)
    };
    unpacked
        .map(|_| ())
        .map_err(|error| Error::from_kinded(error).prefixed("Error processing tar file(exit status 1)"))
}

fn dockerfile(folder: &Folder, wanted: &str) -> Result<Vec<u8>> {
    let found = read(&folder.root, wanted)?;
    let found = match (found, wanted) {
        // The name in small letters, where no other was given.
        (None, "Dockerfile") => read(&folder.root, "dockerfile")?,
        (found, _) => found,
    };
    let bytes =
        found.ok_or_else(|| Error::invalid(format!("Cannot locate specified Dockerfile: {wanted}")))?;
    if bytes.is_empty() {
        return Err(Error::invalid(format!("the Dockerfile ({wanted}) cannot be empty")));
    }
    Ok(bytes)
}

/// The ignore file's patterns; Dockerfile and ignore file themselves are hidden only from the build's instructions.
fn ignore(folder: &Folder, dockerfile: &str) -> Result<Ignore> {
    let own = read(&folder.root, &format!("{dockerfile}.dockerignore"))?;
    let bytes = match own {
        Some(bytes) => Some(bytes),
        None => read(&folder.root, ".dockerignore")?,
    };
    let Some(bytes) = bytes else { return Ok(Ignore::default()) };
    Ignore::read(&String::from_utf8_lossy(&bytes)).map_err(|error| Error::invalid(error.to_string()))
}

/// What the ignore file of an archive hides: itself and the Dockerfile, if it says so. The rest was put in to be there.
fn of_builder(all: &Ignore, dockerfile: &str) -> Result<Ignore> {
    let dockerfile = dockerfile.trim_start_matches("./").trim_start_matches('/');
    let hidden: Vec<String> = [".dockerignore", dockerfile]
        .into_iter()
        .filter(|name| all.is_ignored(name))
        .map(|name| format!("/{}", super::tree::escaped(name)))
        .collect();
    Ignore::new(hidden.iter().map(String::as_str)).map_err(|error| Error::invalid(error.to_string()))
}

/// The bytes of a file that may not be long; none when there is no such file.
pub(super) fn read(root: &RootDir, path: &str) -> Result<Option<Vec<u8>>> {
    let Ok(file) = root.open_regular(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .doing(|| format!("reading {path}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::invalid(format!("{path} is longer than {LONGEST} bytes")));
    }
    Ok(Some(bytes))
}
