//! Unpacking, above all of archives made to do harm.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use proptest::prelude::*;

use super::*;
use crate::{TreeOptions, Writer, write_tree};

struct Place(PathBuf);

impl Place {
    /// `outside` with a file beside `target`, into which is unpacked.
    fn new(name: &str) -> Self {
        static COUNTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-extract-{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("target")).unwrap();
        std::fs::create_dir_all(path.join("outside")).unwrap();
        std::fs::write(path.join("outside/file"), "untouched").unwrap();
        Self(path)
    }

    fn target(&self) -> PathBuf {
        self.0.join("target")
    }

    fn extract(&self, tar: &[u8], options: &ExtractOptions) -> Result<Summary> {
        extract(tar, &RootDir::open(&self.target()).unwrap(), Path::new(""), options)
    }

    fn assert_outside_untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(std::fs::read_dir(self.0.join("outside")).unwrap().count(), 1);
        let file = self.0.join("outside/file");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "untouched");
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.nlink()), (0o644, 0, 1));
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
        if entry.kind == EntryKind::File {
            writer.append_bytes(entry, content.as_bytes()).unwrap();
        } else {
            writer.append_empty(entry).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn file(path: &str) -> Entry {
    Entry::file(path, 0o644, 0)
}

fn link(path: &str, text: &str) -> Entry {
    Entry { link: text.into(), ..Entry::new(path, EntryKind::Symlink, 0o777) }
}

fn hard(path: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..Entry::new(path, EntryKind::HardLink, 0o777) }
}

#[test]
fn everything_is_unpacked_with_its_attributes() {
    let place = Place::new("attributes");
    let mut owned =
        Entry { uid: 3, gid: 4, seconds: 1_000_000, nanoseconds: 5, ..Entry::file("a/f", 0o6751, 0) };
    owned.xattrs =
        vec![(b"user.x".to_vec(), b"1".to_vec()), (b"trusted.overlay.redirect".to_vec(), b"/".to_vec())];
    let device = Entry { device: (1, 3), ..Entry::new("null", EntryKind::CharacterDevice, 0o666) };
    let bytes = tar(&[
        (Entry { seconds: 5, ..Entry::directory("a", 0o1777) }, ""),
        (owned, "text"),
        (hard("a/h", "a/f"), ""),
        (link("l", "/outside"), ""),
        (Entry::new("p", EntryKind::Fifo, 0o622), ""),
        (device, ""),
        (file("no/parent/yet"), "x"),
    ]);
    let summary = place.extract(&bytes, &ExtractOptions::layer()).unwrap();
    // A directory was made that nobody named.
    assert_eq!(summary, Summary { entries: 7, bytes: 5, made: None });
    let stat = |name: &str| std::fs::symlink_metadata(place.target().join(name)).unwrap();
    let owned = stat("a/f");
    assert_eq!((owned.uid(), owned.gid(), owned.mode() & 0o7777), (3, 4, 0o6751));
    assert_eq!((owned.mtime(), owned.mtime_nsec(), owned.nlink()), (1_000_000, 5, 2));
    assert_eq!((stat("a").mode() & 0o7777, stat("a").mtime()), (0o1777, 5));
    assert!(stat("p").file_type().is_fifo() && stat("p").mode() & 0o7777 == 0o622);
    assert_eq!((stat("null").rdev(), stat("null").mode() & 0o777), (rustix::fs::makedev(1, 3), 0o666));
    let open = std::fs::File::open(place.target().join("a/f")).unwrap();
    let mut value = [0; 8];
    assert_eq!(rustix::fs::fgetxattr(&open, c"user.x", &mut value), Ok(1));
    assert_eq!(rustix::fs::fgetxattr(&open, c"trusted.overlay.redirect", &mut value), Err(Errno::NODATA));
    place.assert_outside_untouched();
}

#[test]
fn owners_and_modes_are_the_archives_whatever_a_directory_hands_on() {
    let place = Place::new("owners");
    // What is made in it gets its group, and its directories the bit.
    let shared = Entry { mode: 0o2775, gid: 8, ..Entry::directory("shared", 0o2775) };
    let owned = |path: &str, mode, uid, gid| Entry { uid, gid, ..Entry::file(path, mode, 0) };
    let mut entries = vec![(shared, ""), (Entry::directory("shared/plain", 0o755), "")];
    let files = [
        ("root", 0o644, 0, 0),
        ("open", 0o666, 0, 0),
        ("none", 0o000, 0, 0),
        ("set-id", 0o6755, 0, 0),
        ("sticky", 0o1777, 0, 0),
        ("group", 0o640, 0, 8),
        ("user", 0o600, 1000, 0),
        ("both", 0o4711, 1000, 1000),
    ];
    let paths = files.map(|(name, ..)| format!("shared/{name}"));
    for (path, (_, mode, uid, gid)) in paths.iter().zip(files) {
        entries.push((owned(path, mode, uid, gid), "x"));
    }
    place.extract(&tar(&entries), &ExtractOptions::layer()).unwrap();
    let found = |path: &str| {
        let metadata = std::fs::metadata(place.target().join(path)).unwrap();
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
    };
    for (path, (_, mode, uid, gid)) in paths.iter().zip(files) {
        assert_eq!(found(path), (mode, uid, gid), "{path}");
    }
    assert_eq!((found("shared"), found("shared/plain")), ((0o2775, 0, 8), (0o755, 0, 0)));
}

#[test]
fn hostile_archives_stay_inside() {
    let absolute = |place: &Place| place.0.join("outside").to_string_lossy().into_owned();
    type Make = fn(&str) -> Vec<(Entry, &'static str)>;
    let cases: [(&str, Make); 12] = [
        ("parent", |_| vec![(file("../outside/file"), "bad")]),
        ("deep parent", |_| vec![(file("a/b/../../../outside/file"), "bad")]),
        ("absolute", |outside| vec![(file(&format!("{outside}/file")), "bad")]),
        ("link then write", |outside| vec![(link("l", outside), ""), (file("l/file"), "bad")]),
        ("relative link then write", |_| vec![(link("l", "../outside"), ""), (file("l/file"), "bad")]),
        ("final link", |outside| vec![(link("l", &format!("{outside}/file")), ""), (file("l"), "new")]),
        ("link to link", |outside| {
            vec![(link("a", outside), ""), (link("b", "a"), ""), (file("b/file"), "bad")]
        }),
        ("hard link out", |_| vec![(hard("h", "../outside/file"), ""), (file("h"), "bad")]),
        ("hard link through link", |outside| {
            vec![(link("l", outside), ""), (hard("h", "l/file"), ""), (file("h"), "bad")]
        }),
        ("directory through link", |outside| {
            vec![
                (link("l", outside), ""),
                (Entry { uid: 9, ..Entry::directory("l", 0o777) }, ""),
                (file("l/file"), "bad"),
            ]
        }),
        ("mode through link", |outside| {
            vec![
                (link("f", &format!("{outside}/file")), ""),
                (hard("g", "f"), ""),
                (Entry::new("g", EntryKind::Fifo, 0o777), ""),
            ]
        }),
        ("whiteout through link", |outside| {
            vec![(link("l", outside), ""), (file("l/.wh.file"), ""), (file("l/.wh..wh..opq"), "")]
        }),
    ];
    for (name, make) in cases {
        for options in [ExtractOptions::layer(), ExtractOptions::copy(), ExtractOptions::client()] {
            let place = Place::new("hostile");
            let bytes = tar(&make(&absolute(&place)));
            let _ = place.extract(&bytes, &options);
            place.assert_outside_untouched();
            // A second time, with everything there already.
            let _ = place.extract(&bytes, &options);
            place.assert_outside_untouched();
            println!("{name} held");
        }
    }
}

#[test]
fn sizes_are_limited() {
    let place = Place::new("limits");
    let mut bytes = tar(&[(file("huge"), "")]);
    let mut header = crate::header::Header(bytes[..512].try_into().unwrap());
    header.put(crate::header::SIZE, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    header.seal();
    bytes[..512].copy_from_slice(&header.0);
    let result = place.extract(&bytes, &ExtractOptions::layer());
    assert!(matches!(result, Err(ArchiveError::Limit { what: "bytes in a file", .. })), "{result:?}");
    let limits = Limits { entries: 3, total_size: 10, depth: 4, path_length: 20, ..Limits::DEFAULT };
    let options = ExtractOptions { limits, ..ExtractOptions::layer() };
    for (entries, what) in [
        (vec![(file("a"), ""), (file("b"), ""), (file("c"), ""), (file("d"), "")], "entries"),
        (vec![(file("a"), "123456"), (file("b"), "123456")], "bytes"),
        (vec![(file("a/b/c/d/e"), "")], "components in a name"),
        (vec![(file("abcdefghijklmnopqrstuvwxyz"), "")], "bytes in a name"),
    ] {
        match place.extract(&tar(&entries), &options) {
            Err(ArchiveError::Limit { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
    place.extract(&tar(&[(file("w/x/y/z"), "1234567890")]), &options).unwrap();
}

#[test]
fn replacing_follows_the_rule_asked_for() {
    let strict = ExtractOptions { no_overwrite_dir_non_dir: true, ..ExtractOptions::copy() };
    let place = Place::new("replace");
    let make = || {
        let _ = std::fs::remove_dir_all(place.target().join("d"));
        std::fs::create_dir_all(place.target().join("d/sub")).unwrap();
        std::fs::write(place.target().join("f"), "old").unwrap();
    };
    make();
    let directory_over_file = tar(&[(Entry::directory("f", 0o755), "")]);
    let file_over_directory = tar(&[(file("d"), "new")]);
    let error = place.extract(&directory_over_file, &strict).unwrap_err();
    assert_eq!(error.to_string(), "cannot overwrite non-directory \"f\" with directory \"f\"");
    let error = place.extract(&file_over_directory, &strict).unwrap_err();
    assert_eq!(error.to_string(), "cannot overwrite directory \"d\" with non-directory \"d\"");
    assert!(place.target().join("d/sub").is_dir());
    place.extract(&file_over_directory, &ExtractOptions::copy()).unwrap();
    assert_eq!(std::fs::read_to_string(place.target().join("d")).unwrap(), "new");
    place.extract(&directory_over_file, &ExtractOptions::copy()).unwrap();
    assert!(place.target().join("f").is_dir());
    let renamed = ExtractOptions { rename_root: Some("other".into()), ..ExtractOptions::client() };
    let bytes =
        tar(&[(Entry::directory("name", 0o755), ""), (file("name/a"), "1"), (hard("name/b", "name/a"), "")]);
    place.extract(&bytes, &renamed).unwrap();
    assert_eq!(std::fs::metadata(place.target().join("other/b")).unwrap().nlink(), 2);
    assert!(!place.target().join("name").exists());
}

#[test]
fn whiteouts_become_overlay_marks_and_come_back() {
    let place = Place::new("whiteouts");
    let bytes = tar(&[
        (Entry::directory("d", 0o755), ""),
        (file("d/.wh..wh..opq"), ""),
        (file("d/kept"), "x"),
        (file(".wh.gone"), ""),
        (file(".wh..wh.plnk"), ""),
        (file("both"), "x"),
        (file(".wh.both"), ""),
        (Entry { device: (4096, 0), ..Entry::new("mark", EntryKind::CharacterDevice, 0o600) }, ""),
    ]);
    place.extract(&bytes, &ExtractOptions::layer()).unwrap();
    let gone = std::fs::symlink_metadata(place.target().join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert!(!place.target().join(".wh..wh.plnk").exists());
    assert!(!place.target().join("mark").exists(), "an archive makes no overlay mark by overflow");
    assert_eq!(std::fs::read_to_string(place.target().join("both")).unwrap(), "x");
    let root = RootDir::open(&place.target()).unwrap();
    let mut out = Vec::new();
    write_tree(root.as_fd(), &TreeOptions::layer(), &mut out).unwrap();
    let mut reader = Reader::new(out.as_slice(), Limits::DEFAULT);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.path.to_string_lossy().into_owned());
    }
    assert_eq!(names, ["both", "d", "d/.wh..wh..opq", "d/kept", ".wh.gone"]);
}

fn hostile_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[abc]".prop_map(String::from),
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(".wh.a".to_owned()),
        1 => Just("outside".to_owned()),
    ];
    (proptest::collection::vec(part, 1..4), any::<bool>())
        .prop_map(|(parts, absolute)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn hostile_entry() -> impl Strategy<Value = Entry> {
    let target = prop_oneof![
        hostile_path(),
        Just("../outside".to_owned()),
        Just("../outside/file".to_owned()),
        Just("/proc/self/cwd".to_owned()),
    ];
    let kind = prop_oneof![
        2 => Just(EntryKind::File),
        3 => Just(EntryKind::Symlink),
        2 => Just(EntryKind::HardLink),
        2 => Just(EntryKind::Directory),
        1 => Just(EntryKind::Fifo),
    ];
    (hostile_path(), target, kind, 0u32..0o10000, 1u32..9).prop_map(|(path, target, kind, mode, uid)| Entry {
        link: target.into(),
        uid,
        ..Entry::new(path, kind, mode | 0o700)
    })
}

/// What is below a directory, by looking.
fn found(directory: &Path) -> Usage {
    let mut all = Usage::default();
    let mut seen = std::collections::HashSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::symlink_metadata(&path).unwrap();
        if data.is_dir() {
            all += found(&path);
        } else if !seen.insert(data.ino()) {
            continue;
        }
        let size = if data.is_dir() { 0 } else { data.len() };
        all += Usage { size, disk: data.blocks() * 512, inodes: 1 };
    }
    all
}

/// Thousands of files go aside; what depends on them finds them, and what comes last under a name is what is there.
#[test]
fn files_made_aside_are_as_if_made_one_by_one() {
    let place = Place::new("beside");
    let mut entries = Vec::new();
    let text = |number: usize| format!("text of {number}\n").repeat(number % 40);
    for number in 0..40 {
        entries.push((Entry::directory(format!("d{number}"), 0o750), String::new()));
    }
    for number in 0..5000 {
        let seconds = 1_000 + i64::try_from(number).unwrap();
        let file = Entry { uid: 7, seconds, ..Entry::file(format!("d{}/f{number}", number % 40), 0o640, 0) };
        entries.push((file, text(number)));
    }
    entries.push((hard("d39/hard", "d39/f4999"), String::new()));
    entries.push((link("d1/soft", "../d2"), String::new()));
    entries.push((file("d3/.wh.gone"), String::new()));
    entries.push((file("last"), "x".repeat(100_000)));
    let whole: Vec<_> = entries.iter().map(|(entry, text)| (entry.clone(), text.as_str())).collect();
    let summary = place.extract(&tar(&whole), &ExtractOptions::layer()).unwrap();
    assert_eq!(summary.made, Some(found(&place.target())));
    for number in [0, 1, 777, 4999] {
        let path = place.target().join(format!("d{}/f{number}", number % 40));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(number), "{number}");
        let data = std::fs::metadata(&path).unwrap();
        let seconds = 1_000 + i64::try_from(number).unwrap();
        assert_eq!((data.uid(), data.mode() & 0o7777, data.mtime()), (7, 0o640, seconds), "{number}");
    }
    assert_eq!(std::fs::metadata(place.target().join("d39/hard")).unwrap().nlink(), 2);

    // Twice the same name, also by way of a link; a file where a directory was, with files on their way into it; a name
    // below a file; a whiteout of what is here.
    let place = Place::new("beside-again");
    entries.push((file("d4/f4"), "second".to_owned()));
    entries.push((link("other", "d5"), String::new()));
    entries.push((file("other/f5"), "through the link".to_owned()));
    entries.push((file("d6/late"), "goes with d6".to_owned()));
    entries.push((file("d6"), "now a file".to_owned()));
    entries.push((file("d7/.wh.f7"), String::new()));
    entries.push((file("new/parent"), "of nobody".to_owned()));
    entries.push((file("new"), "a file instead".to_owned()));
    let whole: Vec<_> = entries.iter().map(|(entry, text)| (entry.clone(), text.as_str())).collect();
    let summary = place.extract(&tar(&whole), &ExtractOptions::layer()).unwrap();
    assert_eq!(summary.made, None);
    for (path, expected) in [
        ("d4/f4", "second"),
        ("d5/f5", "through the link"),
        ("d6", "now a file"),
        ("d7/f7", &text(7)),
        ("new", "a file instead"),
    ] {
        assert_eq!(std::fs::read_to_string(place.target().join(path)).unwrap(), expected, "{path}");
    }
    let place = Place::new("beside-below");
    entries.push((file("d8/f8/below"), String::new()));
    let whole: Vec<_> = entries.iter().map(|(entry, text)| (entry.clone(), text.as_str())).collect();
    let error = place.extract(&tar(&whole), &ExtractOptions::layer()).unwrap_err();
    assert!(error.to_string().contains("d8/f8"), "{error}");
    place.assert_outside_untouched();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn no_archive_reaches_outside(entries in proptest::collection::vec(hostile_entry(), 1..12), client: bool) {
        let place = Place::new("random");
        let entries: Vec<(Entry, &str)> = entries.into_iter().map(|entry| (entry, "bad")).collect();
        let options = if client { ExtractOptions::client() } else { ExtractOptions::layer() };
        let bytes = tar(&entries);
        let _ = place.extract(&bytes, &options);
        // One by one too: an early refusal must not hide what later members could do.
        for entry in entries {
            let _ = place.extract(&tar(&[entry]), &options);
        }
        place.assert_outside_untouched();
    }
}

#[test]
fn trees_round_trip() {
    let (one, two) = (Place::new("tree"), Place::new("tree"));
    let bytes = tar(&[
        (Entry { uid: 4, ..Entry::directory("d", 0o2755) }, ""),
        (file("d/f"), "content"),
        (hard("d/g", "d/f"), ""),
        (link("l", "d/../../x"), ""),
        (Entry { device: (7, 9), ..Entry::new("dev", EntryKind::BlockDevice, 0o600) }, ""),
    ]);
    one.extract(&bytes, &ExtractOptions::layer()).unwrap();
    let write = |place: &Place| {
        let mut out = Vec::new();
        write_tree(RootDir::open(&place.target()).unwrap().as_fd(), &TreeOptions::whole(), &mut out).unwrap();
        out
    };
    let first = write(&one);
    two.extract(&first, &ExtractOptions::layer()).unwrap();
    assert!(write(&two) == first);
    let mode = std::fs::metadata(two.target().join("d")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2755);
}

#[test]
fn copies_as_cp_makes_them() {
    use crate::copy;
    let place = Place::new("copy");
    std::fs::create_dir_all(place.target().join("d/sub")).unwrap();
    std::fs::write(place.target().join("d/f"), "x").unwrap();
    std::os::unix::fs::symlink("/d", place.target().join("l")).unwrap();
    std::os::unix::fs::symlink("../outside", place.target().join("out")).unwrap();
    let root = RootDir::open(&place.target()).unwrap();
    let names = |path: &str| {
        let mut out = Vec::new();
        copy::get(&root, Path::new(path), None, &mut out).unwrap();
        let mut reader = Reader::new(out.as_slice(), Limits::DEFAULT);
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            names.push(entry.path.to_string_lossy().into_owned());
        }
        names
    };
    assert_eq!(names("/d"), ["d", "d/f", "d/sub"]);
    assert_eq!(names("/d/f"), ["f"]);
    assert_eq!(names("/d/."), [".", "./f", "./sub"]);
    assert_eq!(names("l"), ["l"]);
    assert_eq!(names("l/"), ["l", "l/f", "l/sub"]);
    let stat = copy::stat(&root, Path::new("/l")).unwrap();
    assert_eq!((stat.name.to_str(), stat.link_target.to_str()), (Some("l"), Some("/d")));
    let stat = copy::stat(&root, Path::new("/out")).unwrap();
    assert_eq!(stat.link_target, Path::new("/outside"));
    assert!(copy::stat(&root, Path::new("/out/file")).is_err());
    let bytes = tar(&[(file("new"), "n")]);
    copy::put(&root, Path::new("/l/sub"), bytes.as_slice(), &ExtractOptions::copy()).unwrap();
    assert_eq!(std::fs::read_to_string(place.target().join("d/sub/new")).unwrap(), "n");
    assert!(copy::put(&root, Path::new("/d/f"), bytes.as_slice(), &ExtractOptions::copy()).is_err());
    assert!(copy::put(&root, Path::new("/out"), bytes.as_slice(), &ExtractOptions::copy()).is_err());
    place.assert_outside_untouched();
}
