//! The contract of storages, and what is left of commits when the power is cut at any byte.

use std::collections::BTreeSet;

use super::*;
use crate::storage::contract;

/// A folder of a test's own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-registry-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> LocalStorage {
        LocalStorage::open(&self.0).unwrap()
    }

    /// What the disk holds now of a file.
    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    /// A folder with these two files, as a machine finds it that starts again.
    fn after(&self, tables: &[u8], journal: &[u8]) -> Self {
        let path = self.0.join("after");
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("state.redb"), tables).unwrap();
        std::fs::write(path.join("journal"), journal).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn digest(number: u64) -> Digest {
    Digest::of(number.to_string().as_bytes())
}

/// Commit number so and so: a blob comes with two records, and the blob before the last one goes.
fn commit(storage: &LocalStorage, number: u64) {
    let changes = vec![
        Change::Put("last".to_owned(), number.to_string()),
        Change::Put(format!("each/{number}"), "{}".to_owned()),
        Change::Remove(format!("each/{}", number.wrapping_sub(2))),
    ];
    storage.put_blob(&digest(number), Content::Bytes(number.to_string().as_bytes()), changes).unwrap();
}

/// How many commits are there; all of them are there whole.
#[track_caller]
fn commits(storage: &LocalStorage) -> u64 {
    let last: u64 = storage.record("last").unwrap().map_or(0, |text| text.parse().unwrap());
    let each: BTreeSet<String> = storage.keys("each/").unwrap().into_iter().collect();
    let wanted = (last.saturating_sub(1).max(1)..=last).map(|number| format!("each/{number}"));
    assert_eq!(each, wanted.collect(), "after commit {last}");
    let blobs: BTreeSet<Digest> = storage.blobs().unwrap().into_iter().map(|blob| blob.digest).collect();
    assert_eq!(blobs, (1..=last).map(digest).collect(), "after commit {last}");
    last
}

/// Where each record of a journal ends.
fn ends(journal: &[u8], records: usize) -> Vec<usize> {
    let mut ends = vec![0usize];
    for _ in 0..records {
        let at = *ends.last().unwrap();
        let length = u32::from_le_bytes(journal[at..at + 4].try_into().unwrap());
        ends.push(at + 44 + length as usize);
    }
    ends
}

#[test]
fn keeps_the_contract_of_storages() {
    let place = Place::new("local");
    contract::run(&mut || Box::new(place.open()), &place.0);
}

#[test]
fn a_power_cut_at_any_byte_leaves_whole_commits_and_no_acknowledged_one_is_lost() {
    let place = Place::new("cut");
    let storage = place.open();
    // Nothing that was written later reached the tables: only the journal was flushed.
    let tables = place.file("state.redb");
    (1..=6).for_each(|number| commit(&storage, number));
    let journal = place.file("journal");
    let ends = ends(&journal, 6);
    let cuts = (0..ends[6]).step_by(211).chain(ends.iter().flat_map(|end| [end.saturating_sub(1), *end]));
    for cut in cuts {
        let mut torn = journal.clone();
        torn[cut..].fill(0);
        let after = place.after(&tables, &torn);
        let whole = ends.iter().filter(|end| **end > 0 && **end <= cut).count() as u64;
        assert_eq!(commits(&after.open()), whole, "cut at {cut}");
        // Once more, and on.
        let storage = after.open();
        assert_eq!(commits(&storage), whole, "cut at {cut}");
        commit(&storage, whole + 1);
        assert_eq!(commits(&storage), whole + 1);
    }
    // A sector that was not written although those behind it were.
    let mut torn = journal.clone();
    torn[ends[3] + 10..ends[3] + 20].fill(0);
    assert_eq!(commits(&place.after(&tables, &torn).open()), 3);
    // As after a kill: the tables have everything already.
    let after = place.after(&place.file("state.redb"), &journal);
    assert_eq!(commits(&after.open()), 6);
}

#[test]
fn records_of_a_former_round_are_never_taken_for_new_ones() {
    let place = Place::new("rounds");
    let storage = place.open();
    let tables = place.file("state.redb");
    (1..=5).for_each(|number| commit(&storage, number));
    let mut journal = place.file("journal");
    let ends = ends(&journal, 5);
    // The second was cut, those behind it were written: nobody was told of any of them.
    journal[ends[1] + 50] ^= 1;
    for end in &ends[2..5] {
        let after = place.after(&tables, &journal);
        let storage = after.open();
        assert_eq!(commits(&storage), 1);
        // A new record that ends where one of those begins.
        let filling = end - 44 - r#"[{"key":"x","value":""}]"#.len();
        storage.commit(vec![Change::Put("x".to_owned(), format!("\"{}\"", "x".repeat(filling)))]).unwrap();
        let crashed = after.after(&after.file("state.redb"), &after.file("journal"));
        let storage = crashed.open();
        assert_eq!(commits(&storage), 1);
        assert!(storage.record("x").unwrap().is_some());
    }
}

#[test]
fn a_full_journal_begins_again_and_loses_nothing() {
    let place = Place::new("full");
    let storage = place.open();
    let text = |number: usize| format!("\"{number} {}\"", "y".repeat(30_000));
    let long = format!("\"{}\"", "z".repeat(200_000));
    let mut tables = place.file("state.redb");
    for number in 0..58 {
        storage.commit(vec![Change::Put(format!("large/{number:02}"), text(number))]).unwrap();
        if number == 50 {
            // Too long for the journal, which begins again; what follows fits.
            storage.commit(vec![Change::Put("long".to_owned(), long.clone())]).unwrap();
            tables = place.file("state.redb");
        }
    }
    for tables in [tables, place.file("state.redb")] {
        let after = place.after(&tables, &place.file("journal"));
        let storage = after.open();
        assert_eq!(storage.record("long").unwrap().as_ref(), Some(&long));
        for (number, (key, value)) in storage.records("large/").unwrap().into_iter().enumerate() {
            assert_eq!((key, value), (format!("large/{number:02}"), text(number)));
        }
        assert_eq!(storage.keys("large/").unwrap().len(), 58);
    }
}

#[test]
fn many_at_once_are_all_durable() {
    let place = Place::new("many");
    let storage = place.open();
    let tables = place.file("state.redb");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let storage = &storage;
            scope.spawn(move || {
                for number in 0..20 {
                    let key = format!("{thread}/{number}");
                    storage.commit(vec![Change::Put(key, "1".to_owned())]).unwrap();
                }
            });
        }
    });
    let after = place.after(&tables, &place.file("journal"));
    assert_eq!(after.open().keys("").unwrap().len(), 160);
}

#[test]
fn a_file_keeps_its_own_name_until_its_owner_takes_it_away() {
    let place = Place::new("names");
    let storage = place.open();
    let bytes = vec![7; 300_000];
    let (file, digest) = (place.0.join("upload"), Digest::of(&bytes));
    std::fs::write(&file, &bytes).unwrap();
    for _ in 0..2 {
        storage.put_blob(&digest, Content::File(&file, bytes.len() as u64), Vec::new()).unwrap();
        assert!(storage.blob_size(&digest).unwrap() == Some(300_000));
    }
    assert!(std::fs::read(&file).unwrap() == bytes, "whoever ends here can go on");
}
