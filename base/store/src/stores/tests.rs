//! Both backends under the same cases; crashes and damage for the one on disk.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

const NUMBERS: Table<u64> = Table::new("numbers");
const WORDS: Table<String> = Table::new("words");

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn contract(store: &Store) {
    assert_eq!(store.get(&NUMBERS, "none").unwrap(), None);
    assert!(store.list(&NUMBERS).unwrap().is_empty());
    let mut transaction = store.transaction();
    transaction.put(&NUMBERS, "b/1", &1).unwrap().put(&NUMBERS, "b/2", &2).unwrap();
    transaction.put(&NUMBERS, "c", &3).unwrap().put(&WORDS, "w", &"x".to_owned()).unwrap();
    transaction.commit_relaxed().unwrap();
    assert_eq!(store.get(&NUMBERS, "c").unwrap(), Some(3));
    let found = store.list_prefix(&NUMBERS, "b/").unwrap();
    assert_eq!(found, [("b/1".to_owned(), 1), ("b/2".to_owned(), 2)]);
    let mut transaction = store.transaction();
    transaction.delete(&NUMBERS, "b/1").delete(&NUMBERS, "absent").put(&NUMBERS, "c", &4).unwrap();
    transaction.commit_durable().unwrap();
    assert_eq!(store.list(&NUMBERS).unwrap(), [("b/2".to_owned(), 2), ("c".to_owned(), 4)]);
    drop(store.transaction());
    store.transaction().commit_durable().unwrap();
}

#[test]
fn memory_keeps_the_contract() {
    contract(&Store::in_memory());
}

#[test]
fn redb_keeps_the_contract_and_the_data() {
    let directory = Directory::new("contract");
    let store = Store::open(&directory.0).unwrap();
    contract(&store);
    assert!(matches!(Store::open(&directory.0), Err(StoreError::InUse { .. })));
    let mut transaction = store.transaction();
    transaction.put(&WORDS, "relaxed", &"kept by closing".to_owned()).unwrap();
    transaction.commit_relaxed().unwrap();
    drop(store);
    let store = Store::open(&directory.0).unwrap();
    assert_eq!(store.get(&NUMBERS, "c").unwrap(), Some(4));
    assert_eq!(store.get(&WORDS, "relaxed").unwrap().as_deref(), Some("kept by closing"));
}

#[test]
fn many_writers_share_commits() {
    let directory = Directory::new("writers");
    let store = Store::open(&directory.0).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16u64 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..20u64 {
                    store.put(&NUMBERS, &format!("{thread}/{number}"), &number).unwrap();
                }
            });
        }
    });
    assert_eq!(store.list(&NUMBERS).unwrap().len(), 320);
}

#[test]
fn a_damaged_database_is_refused_and_left_alone() {
    let directory = Directory::new("damage");
    std::fs::create_dir_all(&directory.0).unwrap();
    for damage in [&b"this is not a database"[..], &[], &[0; 8192]] {
        std::fs::write(directory.0.join("state.redb"), damage).unwrap();
        let result = Store::open(&directory.0);
        assert!(matches!(result, Err(StoreError::Unreadable { .. })), "{:?}", damage.len());
        assert_eq!(std::fs::read(directory.0.join("state.redb")).unwrap(), damage);
    }
}

/// Not a test of its own: the child of the crash test, which is killed while it writes.
#[test]
fn crash_child() {
    let Some(directory) = std::env::var_os("WHARF_STORE_CRASH_CHILD") else { return };
    let store = Store::open(&PathBuf::from(directory)).unwrap();
    let start = store.get(&NUMBERS, "last").unwrap().unwrap_or(0);
    for number in start + 1.. {
        let mut transaction = store.transaction();
        transaction.put(&NUMBERS, "last", &number).unwrap();
        transaction.put(&WORDS, "last", &number.to_string()).unwrap();
        transaction.put(&NUMBERS, &format!("n/{:03}", number % 500), &number).unwrap();
        transaction.commit_durable().unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill() {
    use std::io::{BufRead, BufReader};
    let directory = Directory::new("crash");
    for round in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stores::tests::crash_child", "--nocapture"])
            .env("WHARF_STORE_CRASH_CHILD", &directory.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0u64;
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged = number.parse().unwrap();
                if acknowledged % 40 == 7 * (round % 5) {
                    break;
                }
            }
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged = number.parse().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged > 0);
        let store = Store::open(&directory.0).unwrap();
        let last = store.get(&NUMBERS, "last").unwrap().unwrap();
        assert!(last >= acknowledged, "{last} < {acknowledged}");
        assert_eq!(store.get(&WORDS, "last").unwrap().unwrap(), last.to_string());
    }
}

/// Not a test of its own: the child of the next test, on a small disk that nobody else sees.
#[test]
fn full_disk_child() {
    let Some(directory) = std::env::var_os("WHARF_STORE_FULL_CHILD").map(PathBuf::from) else { return };
    let mut store = Store::open(&directory).unwrap();
    for number in 0..20 {
        store.put(&NUMBERS, &format!("old/{number:02}"), &number).unwrap();
    }
    let filler = directory.join("filler");
    let fill = || {
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    };
    for round in 0..3u64 {
        fill();
        let mut refused = 0;
        for number in 0..400 {
            match store.put(&WORDS, &format!("{round}/{number}"), &"x".repeat(8000)) {
                Ok(()) => {}
                Err(error @ StoreError::Full { .. }) => {
                    assert!(error.to_string().ends_with("no space left on device"), "{error}");
                    refused += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(refused > 0, "something did not fit");
        let mut transaction = store.transaction();
        transaction.put(&NUMBERS, "old/00", &(100 + round)).unwrap();
        transaction.commit_relaxed().unwrap();
        for number in 0..20u64 {
            store.put(&NUMBERS, "old/01", &(round * 1000 + number)).unwrap();
        }
        store.delete(&NUMBERS, &format!("old/{:02}", 10 + round)).unwrap();
        assert_eq!(store.get(&NUMBERS, "old/00").unwrap(), Some(100 + round));
        if round == 1 {
            drop(store);
            store = Store::open(&directory).unwrap();
            assert_eq!(store.get(&NUMBERS, "old/00").unwrap(), Some(100 + round));
        }
        std::fs::remove_file(&filler).unwrap();
        store.put(&WORDS, "after", &round.to_string()).unwrap();
    }
    drop(store);
    let store = Store::open(&directory).unwrap();
    assert_eq!(store.get(&NUMBERS, "old/01").unwrap(), Some(2019));
    assert_eq!(store.get(&NUMBERS, "old/11").unwrap(), None);
    assert_eq!(store.get(&NUMBERS, "old/13").unwrap(), Some(13));
    assert_eq!(store.get(&WORDS, "after").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_full_disk_refuses_only_what_is_new() {
    let directory = Directory::new("full");
    std::fs::create_dir_all(&directory.0).unwrap();
    let output = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs -o size=5m disk \"$1\" && exec \"$2\" --exact stores::tests::full_disk_child",
            "sh",
        ])
        .args([&directory.0, &std::env::current_exe().unwrap()])
        .env("WHARF_STORE_FULL_CHILD", &directory.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn one_unreadable_record_does_not_hide_the_others() {
    let store = Store::in_memory();
    store.put(&NUMBERS, "a", &1).unwrap();
    store.put(&Table::<String>::new("numbers"), "b", &"no number".to_owned()).unwrap();
    store.put(&Table::<u64>::versioned("numbers", 9, |_, old| old), "c", &3).unwrap();
    store.put(&NUMBERS, "d", &4).unwrap();
    let listed = store.list_readable(&NUMBERS).unwrap();
    assert_eq!(listed.records, [("a".to_owned(), 1), ("d".to_owned(), 4)]);
    let keys: Vec<&str> = listed.unreadable.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "c"]);
    assert!(matches!(listed.unreadable[1].1, StoreError::Newer { found: 9, known: 1, .. }));
    assert!(store.list(&NUMBERS).is_err());
}

/// Whatever a disk does to the file: an error or the data, never a panic.
#[test]
fn damage_anywhere_is_an_error_or_harmless() {
    let directory = Directory::new("bits");
    let store = Store::open(&directory.0).unwrap();
    let mut transaction = store.transaction();
    for number in 0..300u64 {
        transaction.put(&WORDS, &format!("key/{number:03}"), &"value".repeat(20)).unwrap();
    }
    transaction.commit_durable().unwrap();
    drop(store);
    let path = directory.0.join("state.redb");
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut refused = 0;
    for round in 0..100 {
        let mut damaged = whole.clone();
        for _ in 0..=round % 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % used;
            let end = (at + 1 + (state >> 50) as usize % 600).min(damaged.len());
            damaged[at..end].fill((state >> 40) as u8);
        }
        if round % 10 == 0 {
            damaged.truncate(state as usize % used);
        }
        std::fs::write(&path, &damaged).unwrap();
        match Store::open(&directory.0) {
            Ok(store) => {
                refused += usize::from(store.list_readable(&WORDS).is_err());
                refused += usize::from(store.put(&WORDS, "new", &"x".to_owned()).is_err());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no damage was noticed");
}
