//! What is written is read back, for every kind of entry and every length of names.

use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::{Limits, Reader};

fn round_trip(entries: &[(Entry, Vec<u8>)]) -> Vec<(Entry, Vec<u8>)> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut content.as_slice()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len() % BLOCK, 0);
    let mut reader = Reader::new(bytes.as_slice(), Limits::DEFAULT);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        found.push((entry, content));
    }
    found
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::File),
        Just(EntryKind::Directory),
        Just(EntryKind::Symlink),
        Just(EntryKind::HardLink),
        Just(EntryKind::CharacterDevice),
        Just(EntryKind::BlockDevice),
        Just(EntryKind::Fifo),
    ]
}

prop_compose! {
    fn entry()(
        path in "[a-zA-Z0-9ä]{1,60}(/[a-z0-9._-]{1,90}){0,5}",
        link in "(/|[a-z]){1,150}[a-z]",
        kind in kind(),
        mode in 0u32..0o10000,
        (uid, gid) in (0u32..u32::MAX, 0u32..u32::MAX),
        (user, group) in ("[a-zé]{0,40}", "[a-z]{0,40}"),
        (seconds, nanoseconds) in (-10_000_000_000i64..20_000_000_000, prop_oneof![Just(0u32), 0u32..1_000_000_000]),
        content in proptest::collection::vec(any::<u8>(), 0..1500),
        device in (0u32..4096, 0u32..1_000_000),
        xattrs in proptest::collection::btree_map("user\\.[a-z=]{1,20}", proptest::collection::vec(any::<u8>(), 0..40), 0..3),
    ) -> (Entry, Vec<u8>) {
        let is_file = kind == EntryKind::File;
        let is_link = matches!(kind, EntryKind::Symlink | EntryKind::HardLink);
        let is_device = matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        let content = if is_file { content } else { Vec::new() };
        let xattrs = xattrs.into_iter().map(|(name, value)| (name.replace('=', "-").into_bytes(), value)).collect();
        let entry = Entry {
            path: path.into(),
            kind,
            mode,
            uid,
            gid,
            user,
            group,
            seconds,
            nanoseconds,
            size: content.len() as u64,
            link: if is_link { link.into() } else { "".into() },
            device: if is_device { device } else { (0, 0) },
            xattrs,
        };
        (entry, content)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn any_entries_survive(entries in proptest::collection::vec(entry(), 0..6)) {
        prop_assert_eq!(round_trip(&entries), entries);
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096), seal: bool) {
        if seal && bytes.len() >= BLOCK {
            let mut header = Header(bytes[..BLOCK].try_into().unwrap());
            header.seal();
            bytes[..BLOCK].copy_from_slice(&header.0);
        }
        let mut reader = Reader::new(bytes.as_slice(), Limits::DEFAULT);
        while let Ok(Some(_)) = reader.next_entry() {
            let _ = std::io::copy(&mut (&mut reader).take(1 << 20), &mut std::io::sink());
        }
    }
}

#[test]
fn gnu_and_pax_archives_of_tar_are_understood() {
    let directory = std::env::temp_dir().join(format!("wharf-archive-tar-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(130));
    std::fs::create_dir_all(directory.join("d".repeat(120))).unwrap();
    std::fs::write(directory.join(&long), "long").unwrap();
    let sparse = std::fs::File::create(directory.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"more", 5 << 20).unwrap();
    sparse.set_len(8 << 20).unwrap();
    let expected = std::fs::read(directory.join("sparse")).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let out = std::process::Command::new("tar")
            .args(["-c", "-S", "-C"])
            .arg(&directory)
            .args(format)
            .args(["--sort=name", "."])
            .output()
            .unwrap();
        assert!(out.status.success());
        assert!(out.stdout.len() < 1 << 20, "{format:?} is sparse");
        let mut reader = Reader::new(out.stdout.as_slice(), Limits::DEFAULT);
        let mut seen = 0;
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            if entry.path == std::path::Path::new("./sparse") {
                assert_eq!(entry.size, 8 << 20, "{format:?}");
                assert!(content == expected, "{format:?}");
                seen += 1;
            } else if entry.path == std::path::Path::new(&format!("./{long}")) {
                assert_eq!(content, b"long");
                seen += 1;
            }
        }
        assert_eq!(seen, 2, "{format:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
