//! Overlay file systems as detached mounts: nothing appears in any mount namespace until somebody attaches them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};

use crate::mount::Configuration;
use crate::{Errno, SysResult};

/// The layers of an overlay.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Read-only layers, the uppermost first. A single one without an upper layer is mounted as a plain copy of it.
    pub lowers: Vec<Lower>,
    /// The writable layer and the work directory on the same file system.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Nothing is synced to disk; after a crash the upper layer has to be discarded.
    pub volatile: bool,
    /// Attribute bits of the mount (see [`crate::mount::attribute`]).
    pub attributes: u64,
}

/// A read-only layer.
#[derive(Clone, Debug)]
pub enum Lower {
    /// A directory.
    Directory(PathBuf),
    /// The root of a detached mount (Linux 6.15), and the file that is mounted.
    Mount(Arc<OwnedFd>, PathBuf),
}

impl Lower {
    /// Where it is kept: the directory, or the file that is mounted.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Mount(_, path) => path,
        }
    }

    /// The directory, or the mount's root (O_PATH).
    pub fn open(&self) -> SysResult<OwnedFd> {
        match self {
            Self::Directory(path) => directory(CWD, path),
            Self::Mount(mount, _) => directory(mount.as_fd(), Path::new(".")),
        }
    }

    /// A detached copy of the mount it is on.
    fn clone_tree(&self) -> SysResult<OwnedFd> {
        match self {
            Self::Directory(path) => crate::mount::clone_tree(CWD, path, false),
            Self::Mount(mount, _) => crate::mount::clone_tree(mount.as_fd(), c"", false),
        }
    }
}

/// Two layers are the same when they are kept at the same place.
impl PartialEq for Lower {
    fn eq(&self, other: &Self) -> bool {
        self.path() == other.path()
    }
}

impl Eq for Lower {}

impl From<PathBuf> for Lower {
    fn from(path: PathBuf) -> Self {
        Self::Directory(path)
    }
}

/// A map of ids, and who the namespace's root is outside of it.
#[derive(Clone, Copy, Debug)]
pub struct IdMap<'fd> {
    /// A user namespace.
    pub namespace: BorrowedFd<'fd>,
    /// Its root's user id.
    pub uid: u32,
    /// Its root's group id.
    pub gid: u32,
}

impl Overlay {
    /// Makes the file system and a detached mount of it.
    pub fn mount(&self) -> io::Result<OwnedFd> {
        self.mount_with(None)
    }

    /// The same with the ids of all layers seen through a user namespace's map: what the disk has as 0 is the
    /// namespace's root. Needs layers by descriptor (Linux 6.15).
    pub fn mount_mapped(&self, id_map: Option<IdMap<'_>>) -> io::Result<OwnedFd> {
        let Some(map) = id_map else { return self.mount_with(None) };
        // The file system acts as who made it, and that has to be somebody the map knows: a thread becomes that.
        let mount = || {
            crate::identity::set_file_owner(map.uid, map.gid)?;
            self.mount_with(Some(map.namespace))
        };
        std::thread::scope(|scope| scope.spawn(mount).join().unwrap_or(Err(Errno::IO.into())))
    }

    fn mount_with(&self, id_map: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
        if let (None, [lower]) = (&self.upper, &self.lowers[..]) {
            return Ok(plain(lower, self.attributes, id_map)?);
        }
        let layers = Layers::open(self, id_map)?;
        let configuration = Configuration::new(c"overlay")?;
        match self.configure(&configuration, &layers) {
            Err(Errno::OPNOTSUPP) if id_map.is_none() => Ok(self.mount_from_a_thread()?),
            result => result
                .and_then(|()| configuration.mount(self.attributes))
                .map_err(|error| explain(error, &configuration)),
        }
    }

    fn configure(&self, configuration: &Configuration, layers: &Layers) -> SysResult<()> {
        configuration.string(c"source", c"overlay")?;
        for lower in &layers.lowers {
            set_layer(configuration, c"lowerdir+", lower)?;
        }
        if let Some((upper, work)) = &layers.upper {
            set_layer(configuration, c"upperdir", upper)?;
            set_layer(configuration, c"workdir", work)?;
            if self.volatile {
                configuration.flag(c"volatile")?;
            }
        }
        Ok(())
    }

    /// Kernels before 6.5 know the old interface only, whose mounts are attached: to a mount namespace that ends with
    /// the thread that made it, so that nobody else sees them.
    fn mount_from_a_thread(&self) -> SysResult<OwnedFd> {
        std::thread::scope(|scope| scope.spawn(|| self.mount_apart()).join().unwrap_or(Err(Errno::IO)))
    }

    fn mount_apart(&self) -> SysResult<OwnedFd> {
        use crate::mount::{Change, Propagation, clone_tree};
        crate::namespace::unshare(crate::namespace::Namespaces::MOUNT)?;
        let private =
            Change { propagation: Some(Propagation::Private), recursive: true, ..Change::default() };
        private.apply_at(CWD, c"/")?;
        // Opened here: layers and place have to be of this namespace.
        let layers = Layers::open(self, None)?;
        let text = layers.options(self.volatile)?;
        let place =
            self.lowers.first().map(Lower::path).filter(|place| place.is_dir()).ok_or(Errno::INVAL)?;
        let none = rustix::mount::MountFlags::empty();
        rustix::mount::mount(c"overlay", place, c"overlay", none, Some(text.as_c_str()))?;
        let tree = clone_tree(CWD, place, false)?;
        let change = Change { set: self.attributes, ..Change::default() };
        if !change.is_empty() {
            change.apply(tree.as_fd())?;
        }
        Ok(tree)
    }
}

/// The directories of an overlay, open.
struct Layers {
    lowers: Vec<OwnedFd>,
    upper: Option<(OwnedFd, OwnedFd)>,
    /// What the upper ones are in; a detached mount falls apart when the descriptor of its root is closed.
    _parent: Option<OwnedFd>,
}

impl Layers {
    fn open(overlay: &Overlay, id_map: Option<BorrowedFd<'_>>) -> SysResult<Self> {
        let lowers: SysResult<Vec<OwnedFd>> =
            overlay.lowers.iter().map(|lower| layer(lower, id_map)).collect();
        let lowers = lowers?;
        let Some((upper, work)) = &overlay.upper else {
            return Ok(Self { lowers, upper: None, _parent: None });
        };
        if id_map.is_none() {
            let upper = Some((directory(CWD, upper)?, directory(CWD, work)?));
            return Ok(Self { lowers, upper, _parent: None });
        }
        // Both have to be on the same mount.
        let parent = upper.parent().filter(|parent| work.parent() == Some(parent)).ok_or(Errno::XDEV)?;
        let parent = layer(&Lower::Directory(parent.to_owned()), id_map)?;
        let below = |path: &Path| directory(parent.as_fd(), Path::new(path.file_name().ok_or(Errno::INVAL)?));
        let upper = Some((below(upper)?, below(work)?));
        Ok(Self { lowers, upper, _parent: Some(parent) })
    }

    /// The options of mount(2), with paths that are short however deep the layers lie.
    fn options(&self, volatile: bool) -> SysResult<CString> {
        let mut text = b"lowerdir=".to_vec();
        for (index, lower) in self.lowers.iter().enumerate() {
            if index > 0 {
                text.push(b':');
            }
            text.extend(path_of(lower)?.to_bytes());
        }
        if let Some((upper, work)) = &self.upper {
            text.extend(b",upperdir=");
            text.extend(path_of(upper)?.to_bytes());
            text.extend(b",workdir=");
            text.extend(path_of(work)?.to_bytes());
            if volatile {
                text.extend(b",volatile");
            }
        }
        CString::new(text).map_err(|_| Errno::INVAL)
    }
}

fn directory(from: BorrowedFd<'_>, path: &Path) -> SysResult<OwnedFd> {
    rustix::fs::openat(from, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn layer(lower: &Lower, id_map: Option<BorrowedFd<'_>>) -> SysResult<OwnedFd> {
    let Some(id_map) = id_map else { return lower.open() };
    let tree = lower.clone_tree()?;
    crate::mount::Change { id_map: Some(id_map), ..Default::default() }.apply(tree.as_fd())?;
    Ok(tree)
}

/// A path of a descriptor for this process.
fn path_of(fd: &OwnedFd) -> SysResult<CString> {
    use std::os::fd::AsRawFd as _;
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|_| Errno::INVAL)
}

/// Descriptors (Linux 6.13) are taken as they are; older kernels take paths of at most 255 bytes.
fn set_layer(configuration: &Configuration, key: &CStr, directory: &OwnedFd) -> SysResult<()> {
    match configuration.descriptor(key, directory.as_fd()) {
        Err(Errno::INVAL) => configuration.string(key, &path_of(directory)?),
        result => result,
    }
}

fn plain(lower: &Lower, attributes: u64, id_map: Option<BorrowedFd<'_>>) -> SysResult<OwnedFd> {
    let tree = lower.clone_tree()?;
    let change = crate::mount::Change {
        set: attributes | crate::mount::attribute::READ_ONLY,
        propagation: Some(crate::mount::Propagation::Private),
        id_map,
        ..Default::default()
    };
    change.apply(tree.as_fd())?;
    Ok(tree)
}

fn explain(error: Errno, configuration: &Configuration) -> io::Error {
    match configuration.message() {
        Some(message) => io::Error::new(io::Error::from(error).kind(), format!("overlay: {message}")),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::RootDir;

    #[test]
    fn layers_show_through_a_detached_mount() {
        let base =
            std::env::temp_dir().join(format!("wharf-overlay-{}-{}", std::process::id(), "x".repeat(200)));
        for directory in ["lower", "upper", "work", "upper2", "work2", "upper3", "work3"] {
            std::fs::create_dir_all(base.join(directory)).unwrap();
        }
        std::fs::write(base.join("lower/a"), "below").unwrap();
        let overlay = Overlay {
            lowers: vec![base.join("lower").into()],
            upper: Some((base.join("upper"), base.join("work"))),
            volatile: true,
            attributes: 0,
        };
        let root = RootDir::from_fd(overlay.mount().unwrap());
        root.make_dirs("made/below", Mode::from_raw_mode(0o755)).unwrap();
        assert!(root.open_regular("a").is_ok());
        assert!(base.join("upper/made/below").is_dir());
        drop(root);
        let again = Some((base.join("upper2"), base.join("work2")));
        let overlay = Overlay { upper: again, ..overlay };
        let old_way = overlay.mount_from_a_thread().unwrap();
        assert!(RootDir::from_fd(old_way).resolve("a").is_ok());
        assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&*base.to_string_lossy()));
        let mapped = Some((base.join("upper3"), base.join("work3")));
        let mapped = Overlay { upper: mapped, ..overlay.clone() };
        let clone =
            crate::clone::Clone { namespaces: crate::namespace::Namespaces::USER, ..Default::default() };
        let held = clone
            .run(|| {
                rustix::event::pause();
                0
            })
            .unwrap();
        for file in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{file}", held.pid), "0 100000 65536\n").unwrap();
        }
        let path = CString::new(format!("/proc/{}/ns/user", held.pid)).unwrap();
        let namespace = crate::namespace::open(&path).unwrap();
        crate::pidfd::send_signal(held.pidfd.as_fd(), 9).unwrap();
        crate::pidfd::wait(held.pidfd.as_fd()).unwrap();
        let map = IdMap { namespace: namespace.as_fd(), uid: 100_000, gid: 100_000 };
        let root = RootDir::from_fd(mapped.mount_mapped(Some(map)).unwrap());
        assert_eq!(root.stat("a").unwrap().st_uid, 100_000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::identity::set_file_owner(100_000, 100_000).unwrap();
                root.make_dir(Path::new("roots"), Mode::from_raw_mode(0o755)).unwrap();
            });
        });
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(base.join("upper3/roots")).unwrap().uid(), 0);
        drop(root);
        let view = Overlay {
            lowers: vec![base.join("upper").into(), base.join("lower").into()],
            ..Overlay::default()
        };
        let root = RootDir::from_fd(view.mount().unwrap());
        assert!(root.resolve("made").is_ok() && root.resolve("a").is_ok());
        assert_eq!(root.make_dir(Path::new("no"), Mode::from_raw_mode(0o755)), Err(Errno::ROFS));
        drop(root);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
