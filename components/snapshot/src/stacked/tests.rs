//! The contract, and what only this driver promises.

use std::path::PathBuf;

use super::*;
use crate::OverlayDriver;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-snapshot-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> OverlayDriver {
        OverlayDriver::open(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn layer(driver: &OverlayDriver) -> Digest {
    let mut writer = archive::Writer::new(Vec::new());
    writer.append_empty(&archive::Entry::directory("etc", 0o711)).unwrap();
    writer.append_bytes(&archive::Entry::file("etc/hosts", 0o600, 0), b"own").unwrap();
    let tar = writer.finish().unwrap();
    let chain = Digest::of(&tar);
    driver.add_layer(&chain, None, &mut &*tar).unwrap();
    chain
}

#[test]
fn contract() {
    let place = Place::new("contract");
    crate::contract::check(&place.0, |path| OverlayDriver::open(path).unwrap()).unwrap();
}

#[test]
fn leftovers_of_a_crash_go_at_open() {
    let place = Place::new("crash");
    let driver = place.open();
    let chain = layer(&driver);
    driver.prepare("kept", std::slice::from_ref(&chain)).unwrap();
    drop(driver);
    for leftover in ["new/x/fs", "trash/y/z", "active/half/upper", "layers/abc/fs"] {
        std::fs::create_dir_all(place.0.join(leftover)).unwrap();
    }
    let driver = place.open();
    assert_eq!((driver.layers(), driver.keys()), (vec![chain], vec!["kept".to_owned()]));
    for gone in ["new/x", "active/half", "layers/abc"] {
        assert!(!place.0.join(gone).exists(), "{gone}");
    }
}

#[test]
fn layers_a_power_cut_may_have_damaged_are_unpacked_again() {
    let place = Place::new("power");
    let driver = place.open();
    let chain = layer(&driver);
    let stack = driver.prepare("kept", std::slice::from_ref(&chain)).unwrap();
    let init = driver.layout.init(Some(&chain));
    assert!(init.join("dev/console").exists());
    drop(driver);
    // As if the machine had been started again before the layer was on disk.
    let meta = place.0.join("layers").join(chain.hex()).join("meta");
    let mut document: LayerMeta = store::file::read_json(&meta).unwrap().unwrap();
    document.unsynced = Some("another boot".to_owned());
    std::thread::sleep(std::time::Duration::from_millis(200));
    write_meta(&meta, &document).unwrap();
    std::fs::write(place.0.join("boot"), "another boot").unwrap();
    let driver = place.open();
    assert!(!driver.has_layer(&chain) && !init.exists());
    assert!(matches!(driver.stack("kept"), Err(SnapshotError::NoLayer { .. })));
    assert!(driver.remove_layers(&HashSet::new()).unwrap().is_empty());
    layer(&driver);
    assert_eq!(driver.stack("kept").unwrap(), stack);
    assert!(init.join("dev/console").exists());
}

#[test]
fn layers_that_came_are_noted_as_being_on_disk_also_by_the_next_driver() {
    let place = Place::new("synced");
    let chain = layer(&place.open());
    let unsynced = || {
        let meta = place.0.join("layers").join(chain.hex()).join("meta");
        store::file::read_json::<LayerMeta>(&meta).unwrap().unwrap().unsynced
    };
    assert_eq!(unsynced(), Some(boot_id()), "the first one ended before");
    let driver = place.open();
    let begin = std::time::Instant::now();
    while unsynced().is_some() {
        assert!(begin.elapsed().as_secs() < 60, "nobody flushes it");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(driver.has_layer(&chain));
}

#[test]
fn the_initial_layer_fills_in_and_does_not_show() {
    let place = Place::new("init");
    let driver = place.open();
    let chain = layer(&driver);
    driver.prepare("c", std::slice::from_ref(&chain)).unwrap();
    let init = driver.layout.init(Some(&chain));
    assert!(init.join("proc").is_dir() && init.join("etc/resolv.conf").is_file());
    assert!(!init.join("etc/hosts").exists(), "the image has its own");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(init.join("etc")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o711, "the image's directory keeps its mode");
    assert_eq!(std::fs::read_link(init.join("etc/mtab")).unwrap(), Path::new("/proc/mounts"));
    assert!(driver.changes("c").unwrap().is_empty());
    let mode = |path: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    for private in ["layers", "active", "init", "trash"] {
        assert_eq!(mode(&place.0.join(private)), 0o700);
    }
}
