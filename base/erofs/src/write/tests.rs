//! Trees as unpacking makes them, there and back.

use std::collections::HashMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use archive::{Entry, EntryKind, ExtractOptions, Limits, Writer, extract};
use linux::root::RootDir;
use proptest::prelude::*;

use super::judge::judge;
use crate::tree::{Content, Kind, NodeId, Tree};
use crate::{CopySource, FileSource, Source, index, merge, read, write};

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-erofs-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Indexes a tar as a stream, and checks that the copy is the tar.
    fn stream(&self, tar: &[u8]) -> archive::error::Result<Tree> {
        let path = self.0.join("copy");
        let copy =
            std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut source = CopySource::new(tar, copy);
        let tree = index(&mut source, Limits::DEFAULT);
        if tree.is_ok() {
            assert!(std::fs::read(&path).unwrap() == tar, "the copy has the exact bytes");
        }
        tree
    }

    fn file(&self, tar: &[u8]) -> archive::error::Result<Tree> {
        let path = self.0.join("tar");
        std::fs::write(&path, tar).unwrap();
        index(&mut FileSource::new(std::fs::File::open(&path).unwrap()).unwrap(), Limits::DEFAULT)
    }

    fn unpack(&self, tar: &[u8]) -> archive::error::Result<PathBuf> {
        let target = self.0.join("unpacked");
        let _ = std::fs::remove_dir_all(&target);
        std::fs::create_dir_all(&target).unwrap();
        let root = RootDir::open(&target).unwrap();
        extract(tar, &root, Path::new(""), &ExtractOptions::layer()).map(|_| target)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a file has in a tree.
fn content(tree: &Tree, content: &Content, tar: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; content.size as usize];
    for run in &content.runs {
        let from = if run.device == 0 { &tree.packed } else { tar };
        let data = &from[run.start as usize..(run.start + run.length) as usize];
        bytes[run.offset as usize..(run.offset + run.length) as usize].copy_from_slice(data);
    }
    bytes
}

/// Compares a tree with an unpacked one, times only where an archive said them.
fn same(tree: &Tree, tar: &[u8], unpacked: &Path) {
    let mut numbers = HashMap::new();
    let mut waiting = vec![(Tree::ROOT, unpacked.to_owned())];
    while let Some((id, path)) = waiting.pop() {
        let mut names: Vec<_> =
            std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let children = tree.node(id).children().unwrap();
        let ours: Vec<_> = children
            .keys()
            .map(|name| <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
            .collect();
        assert_eq!(names, ours, "in {}", path.display());
        for (name, child) in names.iter().zip(children.values()) {
            let path = path.join(name);
            same_node(tree, *child, tar, &path);
            let number = std::fs::symlink_metadata(&path).unwrap().ino();
            assert_eq!(
                *numbers.entry(number).or_insert(*child),
                *child,
                "names of one file: {}",
                path.display()
            );
            if tree.node(*child).is_directory() {
                waiting.push((*child, path));
            }
        }
    }
}

fn same_node(tree: &Tree, id: NodeId, tar: &[u8], path: &Path) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let node = tree.node(id);
    let attributes = &node.attributes;
    let bits = super::place::kind_bits(&node.kind);
    let mode = u32::from(attributes.mode | bits);
    let ours = (mode, attributes.uid, attributes.gid);
    if node.is_whiteout() {
        assert_eq!(
            (mode & 0o170_000, metadata.rdev()),
            (metadata.mode() & 0o170_000, 0),
            "{}",
            path.display()
        );
        return;
    }
    assert_eq!(ours, (metadata.mode(), metadata.uid(), metadata.gid()), "{}", path.display());
    match &node.kind {
        Kind::Directory { opaque, .. } => {
            let directory = std::fs::File::open(path).unwrap();
            assert_eq!(
                *opaque,
                archive::tree::is_opaque(std::os::fd::AsFd::as_fd(&directory)),
                "{}",
                path.display()
            );
            return;
        }
        Kind::File(found) => {
            assert!(content(tree, found, tar) == std::fs::read(path).unwrap(), "{}", path.display())
        }
        Kind::Symlink(text) => {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(text, std::fs::read_link(path).unwrap().as_os_str().as_bytes());
        }
        Kind::CharacterDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            assert_eq!(metadata.rdev(), rustix::fs::makedev(*major, *minor));
        }
        Kind::Fifo => {}
    }
    let time = (attributes.seconds, i64::from(attributes.nanoseconds));
    assert_eq!(time, (metadata.mtime(), metadata.mtime_nsec()), "{}", path.display());
}

fn tar(entries: &[(Entry, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        if entry.kind == EntryKind::File {
            writer.append_bytes(entry, content.as_bytes()).unwrap();
        } else {
            writer.append_empty(entry).unwrap();
        }
    }
    writer.finish().unwrap()
}

/// The judge (1.8.6) leaves such a hole out when it unpacks: its file is too short.
fn ends_in_a_hole(tree: &Tree, id: NodeId) -> bool {
    match &tree.node(id).kind {
        Kind::Directory { children, .. } => children.values().any(|child| ends_in_a_hole(tree, *child)),
        Kind::File(found) => {
            found.size > found.runs.iter().map(|run| run.offset + run.length).max().unwrap_or(0)
        }
        _ => false,
    }
}

fn check(tar: &[u8]) {
    let place = Place::new();
    let (streamed, filed, unpacked) = (place.stream(tar), place.file(tar), place.unpack(tar));
    match (streamed, filed, unpacked) {
        (Ok(streamed), Ok(filed), Ok(unpacked)) => {
            same(&streamed, tar, &unpacked);
            let image = write(&streamed).unwrap();
            assert!(image == write(&filed).unwrap());
            let judged = judge(&place.0, &image, &[tar]);
            if let Some(judged) = judged.filter(|_| !ends_in_a_hole(&streamed, Tree::ROOT)) {
                same(&streamed, tar, &judged);
            }
            let again = read(&image).unwrap();
            assert!(write(&again).unwrap() == image, "an image is read as it was written");
            same(&again, tar, &unpacked);
        }
        (Err(streamed), Err(filed), Err(unpacked)) => {
            assert_eq!(streamed.to_string(), filed.to_string());
            assert_eq!(
                model::Kinded::kind(&streamed),
                model::Kinded::kind(&unpacked),
                "{streamed} {unpacked}"
            );
        }
        (streamed, filed, unpacked) => panic!("{streamed:?} {filed:?} {unpacked:?}"),
    }
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[abc]".prop_map(String::from),
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => "[.!-]{1,3}z".prop_map(String::from),
        1 => Just(".wh.a".to_owned()),
        1 => Just(".wh..wh..opq".to_owned()),
        1 => Just(".wh..wh.plnk".to_owned()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    (proptest::collection::vec(part(), 1..4), any::<bool>())
        .prop_map(|(parts, absolute)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        4 => Just(EntryKind::File),
        2 => Just(EntryKind::Symlink),
        3 => Just(EntryKind::HardLink),
        4 => Just(EntryKind::Directory),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::CharacterDevice),
        1 => Just(EntryKind::BlockDevice),
    ]
}

fn entry() -> impl Strategy<Value = (Entry, String)> {
    let owner = (0u32..0o10000, any::<u16>(), 0..u32::MAX);
    let time = (0i64..4_000_000_000, 0u32..1_000_000_000);
    let text = prop_oneof!["[a-z]{0,20}", "[x]{500,1500}"];
    (path(), path(), kind(), owner, time, (0u32..3, 0u32..400), text).prop_map(
        |(path, target, kind, (mode, uid, gid), (seconds, nanoseconds), device, text)| {
            let entry = Entry {
                link: target.into(),
                uid: u32::from(uid),
                gid,
                seconds,
                nanoseconds,
                device,
                ..Entry::new(path, kind, mode)
            };
            (entry, text)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]
    #[test]
    fn the_tree_is_the_unpacked_one(entries in proptest::collection::vec(entry(), 1..14)) {
        let entries: Vec<(Entry, &str)> =
            entries.iter().map(|(entry, text)| (entry.clone(), text.as_str())).collect();
        check(&tar(&entries));
        // One by one too: a refusal must not hide what later members do.
        let mut kept: Vec<(Entry, &str)> = Vec::new();
        for entry in entries {
            kept.push(entry);
            if Place::new().unpack(&tar(&kept)).is_err() {
                kept.pop();
            }
        }
        check(&tar(&kept));
    }

    #[test]
    fn damaged_images_are_refused_not_believed(entries in proptest::collection::vec(entry(), 1..8), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let entries: Vec<(Entry, &str)> =
            entries.iter().map(|(entry, text)| (entry.clone(), text.as_str())).collect();
        if let Ok(tree) = Place::new().stream(&tar(&entries)) {
            let mut image = write(&tree).unwrap();
            for (at, byte) in damage {
                let length = image.len() - 1024;
                image[1024 + at.index(length)] = byte;
            }
            if let Ok(tree) = read(&image) {
                let _ = write(&tree);
            }
        }
    }
}

#[test]
fn attributes_are_kept_and_steering_ones_left_out() {
    let place = Place::new();
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, permission) in [(1u16, 6u16), (2, 7), (4, 4), (0x10, 5), (0x20, 0)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(permission.to_le_bytes());
        acl.extend(if tag == 2 { 5 } else { u32::MAX }.to_le_bytes());
    }
    let mut file = Entry::file("f", 0o4644, 0);
    file.xattrs = vec![
        (b"user.x".to_vec(), vec![7; 300]),
        (b"security.capability".to_vec(), [1, 0, 0, 2, 0, 4, 0, 0].into_iter().chain([0; 12]).collect()),
        (b"trusted.overlay.redirect".to_vec(), b"/".to_vec()),
        (b"nonsense".to_vec(), b"1".to_vec()),
        (b"system.posix_acl_access".to_vec(), acl.clone()),
    ];
    let bytes = tar(&[(file.clone(), "text")]);
    check(&bytes);
    let tree = read(&write(&place.stream(&bytes).unwrap()).unwrap()).unwrap();
    let node = tree.node(tree.find(b"f").unwrap());
    let names: Vec<&[u8]> = node.attributes.xattrs.keys().map(Vec::as_slice).collect();
    assert_eq!(names, [&b"security.capability"[..], b"system.posix_acl_access", b"user.x"]);
    assert_eq!(node.attributes.xattrs[&b"user.x"[..]], vec![7; 300]);
    assert_eq!(node.attributes.mode, 0o4650);
    for (name, value) in [("user.", &b"1"[..]), ("system.posix_acl_access", b"xx")] {
        file.xattrs = vec![(name.into(), value.to_vec())];
        check(&tar(&[(file.clone(), "text")]));
    }
}

#[test]
fn large_directories_long_names_and_links() {
    let long = "n".repeat(255);
    let names: Vec<String> = (0..700).map(|number| format!("d/{number}-{}", &long[..number % 200])).collect();
    let mut entries = vec![(Entry::directory("d", 0o755), "")];
    entries.extend(names.iter().map(|name| (Entry::file(name, 0o600, 0), "")));
    let deep = format!("{long}/{long}/{long}/f");
    entries.push((Entry::file(&deep, 0o644, 0), "deep"));
    for length in [1, 447, 448, 449, 512, 4095] {
        let link = Entry {
            link: "t".repeat(length).into(),
            ..Entry::new(format!("l{length}"), EntryKind::Symlink, 0o777)
        };
        entries.push((link, ""));
    }
    check(&tar(&entries));
    check(&tar(&[(Entry::file("m".repeat(256), 0o644, 0), "")]));
    check(&tar(&[]));
}

/// A sparse member in the oldest form: header with up to four pieces.
fn sparse(name: &str, size: u64, pieces: &[(u64, &[u8])]) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    let data: Vec<u8> = pieces.iter().flat_map(|(_, data)| data.iter().copied()).collect();
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", data.len()).as_bytes());
    put(136, b"00000000005\0");
    put(156, b"S");
    put(257, b"ustar  \0");
    for (index, (offset, data)) in pieces.iter().enumerate() {
        put(386 + index * 24, format!("{offset:011o}\0{:011o}\0", data.len()).as_bytes());
    }
    put(483, format!("{size:011o}\0").as_bytes());
    put(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(&data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

#[test]
fn sparse_files_stay_where_blocks_fit_and_are_packed_where_not() {
    let place = Place::new();
    let block = vec![7u8; 8192];
    let odd = vec![9u8; 700];
    for (pieces, packed) in [
        (vec![(4096, &block[..]), (65_536, &block[..4096])], false),
        (vec![(512, &block[..512]), (99_840, &odd[..160])], false),
        (vec![(100, &odd[..]), (5000, &odd[..13]), (50_000, &block[..])], true),
        (vec![], false),
    ] {
        let mut bytes = sparse("s", 100_000, &pieces);
        bytes.resize(bytes.len() + 1024, 0);
        check(&bytes);
        assert_eq!(!place.stream(&bytes).unwrap().packed.is_empty(), packed);
    }
    let mut huge = sparse("s", 1 << 32, &[(1 << 30, &block[..512])]);
    huge.resize(huge.len() + 1024, 0);
    let tree = place.stream(&huge).unwrap();
    assert!(write(&tree).unwrap().len() < 1 << 20, "a hole costs next to nothing");
}

#[test]
fn broken_streams_are_refused() {
    let bytes = tar(&[(Entry::file("a", 0o644, 0), "some text"), (Entry::directory("b", 0o755), "")]);
    for cut in [1, 511, 513, 520, 1100] {
        check(&bytes[..cut]);
    }
    check(&tar(&[(Entry { link: "nowhere".into(), ..Entry::new("h", EntryKind::HardLink, 0o644) }, "")]));
    check(&tar(&[(Entry::file("f", 0o644, 0), ""), (Entry::file("f/g", 0o644, 0), "")]));
    check(&tar(&[(Entry::file("../f", 0o644, 0), "")]));
}

#[test]
fn layers_are_laid_over_each_other() {
    let place = Place::new();
    let hard = |name: &str, target: &str| Entry {
        link: target.into(),
        ..Entry::new(name, EntryKind::HardLink, 0o644)
    };
    let lower = tar(&[
        (Entry::directory("keep", 0o700), ""),
        (Entry::file("keep/a", 0o644, 0), "1"),
        (Entry::file("keep/b", 0o644, 0), "2"),
        (hard("keep/c", "keep/b"), ""),
        (Entry::directory("gone", 0o755), ""),
        (Entry::file("gone/x", 0o644, 0), "3"),
        (Entry::file("becomes", 0o644, 0), "4"),
        (Entry::file(".wh.never", 0o644, 0), ""),
    ]);
    let upper = tar(&[
        (Entry::directory("keep", 0o750), ""),
        (Entry::file("keep/.wh.a", 0o644, 0), ""),
        (Entry::file("keep/.wh.c", 0o644, 0), ""),
        (Entry::directory("gone", 0o711), ""),
        (Entry::file("gone/.wh..wh..opq", 0o644, 0), ""),
        (Entry::file("gone/y", 0o644, 0), "5"),
        (Entry::file("becomes/dir/.wh.z", 0o644, 0), ""),
        (Entry::file("becomes/dir/w", 0o644, 0), "6"),
    ]);
    let trees = vec![place.stream(&lower).unwrap(), place.stream(&upper).unwrap()];
    let image = write(&merge(trees).unwrap()).unwrap();
    if let Some(judged) = judge(&place.0, &image, &[&lower, &upper]) {
        assert_eq!(std::fs::read_to_string(judged.join("gone/y")).unwrap(), "5");
        assert_eq!(std::fs::read_to_string(judged.join("keep/b")).unwrap(), "2");
    }
    let merged = read(&image).unwrap();
    let shown = |path: &[u8]| {
        merged
            .node(merged.find(path).unwrap())
            .children()
            .unwrap()
            .keys()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(b""), "becomes gone keep");
    assert_eq!(shown(b"keep"), "b");
    assert_eq!(shown(b"gone"), "y");
    assert_eq!(shown(b"becomes/dir"), "w");
    let node = |path: &[u8]| merged.node(merged.find(path).unwrap());
    assert_eq!((node(b"keep").attributes.mode, node(b"gone").attributes.mode), (0o750, 0o711));
    for (path, device, text) in [(&b"keep/b"[..], 1, "2"), (b"gone/y", 2, "5")] {
        let Kind::File(content) = &node(path).kind else { panic!("no file") };
        let run = content.runs[0];
        assert_eq!(run.device, device);
        let tar = if device == 1 { &lower } else { &upper };
        assert_eq!(&tar[run.start as usize..(run.start + run.length) as usize], text.as_bytes());
    }
    assert_eq!(merged.devices.len(), 2);
    assert_eq!(merged.totals(), crate::Totals { bytes: 3, inodes: 7 });
}

#[test]
fn a_stream_is_copied_as_it_is_and_can_be_read_again() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..700_001u32).map(|number| number as u8).collect();
    let copy = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(place.0.join("c"))
        .unwrap();
    let mut source = CopySource::new(&bytes[..], copy);
    assert_eq!(source.skip(300_000).unwrap(), 300_000);
    let mut again = [0; 4];
    source.read_again(299_996, &mut again).unwrap();
    assert_eq!(again, bytes[299_996..300_000]);
    assert_eq!(source.finish().unwrap(), 700_001);
    let copy = source.into_copy();
    let mut all = vec![0; 700_001];
    copy.read_exact_at(&mut all, 0).unwrap();
    assert!(all == bytes);
}
