//! The cases every driver passes; each driver's tests call [`check`] with a way to open it at a directory.
//!
//! They mount what a driver describes as a detached overlay, so they need root.

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use archive::{Entry, EntryKind, Writer};
use linux::overlay::Overlay;
use linux::root::RootDir;
use oci::Digest;
use rustix::fs::{FileType, Mode, OFlags};

use crate::{ChangeKind, Driver, SnapshotError, Snapshots, Stack};

/// A failed case.
pub type Failure = Box<dyn std::error::Error>;
type Case = Result<(), Failure>;

/// Runs all cases in a fresh directory each.
pub fn check<D: Driver>(root: &Path, open: impl Fn(&Path) -> D) -> Case {
    type Named<D> = (&'static str, fn(&dyn Fn() -> D) -> Case);
    let cases: [Named<D>; 8] = [
        ("layers", layers),
        ("layer_files", layer_files),
        ("broken_layers", broken_layers),
        ("unnamed_layers", unnamed_layers),
        ("stacking", stacking),
        ("changes", changes),
        ("round_trip", round_trip),
        ("collection", collection),
    ];
    for (name, case) in cases {
        let directory = root.join(name);
        std::fs::create_dir_all(&directory)?;
        case(&|| open(&directory)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

macro_rules! ensure {
    ($condition:expr) => {
        if !$condition {
            return Err(format!("line {}: {}", line!(), stringify!($condition)).into());
        }
    };
}

/// A layer with `etc/hosts-like`, `bin/tool` and its second name, a link and an owner.
fn base() -> Result<Vec<u8>, Failure> {
    let mut writer = Writer::new(Vec::new());
    writer.append_empty(&Entry::directory("etc", 0o755))?;
    writer.append_bytes(&Entry::file("etc/config", 0o640, 0), b"base")?;
    writer.append_bytes(&Entry::file("etc/old", 0o644, 0), b"old")?;
    writer.append_empty(&Entry::directory("data", 0o750))?;
    writer.append_bytes(&Entry { uid: 7, gid: 8, ..Entry::file("data/a", 0o4755, 0) }, b"aaaa")?;
    let hard = Entry { link: "data/a".into(), ..Entry::new("data/b", EntryKind::HardLink, 0o4755) };
    writer.append_empty(&hard)?;
    let link = Entry { link: "/data".into(), ..Entry::new("link", EntryKind::Symlink, 0o777) };
    writer.append_empty(&link)?;
    Ok(writer.finish()?)
}

/// A layer that removes `etc/old`, replaces `data` as a whole and adds a file.
fn second() -> Result<Vec<u8>, Failure> {
    let mut writer = Writer::new(Vec::new());
    writer.append_empty(&Entry::directory("etc", 0o755))?;
    writer.append_empty(&Entry::file("etc/.wh.old", 0o600, 0))?;
    writer.append_empty(&Entry::directory("data", 0o750))?;
    writer.append_empty(&Entry::file("data/.wh..wh..opq", 0o600, 0))?;
    writer.append_bytes(&Entry::file("data/c", 0o644, 0), b"c")?;
    Ok(writer.finish()?)
}

fn add(driver: &dyn Driver, tars: &[Vec<u8>]) -> Result<Vec<Digest>, Failure> {
    let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    let chains = Snapshots::chains(&diff_ids);
    let mut parent = None;
    for (chain, tar) in chains.iter().zip(tars) {
        driver.add_layer(chain, parent, &mut &**tar)?;
        parent = Some(chain);
    }
    Ok(chains)
}

fn mount(stack: &Stack) -> Result<RootDir, Failure> {
    let overlay =
        Overlay { lowers: stack.lowers.clone(), upper: stack.upper.clone(), volatile: false, attributes: 0 };
    Ok(RootDir::from_fd(overlay.mount()?))
}

fn text(root: &RootDir, path: &str) -> Result<String, Failure> {
    Ok(io::read_to_string(std::fs::File::from(root.open_regular(path)?))?)
}

fn write(root: &RootDir, path: &str, content: &str) -> Case {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = root.open_file(path, flags, Mode::from_raw_mode(0o644))?;
    io::Write::write_all(&mut std::fs::File::from(file), content.as_bytes())?;
    Ok(())
}

fn layers<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let chains = add(&driver, &[base()?, second()?])?;
    ensure!(chains.iter().all(|chain| driver.has_layer(chain)) && driver.layers().len() == 2);
    let bottom = chains.first().ok_or("no layer")?;
    ensure!(driver.layer_usage(bottom)?.size == 4 + 3 + 4 + "/data".len() as u64);
    // Adding again reads nothing.
    driver.add_layer(bottom, None, &mut io::empty())?;
    drop(driver);
    let driver = open();
    ensure!(chains.iter().all(|chain| driver.has_layer(chain)));
    let missing = Digest::of(b"missing");
    ensure!(matches!(driver.layer_usage(&missing), Err(SnapshotError::NoLayer { .. })));
    ensure!(matches!(driver.prepare("k", &[missing]), Err(SnapshotError::NoLayer { .. })));
    ensure!(driver.keys().is_empty());
    Ok(())
}

/// A layer out of a file outlives the file's name, and a file that is no archive leaves nothing.
fn layer_files<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let tar = base()?;
    let chain = Digest::of(&tar);
    let path = std::env::temp_dir().join(format!("wharf-contract-{}", model::id::random_hex()));
    std::fs::write(&path, &tar)?;
    let added = driver.add_layer_file(&chain, None, &path);
    std::fs::write(path.with_extension("cut"), tar.get(..700).unwrap_or_default())?;
    let cut = driver.add_layer_file(&Digest::of(b"cut"), None, &path.with_extension("cut"));
    std::fs::remove_file(&path)?;
    std::fs::remove_file(path.with_extension("cut"))?;
    added?;
    ensure!(cut.is_err() && driver.layers() == std::slice::from_ref(&chain));
    let root = mount(&driver.view(std::slice::from_ref(&chain))?)?;
    ensure!(text(&root, "etc/config")? == "base" && text(&root, "data/b")? == "aaaa");
    Ok(())
}

/// A stream that fails leaves nothing, whatever was unpacked before.
fn broken_layers<D: Driver>(open: &dyn Fn() -> D) -> Case {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
    let driver = open();
    let tar = base()?;
    let chain = Digest::of(&tar);
    ensure!(driver.add_layer(&chain, None, &mut tar.chain(Failing)).is_err());
    let tar = base()?;
    let cut = tar.get(..600).unwrap_or_default().to_vec();
    ensure!(driver.add_layer(&chain, None, &mut &*cut).is_err());
    ensure!(!driver.has_layer(&chain) && driver.layers().is_empty());
    drop(driver);
    let driver = open();
    ensure!(driver.layers().is_empty());
    driver.add_layer(&chain, None, &mut &*tar)?;
    ensure!(driver.has_layer(&chain));
    Ok(())
}

/// A layer that is unpacked before it has a name is seen from then on only, and leaves nothing without one.
fn unnamed_layers<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let tar = base()?;
    let chain = Digest::of(&tar);
    let Some(dropped) = driver.unpack_unnamed(&mut &*tar)? else { return Ok(()) };
    drop(dropped);
    let cut = tar.get(..600).unwrap_or_default().to_vec();
    ensure!(driver.unpack_unnamed(&mut &*cut).is_err());
    let first = driver.unpack_unnamed(&mut &*tar)?.ok_or("not twice")?;
    let second = driver.unpack_unnamed(&mut &*tar)?.ok_or("not twice")?;
    ensure!(driver.layers().is_empty());
    driver.name_layer(first, &chain, None)?;
    driver.name_layer(second, &chain, None)?;
    ensure!(driver.layers() == std::slice::from_ref(&chain));
    let by_name = Digest::of(b"by name");
    driver.add_layer(&by_name, None, &mut &*tar)?;
    ensure!(driver.layer_usage(&chain)?.size == driver.layer_usage(&by_name)?.size);
    drop(driver);
    let driver = open();
    ensure!(driver.has_layer(&chain) && driver.layers().len() == 2);
    let root = mount(&driver.view(std::slice::from_ref(&chain))?)?;
    ensure!(text(&root, "etc/config")? == "base" && text(&root, "data/b")? == "aaaa");
    Ok(())
}

fn stacking<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let chains = add(&driver, &[base()?, second()?])?;
    let root = mount(&driver.view(&chains)?)?;
    ensure!(text(&root, "etc/config")? == "base" && text(&root, "link/c")? == "c");
    ensure!(root.resolve("etc/old").is_err() && root.resolve("data/a").is_err());
    drop(root);
    let bottom = chains.get(..1).unwrap_or_default();
    let root = mount(&driver.view(bottom)?)?;
    let stat = root.stat("data/b")?;
    ensure!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777, stat.st_nlink) == (7, 8, 0o4755, 2));
    drop(root);
    let stack = driver.prepare("one", &chains)?;
    ensure!(matches!(driver.prepare("one", &chains), Err(SnapshotError::Exists { .. })));
    for key in ["", "..", "a/b", ".hidden"] {
        ensure!(matches!(driver.prepare(key, &chains), Err(SnapshotError::Key { .. })));
    }
    write(&mount(&stack)?, "written", "here")?;
    drop(driver);
    let driver = open();
    ensure!(driver.keys() == ["one"] && driver.stack("one")? == stack);
    ensure!(text(&mount(&driver.stack("one")?)?, "written")? == "here");
    ensure!(driver.usage("one")?.size == 4);
    ensure!(driver.view(&chains).is_ok() && mount(&driver.view(&chains)?)?.resolve("written").is_err());
    driver.remove("one")?;
    driver.remove("one")?;
    ensure!(matches!(driver.stack("one"), Err(SnapshotError::NoSnapshot { .. })) && driver.keys().is_empty());
    let empty = mount(&driver.prepare("empty", &[])?)?;
    write(&empty, "x", "y")?;
    Ok(())
}

fn changes<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let chains = add(&driver, &[base()?])?;
    let root = mount(&driver.prepare("c", &chains)?)?;
    ensure!(driver.changes("c")?.is_empty());
    root.unlink(Path::new("etc/old"))?;
    write(&root, "etc/config", "longer than before")?;
    root.make_dirs("new/deep", Mode::from_raw_mode(0o755))?;
    write(&root, "new/deep/file", "x")?;
    root.unlink(Path::new("link"))?;
    root.make_node(Path::new("link"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    for name in ["data/a", "data/b"] {
        root.unlink(Path::new(name))?;
    }
    root.remove_dir(Path::new("data"))?;
    root.make_dir(Path::new("data"), Mode::from_raw_mode(0o750))?;
    let found: Vec<(PathBuf, ChangeKind)> =
        driver.changes("c")?.into_iter().map(|change| (change.path, change.kind)).collect();
    let expected = [
        ("/data", ChangeKind::Modified),
        ("/data/a", ChangeKind::Deleted),
        ("/data/b", ChangeKind::Deleted),
        ("/etc", ChangeKind::Modified),
        ("/etc/config", ChangeKind::Modified),
        ("/etc/old", ChangeKind::Deleted),
        ("/link", ChangeKind::Modified),
        ("/new", ChangeKind::Added),
        ("/new/deep", ChangeKind::Added),
        ("/new/deep/file", ChangeKind::Added),
    ];
    let expected: Vec<_> = expected.iter().map(|(path, kind)| (PathBuf::from(path), *kind)).collect();
    if found != expected {
        return Err(format!("{found:?}").into());
    }
    Ok(())
}

/// A snapshot's changes as a layer of their own give the same tree again.
fn round_trip<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let chains = add(&driver, &[base()?])?;
    let root = mount(&driver.prepare("c", &chains)?)?;
    root.unlink(Path::new("etc/old"))?;
    for name in ["data/a", "data/b"] {
        root.unlink(Path::new(name))?;
    }
    root.remove_dir(Path::new("data"))?;
    root.make_dir(Path::new("data"), Mode::from_raw_mode(0o700))?;
    write(&root, "data/new", "n")?;
    let (mut diff, mut again, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    driver.write_diff("c", &mut diff)?;
    driver.write_diff("c", &mut again)?;
    ensure!(diff == again);
    crate::export(mount(&driver.stack("c")?)?.as_fd(), &mut whole)?;
    let chains = add(&driver, &[base()?, diff])?;
    let view = mount(&driver.view(&chains)?)?;
    ensure!(view.resolve("etc/old").is_err() && view.resolve("data/a").is_err());
    ensure!(text(&view, "data/new")? == "n" && view.stat("data")?.st_mode & 0o777 == 0o700);
    let mut copy = Vec::new();
    crate::export(mount(&driver.prepare("d", &chains)?)?.as_fd(), &mut copy)?;
    ensure!(names(&copy)? == names(&whole)?);
    Ok(())
}

fn names(tar: &[u8]) -> Result<Vec<PathBuf>, Failure> {
    let mut reader = archive::Reader::new(tar, archive::Limits::DEFAULT);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        names.push(entry.path);
    }
    Ok(names)
}

fn collection<D: Driver>(open: &dyn Fn() -> D) -> Case {
    let driver = open();
    let chains = add(&driver, &[base()?, second()?])?;
    driver.prepare("user", chains.get(..1).unwrap_or_default())?;
    let removed = driver.remove_layers(&HashSet::new())?;
    ensure!(Some(&removed) == chains.get(1..).map(<[_]>::to_vec).as_ref());
    driver.remove("user")?;
    ensure!(driver.remove_layers(&chains.iter().cloned().collect())?.is_empty());
    ensure!(driver.remove_layers(&HashSet::new())? == chains.get(..1).unwrap_or_default());
    ensure!(driver.layers().is_empty());
    // What was removed can come again.
    add(&driver, &[base()?])?;
    Ok(())
}
