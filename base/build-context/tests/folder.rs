//! Folders as contexts: what a walk tells, what an archive holds, what nothing gets past.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use build_context::{Context, ContextError, EntryKind, Ignore, Limits, Replacement};
use model::{ErrorKind, Kinded};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-context-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Files by path and content; a path that ends in a slash is a folder.
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let place = Self::new(name);
        for (path, content) in files {
            let path = place.0.join(path);
            if content.is_empty() && path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                std::fs::create_dir_all(path).unwrap();
                continue;
            }
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        place
    }

    fn open(&self, dockerfile: Option<&str>) -> Context {
        Context::open(&self.0, dockerfile.map(Path::new)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn walked(context: &Context) -> Vec<String> {
    context.walk().map(|entry| entry.unwrap().path.display().to_string()).collect()
}

fn packed(context: &Context, replacements: &[Replacement]) -> Vec<(archive::Entry, Vec<u8>)> {
    let mut tar = Vec::new();
    let told = context.write_tar_with(replacements, &mut tar).unwrap();
    let mut reader = archive::Reader::new(&*tar, archive::Limits::DEFAULT);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        found.push((entry, content));
    }
    assert_eq!(told.entries, found.len() as u64);
    assert_eq!(told.content, found.iter().map(|(_, content)| content.len() as u64).sum::<u64>());
    found
}

fn names(packed: &[(archive::Entry, Vec<u8>)]) -> Vec<String> {
    packed.iter().map(|(entry, _)| entry.path.display().to_string()).collect()
}

#[test]
fn folders_are_sorted_each_by_itself() {
    let place =
        Place::with("sorted", &[("a/x/f", "1"), ("a-b/", ""), ("a.txt", "2"), ("Z", "3"), ("b/", "")]);
    let context = place.open(None);
    assert_eq!(walked(&context), ["Z", "a", "a/x", "a/x/f", "a-b", "a.txt", "b"]);
    assert_eq!(names(&packed(&context, &[])), walked(&context));
}

#[test]
fn the_archive_is_as_dockers_client_sends_it() {
    let place = Place::with("archive", &[("a.txt", "two"), ("b/t", "x")]);
    let path = |name: &str| place.0.join(name);
    std::fs::set_permissions(path("b/t"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::fs::set_permissions(path("b"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::hard_link(path("a.txt"), path("z-hard")).unwrap();
    symlink("/etc/passwd", path("abs")).unwrap();
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    );
    fifo.unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_577_934_245_678);
    std::fs::File::options().write(true).open(path("a.txt")).unwrap().set_modified(time).unwrap();
    rustix::fs::setxattr(path("a.txt"), "user.note", b"x", rustix::fs::XattrFlags::empty()).ok();
    let found = packed(&place.open(None), &[]);
    let told: Vec<_> = found
        .iter()
        .map(|(entry, _)| {
            assert_eq!((entry.uid, entry.gid, entry.nanoseconds), (0, 0, 0));
            assert_eq!((entry.user.as_str(), entry.group.as_str(), entry.xattrs.len()), ("", "", 0));
            let link = entry.link.to_str().unwrap();
            (entry.path.to_str().unwrap(), entry.kind, entry.mode, entry.size, link)
        })
        .collect();
    let expected = [
        ("a.txt", EntryKind::File, 0o644, 3, ""),
        ("abs", EntryKind::Symlink, 0o777, 0, "/etc/passwd"),
        ("b", EntryKind::Directory, 0o1777, 0, ""),
        ("b/t", EntryKind::File, 0o4750, 1, ""),
        ("fifo", EntryKind::Fifo, 0o644, 0, ""),
        ("z-hard", EntryKind::HardLink, 0o644, 0, "a.txt"),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        found.first().map(|(entry, content)| (entry.seconds, content.as_slice())),
        Some((1_577_934_245, &b"two"[..]))
    );
}

#[test]
fn capabilities_go_along() {
    let place = Place::with("capability", &[("tool", "x")]);
    // Revision 2, effective, CAP_NET_RAW permitted.
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let set = rustix::fs::setxattr(
        place.0.join("tool"),
        "security.capability",
        &value,
        rustix::fs::XattrFlags::empty(),
    );
    if set.is_err() {
        eprintln!("this user may not set capabilities of files");
        return;
    }
    let found = packed(&place.open(None), &[]);
    let (entry, _) = found.first().unwrap();
    assert_eq!(entry.xattrs, [(b"security.capability".to_vec(), value.to_vec())]);
}

#[test]
fn ignored_files_are_not_there_but_the_builder_gets_its_own() {
    let files = [
        ("Dockerfile", "FROM x"),
        (".dockerignore", "*\n!src\nsrc/*.o\n!deep/er/kept\n"),
        ("src/a.c", "1"),
        ("src/a.o", "2"),
        ("deep/er/kept", "3"),
        ("deep/er/not", "4"),
        ("deep/other/x", "5"),
    ];
    let place = Place::with("ignored", &files);
    let context = place.open(Some("Dockerfile"));
    assert_eq!(context.ignore_file(), Some(Path::new(".dockerignore")));
    assert_eq!(walked(&context), ["deep/er/kept", "src", "src/a.c"]);
    let all = ["deep/er/kept", "src", "src/a.c"];
    let sent = names(&packed(&context, &[]));
    assert_eq!(sent, [&[".dockerignore", "Dockerfile"][..], &all].concat());
    assert_eq!(context.read(Path::new("Dockerfile"), 100).unwrap().as_deref(), Some(&b"FROM x"[..]));
    assert_eq!(context.read(Path::new("nothing/here"), 100).unwrap(), None);
    assert!(matches!(context.read(Path::new("Dockerfile"), 5), Err(ContextError::Limit { .. })));
}

#[test]
fn a_dockerfile_may_have_an_ignore_file_of_its_own() {
    let files = [
        (".dockerignore", "one\n"),
        ("docker/prod.Dockerfile", "FROM x"),
        ("docker/prod.Dockerfile.dockerignore", "two\ndocker\n"),
        ("one", ""),
        ("two", ""),
    ];
    let place = Place::with("own", &files);
    assert_eq!(walked(&place.open(Some("docker/prod.Dockerfile"))), [".dockerignore", "one"]);
    let sent = names(&packed(&place.open(Some("./docker/prod.Dockerfile")), &[]));
    let own = ["docker/prod.Dockerfile", "docker/prod.Dockerfile.dockerignore"];
    assert_eq!(sent, [&[".dockerignore"][..], &own, &["one"]].concat());
    assert!(!walked(&place.open(Some("Dockerfile"))).contains(&"one".to_owned()));
    let given = Ignore::beside(&place.0.join("docker/prod.Dockerfile")).unwrap().unwrap();
    assert!(Ignore::beside(&place.0.join("one")).unwrap().is_none());
    assert_eq!(walked(&place.open(None).with_ignore(given)), [".dockerignore", "one"]);
}

#[test]
fn files_can_be_replaced_and_added() {
    let place = Place::with("replaced", &[(".dockerignore", "x"), ("a", "1")]);
    let replacement = |path: &str, content: &str| Replacement {
        path: PathBuf::from(path),
        content: content.as_bytes().to_vec(),
        modified: 7,
    };
    let found = packed(
        &place.open(None),
        &[replacement(".dockerfile.1", "FROM y"), replacement(".dockerignore", "z")],
    );
    let told: Vec<_> =
        found.iter().map(|(entry, content)| (entry.path.to_str().unwrap(), entry.mode, &**content)).collect();
    let expected: [(&str, u32, &[u8]); 3] =
        [("a", 0o644, b"1"), (".dockerfile.1", 0o600, b"FROM y"), (".dockerignore", 0o600, b"z")];
    assert_eq!(told, expected);
}

#[test]
fn links_are_told_and_never_followed() {
    let place = Place::with("links", &[("outside/secret", "s"), ("context/real/f", "f")]);
    let folder = place.0.join("context");
    symlink("../outside", folder.join("out")).unwrap();
    symlink("real", folder.join("in")).unwrap();
    symlink("/", folder.join("root")).unwrap();
    symlink(&folder, place.0.join("entry")).unwrap();
    let context = Context::open(&place.0.join("entry"), None).unwrap();
    assert_eq!(walked(&context), ["in", "out", "real", "real/f", "root"]);
    assert_eq!(context.identity(), Context::open(&folder, None).unwrap().identity());
    // A file that became a link after the walk is not opened, nor is anything behind a folder that did.
    let file = context.walk().map(Result::unwrap).find(|entry| entry.path == Path::new("real/f")).unwrap();
    let mut text = String::new();
    context.open_file(&file).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "f");
    std::fs::rename(folder.join("real"), folder.join("moved")).unwrap();
    symlink("../outside", folder.join("real")).unwrap();
    std::fs::write(place.0.join("outside/f"), "stolen").unwrap();
    assert!(context.open_file(&file).is_err());
    std::fs::remove_file(folder.join("moved/f")).unwrap();
    symlink("../../outside/secret", folder.join("moved/f")).unwrap();
    let moved = build_context::Entry { path: PathBuf::from("moved/f"), ..file };
    assert!(context.open_file(&moved).is_err());
    assert_eq!(context.read(Path::new("../outside/secret"), 10).unwrap(), None);
}

#[test]
fn what_is_no_folder_is_refused() {
    let place =
        Place::with("refused", &[("file", ""), ("bad/.dockerignore", "["), ("odd/.dockerignore/", "")]);
    let open = |name: &str| Context::open(&place.0.join(name), None).unwrap_err();
    let path = |name: &str| place.0.join(name).display().to_string();
    assert_eq!(open("nothing").to_string(), format!("path {:?} not found", path("nothing")));
    assert_eq!(open("nothing").kind(), ErrorKind::NotFound);
    assert_eq!(open("file").to_string(), format!("context must be a directory: {}", path("file")));
    assert_eq!(open("bad").to_string(), "error checking context: syntax error in pattern: \"[\"");
    assert_eq!(
        open("odd").to_string(),
        format!("error checking context: open {}", path("odd/.dockerignore"))
    );
}

#[test]
fn a_walk_has_limits() {
    let place = Place::with("limits", &[("a/b/c/d", ""), ("e", "")]);
    let limit = |change: fn(&mut Limits)| {
        let mut limits = Limits::DEFAULT;
        change(&mut limits);
        place.open(None).with_limits(limits).walk().find_map(Result::err).map(|error| error.to_string())
    };
    assert_eq!(limit(|_| {}), None);
    assert_eq!(limit(|limits| limits.entries = 5), None);
    let told = |what| Some(format!("error checking context: more than {what}"));
    assert_eq!(limit(|limits| limits.entries = 4), told("4 entries in the context"));
    assert_eq!(limit(|limits| limits.depth = 2), told("2 folders in each other"));
    assert_eq!(limit(|limits| limits.path_length = 6), told("6 bytes in a path"));
    let mut context = place.open(None).with_limits(Limits { entries: 1, ..Limits::DEFAULT }).walk().count();
    context -= 1;
    assert_eq!(context, 1, "one entry, one error, then nothing");
}

#[test]
fn files_may_go_away_while_they_are_packed() {
    let place = Place::with("going", &[("a", "1"), ("b/c", "2"), ("z", "3")]);
    let context = place.open(None);
    let mut walk = context.walk();
    assert_eq!(walk.next().unwrap().unwrap().path, Path::new("a"));
    std::fs::remove_dir_all(place.0.join("b")).unwrap();
    assert_eq!(walk.map(|entry| entry.unwrap().path).collect::<Vec<_>>(), [Path::new("z")]);
}

#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::with("bytes", &[(".dockerignore", "*.o\n")]);
    for name in [&b"\xff\xfe"[..], b"\xff.o"] {
        std::fs::write(place.0.join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let found = packed(&place.open(None), &[]);
    let last = found.last().unwrap();
    assert_eq!((found.len(), last.0.path.as_os_str().as_bytes()), (2, &b"\xff\xfe"[..]));
}
