//! Uploads whose clients break off, whose disk is full, and that are many.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oci::digest::{Algorithm, Digest};
use testkit::disk::{Disk, Kind};

use super::*;
use crate::storage::Content;

/// A folder of a test's own.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-upload-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Uploads {
        Uploads::open(self.0.clone(), Duration::from_secs(3600)).unwrap()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn name() -> Repository {
    "a/b".parse().unwrap()
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A client that sends some bytes, in pieces that fit nothing, and then fails.
struct Breaking<'a>(&'a [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = output.len().min(7_777);
        self.0.read(&mut output[..most])
    }
}

/// The bytes that an upload holds, wherever they are.
fn held(upload: &Upload) -> Vec<u8> {
    match upload.content().unwrap() {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::File(path, size) => {
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(bytes.len() as u64, size, "the file holds what is counted");
            bytes
        }
    }
}

#[test]
fn what_came_before_a_client_broke_off_is_held_and_hashed() {
    let place = Place::new();
    let uploads = place.open();
    // Around the sizes where bytes go to a file, and to a second thread.
    for length in [0, 1, 32 << 10, (32 << 10) + 1, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 1_000_003] {
        let bytes = noise(length + 50_000);
        let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
        uploads
            .with(&name(), &id, |upload| {
                let broken = upload.append(&mut Breaking(&bytes[..length]), Some(bytes.len() as u64));
                assert!(matches!(broken, Err(RegistryError::Client(_))), "{length}");
                assert_eq!((upload.size(), held(upload)), (length as u64, bytes[..length].to_vec()));
                upload.append(&mut &bytes[length..], None)?;
                assert!(upload.check(&Digest::of(b"other")).is_err());
                upload.check(&Digest::of(&bytes))?;
                assert!(held(upload) == bytes, "{length}");
                upload.end();
                Ok(())
            })
            .unwrap();
        assert!(matches!(uploads.with(&name(), &id, |_| Ok(())), Err(RegistryError::UploadUnknown)));
        assert_eq!((uploads.count(), place.files()), (0, 0));
    }
}

#[test]
fn a_write_that_fails_leaves_what_is_counted_and_the_upload_goes_on() {
    let place = Place::new();
    let folder = place.0.join("disk");
    std::fs::create_dir(&folder).unwrap();
    let disk = Disk::mount(Kind::Memory, &folder, &place.0.join("image"), 4);
    // Not at the end of a block, nor of a page that a block begins.
    std::fs::write(disk.path().join("kept"), noise(1_000_000)).unwrap();
    let uploads = Uploads::open(disk.path().join("uploads"), Duration::from_secs(3600)).unwrap();
    let bytes = noise(5 << 20);
    let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
    uploads
        .with(&name(), &id, |upload| {
            let full = upload.append(&mut &bytes[..], Some(bytes.len() as u64));
            assert!(matches!(full, Err(RegistryError::Storage(_))), "{full:?}");
            assert!(upload.size() > 2 << 20, "some of it fitted");
            let fitted = usize::try_from(upload.size()).unwrap();
            assert!(held(upload) == bytes[..fitted]);
            // A short body is written in another way.
            let full = upload.append(&mut &bytes[fitted..fitted + 200_000], Some(200_000));
            assert!(matches!(full, Err(RegistryError::Storage(_))), "{full:?}");
            assert!(held(upload) == bytes[..fitted]);
            std::fs::remove_file(disk.path().join("kept")).unwrap();
            upload.append(&mut &bytes[fitted..fitted + 300_000], None)?;
            upload.check(&Digest::of(&bytes[..fitted + 300_000]))
        })
        .unwrap();
    // Nothing fits: the small one that has to go to a file is refused whole, and stays what it was.
    let small = uploads.begin(&name(), Algorithm::Sha256).unwrap();
    disk.fill();
    uploads
        .with(&name(), &small, |upload| {
            upload.append(&mut &b"few"[..], Some(3))?;
            let full = upload.append(&mut &bytes[..100_000], Some(100_000));
            assert!(matches!(full, Err(RegistryError::Storage(_))), "{full:?}");
            assert_eq!(held(upload), b"few");
            disk.free();
            upload.append(&mut &b" more"[..], Some(5))?;
            upload.check(&Digest::of(b"few more"))
        })
        .unwrap();
}

#[test]
fn what_a_failed_write_left_behind_the_end_is_never_part_of_a_blob() {
    let place = Place::new();
    let uploads = place.open();
    let bytes = noise(700_000);
    for (first, second) in [(300_000, 100), (300_000, 400_000), (50_000, 650_000)] {
        let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
        uploads
            .with(&name(), &id, |upload| {
                upload.append(&mut &bytes[..first], Some(first as u64))?;
                let path = place.0.join(file_name(&name(), &id));
                let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                std::io::Write::write_all(&mut file, b"a part of a block that is not counted").unwrap();
                upload.append(&mut &bytes[first..first + second - 10], None)?;
                upload.append(&mut &bytes[first + second - 10..first + second], Some(10))?;
                upload.check(&Digest::of(&bytes[..first + second]))?;
                assert!(held(upload) == bytes[..first + second], "{first} {second}");
                upload.end();
                Ok(())
            })
            .unwrap();
    }
    // Nothing comes any more: it is cut off.
    let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
    uploads
        .with(&name(), &id, |upload| {
            upload.append(&mut &bytes[..], None)?;
            let path = place.0.join(file_name(&name(), &id));
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(800_000).unwrap();
            upload.check(&Digest::of(&bytes))?;
            assert!(held(upload) == bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_upload_that_is_a_blob_already_goes_on_in_a_copy() {
    let place = Place::new();
    let bytes = noise(300_000);
    let uploads = place.open();
    let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
    let add = |uploads: &Uploads, more: &[u8]| {
        uploads.with(&name(), &id, |upload| upload.append(&mut &*more, Some(more.len() as u64)))
    };
    add(&uploads, &bytes).unwrap();
    drop(uploads);
    // As if the process had ended when the file had its second name, and nobody knew of it.
    let file = std::fs::read_dir(&place.0).unwrap().next().unwrap().unwrap().path();
    let blob = place.0.with_extension("blob");
    std::fs::hard_link(&file, &blob).unwrap();
    let uploads = place.open();
    let check =
        |wanted: &Digest| uploads.with(&name(), &id, |upload| upload.check(wanted).map(|()| held(upload)));
    assert!(check(&Digest::of(&bytes)).unwrap() == bytes);
    assert_eq!(std::fs::metadata(&blob).unwrap().nlink(), 2, "what is only read is not copied");
    add(&uploads, b"more").unwrap();
    let all = [&bytes[..], b"more"].concat();
    assert!(check(&Digest::of(&all)).unwrap() == all);
    assert!(std::fs::read(&blob).unwrap() == bytes, "the blob stays as it is");
    assert_eq!((place.files(), std::fs::metadata(&blob).unwrap().nlink()), (1, 1));
    std::fs::remove_file(&blob).unwrap();
}

#[test]
fn memory_is_for_a_few_and_comes_back() {
    let place = Place::new();
    let uploads = place.open();
    let bytes = noise(30_000);
    let most = MEMORY / bytes.len();
    let push = |uploads: &Uploads| {
        let id = uploads.begin(&name(), Algorithm::Sha256).unwrap();
        uploads.with(&name(), &id, |upload| upload.append(&mut &bytes[..], Some(30_000))).unwrap();
        id
    };
    for _ in 0..2 {
        let ids: Vec<String> = (0..most + 5).map(|_| push(&uploads)).collect();
        assert_eq!(place.files(), 5);
        for id in &ids {
            uploads
                .with(&name(), id, |upload| {
                    upload.check(&Digest::of(&bytes))?;
                    upload.end();
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!((place.files(), uploads.count()), (0, 0));
    }
    // An orderly end puts them where the next process finds them.
    let ids = [push(&uploads), uploads.begin(&name(), Algorithm::Sha512).unwrap()];
    uploads.keep().unwrap();
    drop(uploads);
    let uploads = place.open();
    for (id, size) in ids.iter().zip([30_000, 0]) {
        assert_eq!(uploads.with(&name(), id, |upload| Ok(upload.size())).unwrap(), size);
    }
    uploads.with(&name(), &ids[0], |upload| upload.check(&Digest::of(&bytes))).unwrap();
}
