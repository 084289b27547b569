//! Volumes in directories of their own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-volume-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self, store: &Store) -> Volumes {
        Volumes::open(&self.0.join("volumes"), store.clone()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn named(name: &str) -> CreateVolume {
    CreateVolume { name: name.to_owned(), ..CreateVolume::default() }
}

fn with_options(name: &str, options: &[(&str, &str)]) -> CreateVolume {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CreateVolume { options: Some(options), ..named(name) }
}

#[test]
fn life_of_a_volume() {
    let place = Place::new("life");
    let store = Store::in_memory();
    let volumes = place.open(&store);
    let (volume, new) = volumes.create(named("data")).unwrap();
    assert!(new && volume.mountpoint.ends_with("volumes/data/_data") && volume.options.is_none());
    assert!(!volumes.create(with_options("data", &[("type", "x")])).unwrap().1);
    let (anonymous, _) = volumes.create(CreateVolume::default()).unwrap();
    assert!(anonymous.anonymous && anonymous.name.len() == 64);
    assert_eq!(anonymous.labels.unwrap().get(ANONYMOUS_LABEL).map(String::as_str), Some(""));
    std::fs::write(volume.mountpoint.join("file"), "12345").unwrap();
    std::fs::hard_link(volume.mountpoint.join("file"), volume.mountpoint.join("same")).unwrap();
    assert_eq!(volumes.usage("data").unwrap(), 5);
    volumes.acquire("data", "c1").unwrap();
    volumes.acquire("data", "c2").unwrap();
    let error = volumes.remove("data", true).unwrap_err();
    assert_eq!(error.to_string(), "remove data: volume is in use - [c1, c2]");
    assert!(volumes.prune(|volume| !volume.anonymous).unwrap().0.is_empty());
    volumes.release("data", "c1");
    volumes.release("data", "c2");
    drop(volumes);
    std::fs::create_dir_all(place.0.join("volumes/half-removed/_data")).unwrap();
    let volumes = place.open(&store);
    assert!(!place.0.join("volumes/half-removed").exists());
    assert_eq!(volumes.list().len(), 2);
    assert_eq!(volumes.prune(|volume| volume.name == "data").unwrap(), (vec!["data".to_owned()], 5));
    assert!(!volume.mountpoint.exists());
    assert_eq!(volumes.remove("data", false).unwrap_err().to_string(), "get data: no such volume");
    volumes.remove("data", true).unwrap();
    let mode = std::fs::metadata(place.0.join("volumes")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn refusals() {
    let place = Place::new("refusals");
    let volumes = place.open(&Store::in_memory());
    for (wanted, message) in [
        (
            named("a"),
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            named("x/y"),
            "create x/y: \"x/y\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
        ),
        (
            CreateVolume { driver: "nosuch".into(), ..named("foo") },
            "create foo: error looking up volume plugin nosuch: plugin \"nosuch\" not found",
        ),
        (with_options("v2", &[("foo", "bar")]), "create v2: invalid option: \"foo\""),
        (with_options("v2", &[("type", "tmpfs")]), "create v2: missing required option: \"device\""),
        (with_options("v2", &[("device", "/x")]), "create v2: missing required option: \"type\""),
        (with_options("v2", &[("size", "10m")]), "create v2: quota size requested but no quota support"),
    ] {
        assert_eq!(volumes.create(wanted).unwrap_err().to_string(), message);
    }
    assert!(volumes.create(named("..")).is_err());
    assert!(volumes.list().is_empty());
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")];
    volumes.create(with_options("mounted", &options)).unwrap();
    let expected = Source::Mount { kind: "tmpfs".into(), device: "tmpfs".into(), options: "size=1m".into() };
    assert_eq!(volumes.source("mounted").unwrap(), expected);
}

#[test]
fn prefill_copies_everything_once_and_stays_inside() {
    let place = Place::new("prefill");
    let volumes = place.open(&Store::in_memory());
    let image = place.0.join("image");
    std::fs::create_dir_all(image.join("real/sub")).unwrap();
    std::fs::write(image.join("real/file"), "text").unwrap();
    std::fs::set_permissions(image.join("real/file"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::os::unix::fs::lchown(image.join("real/file"), Some(7), Some(8)).unwrap();
    std::fs::set_permissions(image.join("real/file"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::fs::hard_link(image.join("real/file"), image.join("real/sub/same")).unwrap();
    symlink("/etc/passwd", image.join("real/link")).unwrap();
    std::os::unix::fs::lchown(image.join("real"), Some(5), Some(6)).unwrap();
    symlink("/real", image.join("data")).unwrap();
    symlink("../../../../../../..", image.join("out")).unwrap();
    let root = RootDir::open(&image).unwrap();
    let (volume, _) = volumes.create(named("filled")).unwrap();
    volumes.prefill("filled", &root, Path::new("/data")).unwrap();
    let at = |name: &str| volume.mountpoint.join(name);
    let file = std::fs::metadata(at("file")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (7, 8, 0o4751));
    assert_eq!(std::fs::metadata(at("sub/same")).unwrap().ino(), file.ino());
    assert_eq!(std::fs::read_link(at("link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(std::fs::metadata(&volume.mountpoint).unwrap().uid(), 5);
    std::fs::remove_file(at("link")).unwrap();
    volumes.prefill("filled", &root, Path::new("/data")).unwrap();
    assert!(!at("link").exists());
    let (volume, _) = volumes.create(named("outside")).unwrap();
    volumes.prefill("outside", &root, Path::new("/out")).unwrap();
    assert!(volume.mountpoint.join("real").exists(), "`out` is the image's own root");
    volumes.create(named("missing")).unwrap();
    volumes.prefill("missing", &root, Path::new("/no/such")).unwrap();
}
