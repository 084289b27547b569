//! Power cuts: from the n-th commit on nothing reaches the tables, what was not flushed is damaged, and all starts again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oci::image::ImageConfig;
use store::{Backend, Change, Durability, StoreError};

use super::tests::{Place, layer, load, name, save};
use super::*;
use crate::error::Result;
use crate::import_config;

type Rows = BTreeMap<(&'static str, String), Vec<u8>>;

/// Tables on a disk that fails after so many commits.
#[derive(Clone)]
struct Tables(Arc<Mutex<Disk>>);

struct Disk {
    visible: Rows,
    flushed: Rows,
    commits_left: usize,
}

impl Tables {
    fn new(rows: Rows, commits_left: usize) -> Self {
        Self(Arc::new(Mutex::new(Disk { flushed: rows.clone(), visible: rows, commits_left })))
    }

    /// What a machine finds that starts again.
    fn after_the_cut(&self) -> Self {
        Self::new(self.0.lock().unwrap().flushed.clone(), usize::MAX)
    }
}

impl Backend for Tables {
    fn get(&self, table: &'static str, key: &str) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().visible.get(&(table, key.to_owned())).cloned())
    }

    fn scan(
        &self,
        table: &'static str,
        prefix: &str,
    ) -> std::result::Result<Vec<(String, Vec<u8>)>, StoreError> {
        let disk = self.0.lock().unwrap();
        let found = disk.visible.iter().filter(|((name, key), _)| *name == table && key.starts_with(prefix));
        Ok(found.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, changes: Vec<Change>, durability: Durability) -> std::result::Result<(), StoreError> {
        let mut disk = self.0.lock().unwrap();
        disk.commits_left = disk.commits_left.checked_sub(1).ok_or(StoreError::Closed)?;
        for change in changes {
            match change {
                Change::Put { table, key, value } => drop(disk.visible.insert((table, key), value)),
                Change::Delete { table, key } => drop(disk.visible.remove(&(table, key))),
            }
        }
        if durability == Durability::Durable {
            disk.flushed = disk.visible.clone();
        }
        Ok(())
    }
}

/// Ids and names of all images.
fn state(images: &Images) -> BTreeMap<String, Vec<String>> {
    images.list().iter().map(|image| (image.id.to_string(), image.repo_tags())).collect()
}

type Step = Box<dyn Fn(&Images) -> Result<()>>;

fn import(content: &'static str, tag: &'static str) -> Step {
    Box::new(move |images| {
        let config = import_config("-", "", images.platform());
        let pending = images.import(&mut layer(content).as_slice(), config, Some(&name(tag)))?;
        pending.keep().map(drop)
    })
}

fn steps(archive: Vec<u8>) -> Vec<Step> {
    vec![
        import("one", "app:1"),
        import("two", "app:2"),
        Box::new(|images| images.tag(&images.find("app:1")?.id, &name("other")).map(drop)),
        import("three", "app:1"),
        Box::new(move |images| load(images, &archive).map(drop)),
        Box::new(|images| images.remove("app:2", false, false, &[]).map(drop)),
        Box::new(|images| images.remove("two:layers", true, false, &[]).map(drop)),
        import("two", "again"),
    ]
}

/// Overwrites blobs that no image of this state has: they were never flushed.
fn damage_unflushed(content: &Content, flushed: &[Digest]) {
    for digest in content.list().unwrap().iter().filter(|digest| !flushed.contains(digest)) {
        let size = content.size(digest).unwrap();
        std::fs::write(content.path(digest), vec![0; usize::try_from(size).unwrap()]).unwrap();
    }
}

/// Blobs of a content store that hold what they should; panics when one does not.
fn verified(images: &Images) -> Vec<Digest> {
    let content = images.content();
    let mut found = content.list().unwrap();
    for digest in &found {
        content.verify(digest).unwrap();
    }
    found.sort_by_key(ToString::to_string);
    found
}

#[test]
fn a_power_cut_at_any_commit_keeps_what_was_acknowledged_and_nothing_else() {
    let source = Place::new("power-source");
    let images = Images::open(&source.path, source.store.clone()).unwrap();
    import("upper", "two:layers")(&images).unwrap();
    let archive = save(&images, &["two:layers"]);
    let steps = steps(archive);
    let mut whole = false;
    for cut in 0..40 {
        let place = Place::new("power");
        let tables = Tables::new(Rows::new(), cut);
        let opened = Images::open(&place.path, Store::with_backend(tables.clone()));
        let (mut acknowledged, mut blobs, mut done) = (BTreeMap::new(), Vec::new(), 0);
        if let Ok(images) = opened {
            for step in &steps {
                if step(&images).is_err() {
                    break;
                }
                (acknowledged, blobs, done) = (state(&images), verified(&images), done + 1);
            }
            damage_unflushed(images.content(), &blobs);
        }
        whole = done == steps.len();
        // Once as it was left, and once more.
        let tables = tables.after_the_cut();
        for _ in 0..2 {
            let images = Images::open(&place.path, Store::with_backend(tables.clone())).unwrap();
            assert_eq!(state(&images), acknowledged, "cut at commit {cut}, in step {done}");
            let left = verified(&images);
            assert!(left.iter().all(|blob| blobs.contains(blob)), "cut at commit {cut}: {left:?}");
            assert_eq!(std::fs::read_dir(place.path.join("ingest")).unwrap().count(), 0);
            for image in images.list() {
                std::io::copy(&mut images.open_layer(&image, 0).unwrap(), &mut std::io::sink()).unwrap();
            }
        }
        // What was interrupted is done again, and all that comes after it.
        let images = Images::open(&place.path, Store::with_backend(tables)).unwrap();
        steps.iter().skip(done).for_each(|step| step(&images).unwrap());
        verified(&images);
        assert_eq!(state(&images).len(), 3, "cut at commit {cut}");
        if whole {
            break;
        }
    }
    assert!(whole, "the last of them cut nothing");
}

#[test]
fn what_is_here_already_is_neither_read_nor_flushed() {
    let place = Place::new("again");
    let tables = Tables::new(Rows::new(), usize::MAX);
    let images = Images::open(&place.path, Store::with_backend(tables.clone())).unwrap();
    import("one", "base")(&images).unwrap();
    let base = images.find("base").unwrap();
    let config = ImageConfig { comment: "made again".to_owned(), ..base.config.clone() };
    let again = |tag: &str| {
        let layers = base.layers.iter().map(|layer| layer.blob.clone()).collect();
        images.assemble(&config, layers, vec![name(tag)]).unwrap().keep().unwrap().image
    };
    let flushed = || tables.0.lock().unwrap().flushed.clone();
    let first = again("app");
    let before = flushed();
    let second = again("app");
    assert_eq!((second.id.clone(), second.repo_tags()), (first.id.clone(), first.repo_tags()));
    assert!(second.last_tagged > first.last_tagged);
    assert_eq!(flushed(), before);
    assert_eq!(again("other").repo_tags(), ["app:latest", "other:latest"]);
    assert_ne!(flushed(), before);
    // What got lost is had again.
    images.content().remove(&first.config_digest).unwrap();
    again("app");
    assert!(images.content().verify(&first.config_digest).is_ok());
}
