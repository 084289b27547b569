//! What every storage has to do: one suite that all drivers run in their tests.
//!
//! It is part of the library so that the tests of other crates can hold a driver to it; it fails by panicking.

use std::io::Read as _;
use std::path::Path;

use oci::digest::{Algorithm, Digest, Digester};

use super::{Blob, Change, Content, Storage};

/// Opens the storage anew, as after a restart; what it held before has to be there.
pub type Reopen<'a> = &'a mut dyn FnMut() -> Box<dyn Storage>;

/// Runs the suite; `work` is a folder for files that become blobs.
///
/// # Panics
/// When the storage breaks the contract.
pub fn run(reopen: Reopen<'_>, work: &Path) {
    let storage = reopen();
    records_are_kept_in_order(&*storage);
    blobs_are_kept_whole(&*storage, work);
    drop(storage);
    let storage = reopen();
    survived(&*storage);
    removal(&*storage);
    drop(storage);
    let storage = reopen();
    assert_eq!(storage.blobs().unwrap(), [], "removed blobs stay away");
    assert_eq!(storage.keys("").unwrap(), ["a/2", "z"]);
}

fn put(key: &str, value: &str) -> Change {
    Change::Put(key.to_owned(), value.to_owned())
}

fn records_are_kept_in_order(storage: &dyn Storage) {
    assert_eq!(storage.record("a/1").unwrap(), None);
    storage.commit(vec![put("b@x:1", "{}"), put("a/2", "[2]"), put("a/1", r#"{"x":"ä"}"#)]).unwrap();
    assert_eq!(storage.record("a/1").unwrap().as_deref(), Some(r#"{"x":"ä"}"#));
    assert_eq!(storage.keys("").unwrap(), ["a/1", "a/2", "b@x:1"]);
    assert_eq!(storage.keys("a/").unwrap(), ["a/1", "a/2"]);
    assert_eq!(storage.keys("c").unwrap(), [] as [&str; 0]);
    let all = storage.records("a/").unwrap();
    assert_eq!(all.last().map(|(key, value)| (key.as_str(), value.as_str())), Some(("a/2", "[2]")));
    // One commit does its changes in order.
    storage
        .commit(vec![Change::Remove("a/1".into()), put("a/1", "3"), Change::Remove("none".into())])
        .unwrap();
    assert_eq!(storage.record("a/1").unwrap().as_deref(), Some("3"));
}

fn samples() -> Vec<(Digest, Vec<u8>)> {
    let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let mut long = Digester::new(Algorithm::Sha512);
    long.update(b"long");
    vec![
        (Digest::of(b""), Vec::new()),
        (Digest::of(b"small"), b"small".to_vec()),
        (long.finish(), b"long".to_vec()),
        (Digest::of(&large), large),
    ]
}

fn blobs_are_kept_whole(storage: &dyn Storage, work: &Path) {
    for (at, (digest, bytes)) in samples().iter().enumerate() {
        assert_eq!(storage.blob_size(digest).unwrap(), None);
        assert!(storage.open_blob(digest).unwrap().is_none());
        if at % 2 == 0 {
            storage.put_blob(digest, Content::Bytes(bytes), vec![put("z", &at.to_string())]).unwrap();
        } else {
            let file = work.join("contract-upload");
            std::fs::write(&file, bytes).unwrap();
            let content = Content::File(&file, bytes.len() as u64);
            storage.put_blob(digest, content, vec![put("z", &at.to_string())]).unwrap();
            let _ = std::fs::remove_file(&file);
        }
        // Once more is no error.
        storage.put_blob(digest, Content::Bytes(bytes), Vec::new()).unwrap();
    }
}

fn survived(storage: &dyn Storage) {
    assert_eq!(storage.record("z").unwrap().as_deref(), Some("3"), "changes come with their blob");
    assert_eq!(storage.keys("a/").unwrap(), ["a/1", "a/2"]);
    let mut listed = storage.blobs().unwrap();
    let now = model::Timestamp::now().seconds();
    assert!(listed.iter().all(|blob| (now - blob.since).abs() < 600), "{listed:?}");
    for (digest, bytes) in samples() {
        assert_eq!(storage.blob_size(&digest).unwrap(), Some(bytes.len() as u64));
        assert_eq!(storage.open_blob(&digest).unwrap().unwrap().read_all(1 << 24).unwrap(), bytes);
        if let Blob::Remote(size, open) = storage.open_blob(&digest).unwrap().unwrap()
            && size > 10
        {
            let mut part = Vec::new();
            open(3..7).unwrap().read_to_end(&mut part).unwrap();
            assert_eq!(part, bytes[3..7]);
        }
        let at = listed.iter().position(|blob| blob.digest == digest).expect("a blob is listed");
        assert_eq!(listed.remove(at).size, bytes.len() as u64);
    }
    assert_eq!(listed, [], "nothing else is listed");
    let (digest, bytes) = samples().pop().expect("a large one");
    let blob = storage.open_blob(&digest).unwrap().unwrap();
    assert!(blob.read_all(bytes.len() as u64 - 1).is_err(), "a limit is a limit");
}

fn removal(storage: &dyn Storage) {
    for (digest, _) in samples() {
        storage.remove_blob(&digest).unwrap();
        storage.remove_blob(&digest).unwrap();
        assert!(storage.open_blob(&digest).unwrap().is_none());
    }
    storage.commit(vec![Change::Remove("a/1".into()), Change::Remove("b@x:1".into())]).unwrap();
    assert_eq!(storage.record("a/1").unwrap(), None);
}
