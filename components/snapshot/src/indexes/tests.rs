//! The contract, that the kernel shows of an index what unpacking gives, and what only this driver promises.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::sync::Arc;

use archive::tree::sorted_names;
use archive::{Entry, EntryKind, Writer};
use linux::overlay::Overlay;
use linux::root::RootDir;
use proptest::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::*;
use crate::{Driver, OverlayDriver, Snapshots, Stack};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-{name}-{}", model::id::random_hex()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Says why when the kernel cannot.
    fn is_able(&self) -> bool {
        match probe(&self.0).unwrap() {
            Support::Yes => true,
            Support::No(why) => {
                eprintln!("skipped: {why}");
                false
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tar(entries: &[(Entry, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        match entry.kind {
            EntryKind::File => writer.append_bytes(entry, content.as_bytes()).unwrap(),
            _ => writer.append_empty(entry).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn file(path: &str) -> Entry {
    Entry::file(path, 0o644, 0)
}

fn mount(stack: &Stack) -> RootDir {
    let overlay = Overlay { lowers: stack.lowers.clone(), upper: stack.upper.clone(), ..Overlay::default() };
    RootDir::from_fd(overlay.mount().unwrap())
}

fn text(root: &RootDir, path: &str) -> String {
    std::io::read_to_string(File::from(root.open_regular(path).unwrap())).unwrap()
}

#[test]
fn contract() {
    let place = Place::new("index-contract");
    if place.is_able() {
        crate::contract::check(&place.0, |path| ErofsDriver::open(path).unwrap()).unwrap();
    }
}

#[test]
fn a_layer_is_its_tar_and_an_index_and_containers_share_one_mount() {
    let place = Place::new("index-form");
    if !place.is_able() {
        return;
    }
    let driver = ErofsDriver::open(&place.0.join("d")).unwrap();
    let layers = [tar(&[(file("a"), "one")]), tar(&[(file("b"), "two"), (file(".wh.a"), "")])];
    let chains = Snapshots::chains(&layers.each_ref().map(|tar| Digest::of(tar)));
    let blob = place.0.join("blob");
    std::fs::write(&blob, &layers[0]).unwrap();
    driver.add_layer_file(&chains[0], None, &blob).unwrap();
    driver.add_layer(&chains[1], Some(&chains[0]), &mut &layers[1][..]).unwrap();
    let layer = |index: usize| place.0.join("d/layers").join(chains[index].hex());
    assert_eq!(std::fs::metadata(layer(0).join("tar")).unwrap().nlink(), 2, "the blob has a second name");
    let room = driver.layer_usage(&chains[0]).unwrap().disk;
    assert!(room >= layers[0].len() as u64, "{room} bytes: the layer's tar counts, whoever else has it");
    assert!(std::fs::read(layer(1).join("tar")).unwrap() == layers[1]);
    let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!((names(&layer(0)), names(&layer(1))), (3, 3), "tar, index, meta");
    let (one, two) = (driver.prepare("one", &chains).unwrap(), driver.prepare("two", &chains).unwrap());
    let (Lower::Mount(first, path), Lower::Mount(second, _)) = (&one.lowers[1], &two.lowers[1]) else {
        panic!("no mounts")
    };
    assert!(Arc::ptr_eq(first, second) && one.lowers.len() == 2);
    assert_eq!(*path, place.0.join("d/merged").join(chains[1].hex()));
    let (one, two) = (mount(&one), mount(&two));
    assert_eq!(
        (text(&one, "b"), text(&two, "b"), one.resolve("a").is_err()),
        ("two".into(), "two".into(), true)
    );
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(" erofs "), "nothing is mounted where others see it");
    drop((one, two));
    for key in ["one", "two"] {
        driver.remove(key).unwrap();
    }
    driver.remove_layers(&std::collections::HashSet::new()).unwrap();
    assert_eq!((names(&place.0.join("d/merged")), names(&place.0.join("d/layers"))), (0, 0));
}

#[test]
fn snapshots_stay_when_the_driver_changes() {
    let place = Place::new("index-change");
    if !place.is_able() {
        return;
    }
    let layer = tar(&[(Entry::directory("d", 0o755), ""), (file("d/a"), "lower"), (file("d/b"), "lower")]);
    let chain = Digest::of(&layer);
    let write = |driver: &dyn Driver, name: &str| {
        driver.add_layer(&chain, None, &mut &layer[..]).unwrap();
        let root = mount(&driver.stack("kept").unwrap());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = root.open_file(name, flags, Mode::from_raw_mode(0o600)).unwrap();
        std::io::Write::write_all(&mut File::from(file), b"upper").unwrap();
    };
    let directory = OverlayDriver::open(&place.0).unwrap();
    directory.add_layer(&chain, None, &mut &layer[..]).unwrap();
    directory.prepare("kept", std::slice::from_ref(&chain)).unwrap();
    write(&directory, "d/a");
    drop(directory);
    let index = ErofsDriver::open(&place.0).unwrap();
    assert!(!index.has_layer(&chain) && index.keys() == ["kept"]);
    write(&index, "d/b");
    drop(index);
    let directory = OverlayDriver::open(&place.0).unwrap();
    write(&directory, "d/c");
    let root = mount(&directory.stack("kept").unwrap());
    assert_eq!(["d/a", "d/b", "d/c"].map(|path| text(&root, path)), ["upper"; 3]);
    let changed: Vec<_> = directory.changes("kept").unwrap().into_iter().map(|change| change.path).collect();
    assert_eq!(changed, ["/d", "/d/a", "/d/b", "/d/c"].map(PathBuf::from));
}

#[test]
fn a_damaged_index_is_an_error_and_no_mount() {
    let place = Place::new("index-damage");
    let driver = ErofsDriver::open(&place.0).unwrap();
    let layers = [tar(&[(file("a"), "one")]), tar(&[(file("b"), "two")])];
    let chains = Snapshots::chains(&layers.each_ref().map(|tar| Digest::of(tar)));
    for (chain, layer) in chains.iter().zip(&layers) {
        driver.add_layer(chain, None, &mut &layer[..]).unwrap();
    }
    let index = place.0.join("layers").join(chains[0].hex()).join("index");
    std::fs::write(&index, "nothing").unwrap();
    let error = driver.view(&chains).unwrap_err();
    assert!(matches!(error, SnapshotError::Index { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(place.0.join("new")).unwrap().count(), 0);
}

#[test]
fn a_layer_can_be_compared_with_its_tar_and_taken_in_again() {
    let place = Place::new("index-compare");
    if !place.is_able() {
        return;
    }
    let driver = ErofsDriver::open(&place.0.join("d")).unwrap();
    let layer = tar(&[(Entry::directory("d", 0o750), ""), (file("d/a"), "one"), (file("d/.wh.b"), "")]);
    let chain = Digest::of(&layer);
    driver.add_layer(&chain, None, &mut &layer[..]).unwrap();
    let different =
        |tar: &[u8]| archive::compare_layer(&driver.open_layer(&chain).unwrap(), tar).unwrap().len();
    assert_eq!(different(&layer), 0);
    let other = tar(&[(Entry::directory("d", 0o750), ""), (file("d/a"), "two"), (file("d/.wh.b"), "")]);
    assert_ne!(different(&other), 0);
    driver.discard_layer(&chain).unwrap();
    assert!(!driver.has_layer(&chain));
    driver.add_layer(&chain, None, &mut &layer[..]).unwrap();
    assert_eq!(different(&layer), 0);
}

/// Everything a mounted tree shows.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    /// Not of directories: those that no archive described have the time of unpacking.
    time: Option<(i64, i64)>,
    text: Digest,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the same file.
    same: PathBuf,
}

fn shown(root: &RootDir) -> BTreeMap<PathBuf, Shown> {
    let mut found = BTreeMap::new();
    let mut first: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let top =
        rustix::fs::openat(root.as_fd(), c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    walk(top.as_fd(), Path::new(""), &mut found, &mut first);
    found
}

fn walk(
    directory: std::os::fd::BorrowedFd<'_>,
    path: &Path,
    found: &mut BTreeMap<PathBuf, Shown>,
    first: &mut HashMap<(u64, u64), PathBuf>,
) {
    for name in sorted_names(directory).unwrap() {
        let path = path.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name.to_bytes()));
        // Overlayfs lists a whiteout in a directory that no other layer has, and then says that it is not there.
        let Ok(stat) = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let open =
            |flags| rustix::fs::openat(directory, &name, flags | OFlags::NOFOLLOW, Mode::empty()).unwrap();
        let mut text = Vec::new();
        let mut attributes = BTreeMap::new();
        match kind {
            FileType::RegularFile => {
                let mut file = File::from(open(OFlags::RDONLY));
                file.read_to_end(&mut text).unwrap();
                attributes = xattrs(&file);
            }
            FileType::Symlink => {
                text = rustix::fs::readlinkat(directory, &name, Vec::new()).unwrap().into_bytes();
            }
            FileType::Directory => attributes = xattrs(&File::from(open(OFlags::RDONLY))),
            _ => {}
        }
        let same = match kind {
            FileType::Directory => path.clone(),
            _ => first.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| path.clone()).clone(),
        };
        // A whiteout shows when there is a single layer; it is as old as its making.
        let mark = kind == FileType::CharacterDevice && stat.st_rdev == 0;
        let time =
            (kind != FileType::Directory && !mark).then_some((stat.st_mtime, stat.st_mtime_nsec as i64));
        let (mode, owner, device) = (stat.st_mode, (stat.st_uid, stat.st_gid), stat.st_rdev);
        found.insert(
            path.clone(),
            Shown { mode, owner, device, time, text: Digest::of(&text), xattrs: attributes, same },
        );
        if kind == FileType::Directory {
            walk(open(OFlags::RDONLY | OFlags::DIRECTORY).as_fd(), &path, found, first);
        }
    }
}

fn xattrs(file: &File) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = [0; 4096];
    let length = rustix::fs::flistxattr(file, &mut names[..]).unwrap();
    let names = names[..length].split_inclusive(|byte| *byte == 0);
    names
        .filter(|name| !name.starts_with(b"trusted.overlay."))
        .map(|name| {
            let mut value = vec![0; 4096];
            let length =
                rustix::fs::fgetxattr(file, CStr::from_bytes_with_nul(name).unwrap(), &mut value[..])
                    .unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect()
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => "[abc]".prop_map(String::from),
        1 => "[!.-]{1,2}z".prop_map(String::from),
        2 => "[.]wh[.][abc]".prop_map(String::from),
        1 => Just(".wh..wh..opq".to_owned()),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = (Entry, String)> {
    let kind = prop_oneof![
        4 => Just(EntryKind::File),
        1 => Just(EntryKind::Symlink),
        2 => Just(EntryKind::HardLink),
        4 => Just(EntryKind::Directory),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::CharacterDevice),
    ];
    let attributes = (0u32..0o10000, any::<u16>(), 0i64..4_000_000_000, 0u32..1_000_000_000);
    let xattr = proptest::option::of("[a-z]{1,40}");
    let text = prop_oneof!["[a-z]{0,20}", "[x]{500,9000}"];
    (path(), path(), kind, attributes, xattr, text).prop_map(
        |(path, target, kind, (mode, owner, seconds, nanoseconds), xattr, text)| {
            let entry = Entry {
                link: target.into(),
                uid: u32::from(owner),
                gid: u32::from(owner) * 60_000,
                seconds,
                nanoseconds,
                device: (1, u32::from(owner)),
                xattrs: xattr.map(|value| (b"user.x".to_vec(), value.into_bytes())).into_iter().collect(),
                ..Entry::new(path, kind, mode)
            };
            (entry, text)
        },
    )
}

/// The layer of what can be unpacked of some entries.
fn layer(entries: &[(Entry, String)]) -> Vec<u8> {
    let place = Place::new("index-layer");
    let mut kept: Vec<(Entry, &str)> = Vec::new();
    for (number, (entry, text)) in entries.iter().enumerate() {
        kept.push((entry.clone(), text));
        let target = place.0.join(number.to_string());
        std::fs::create_dir(&target).unwrap();
        let root = RootDir::open(&target).unwrap();
        let options = archive::ExtractOptions::layer();
        if archive::extract(&tar(&kept)[..], &root, Path::new(""), &options).is_err() {
            kept.pop();
        }
    }
    tar(&kept)
}

/// A whiteout in a directory with the set-group-id bit has the directory's group, unpacked or indexed.
#[test]
fn whiteouts_inherit_groups() {
    let place = Place::new("index-group");
    if !place.is_able() {
        return;
    }
    let directory = Entry { gid: 60_000, ..Entry::directory("b", 0o2755) };
    let layer = tar(&[(directory, ""), (file("b/.wh.a"), "")]);
    let chain = Digest::of(&layer);
    let directories = OverlayDriver::open(&place.0.join("directories")).unwrap();
    let indexes = ErofsDriver::open(&place.0.join("indexes")).unwrap();
    let [unpacked, indexed] = [&directories as &dyn Driver, &indexes].map(|driver| {
        driver.add_layer(&chain, None, &mut &layer[..]).unwrap();
        shown(&mount(&driver.view(std::slice::from_ref(&chain)).unwrap()))
    });
    assert_eq!(indexed[Path::new("b/a")].owner, (0, 60_000));
    assert_eq!(unpacked, indexed);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    #[test]
    fn both_drivers_show_the_same_tree(
        stack in proptest::collection::vec(proptest::collection::vec(entry(), 1..9), 1..4),
    ) {
        let place = Place::new("index-same");
        if place.is_able() {
            let layers: Vec<Vec<u8>> = stack.iter().map(|entries| layer(entries)).collect();
            let chains = Snapshots::chains(&layers.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>());
            let directories = OverlayDriver::open(&place.0.join("directories")).unwrap();
            let indexes = ErofsDriver::open(&place.0.join("indexes")).unwrap();
            let mut trees = Vec::new();
            for driver in [&directories as &dyn Driver, &indexes] {
                for (chain, tar) in chains.iter().zip(&layers) {
                    driver.add_layer(chain, None, &mut &tar[..]).unwrap();
                }
                trees.push(shown(&mount(&driver.view(&chains).unwrap())));
                let mut with_initial = shown(&mount(&driver.prepare("c", &chains).unwrap()));
                // The files every container has are as old as the initial layer.
                with_initial.values_mut().for_each(|one| one.time = None);
                trees.push(with_initial);
                assert!(driver.changes("c").unwrap().is_empty());
            }
            assert_eq!(&trees[0], &trees[2]);
            assert_eq!(&trees[1], &trees[3]);
            for chain in &chains {
                let usages = [&directories as &dyn Driver, &indexes].map(|driver| driver.layer_usage(chain).unwrap());
                assert_eq!((usages[0].size, usages[0].inodes), (usages[1].size, usages[1].inodes));
            }
        }
    }
}
