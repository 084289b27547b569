//! Blobs coming in: interrupted, resumed, followed, lied about.

use std::io::{Read, Write};

use oci::image::media;

use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-content-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Content {
        Content::open(&self.0, Limits::DEFAULT).unwrap()
    }

    fn partials(&self) -> usize {
        std::fs::read_dir(self.0.join("partial/sha256")).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media::OCI_LAYER, bytes)
}

const NOW: std::time::Duration = std::time::Duration::ZERO;

fn ours(content: &Content, blob: &Descriptor) -> Ingest {
    match content.resume(blob, NOW).unwrap() {
        Resumed::Ours(ingest) => *ingest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blob_goes_on_where_it_stopped() {
    let place = Place::new("resume");
    let bytes = b"0123456789".repeat(100_000);
    let (first, rest) = bytes.split_at(123_456);
    let blob = descriptor(&bytes);
    let content = place.open();
    let mut ingest = ours(&content, &blob);
    ingest.write_all(first).unwrap();
    assert!(matches!(content.resume(&blob, NOW).unwrap(), Resumed::Busy));
    drop(ingest);
    // As after a crash: another process opens the same directory.
    let content = place.open();
    let mut ingest = ours(&content, &blob);
    assert_eq!(ingest.size(), first.len() as u64);
    ingest.write_all(rest).unwrap();
    assert_eq!(ingest.finish(None).unwrap(), (blob.digest.clone(), blob.size));
    assert!(matches!(content.resume(&blob, NOW).unwrap(), Resumed::Present));
    assert!(content.has(&blob).unwrap() && std::fs::read(content.path(&blob.digest)).unwrap() == bytes);
    // An image took it: the second name goes.
    assert_eq!(place.partials(), 1);
    content.settle([&blob.digest]).unwrap();
    assert_eq!(place.partials(), 0);
}

#[test]
fn a_finished_blob_without_an_image_need_not_come_again() {
    let place = Place::new("again");
    let content = place.open();
    let blob = descriptor(b"bytes");
    let mut ingest = ours(&content, &blob);
    ingest.write_all(b"bytes").unwrap();
    ingest.finish(None).unwrap();
    content.remove(&blob.digest).unwrap();
    let ingest = ours(&place.open(), &blob);
    assert_eq!(ingest.size(), 5);
    ingest.finish(None).unwrap();
}

#[test]
fn lies_leave_nothing() {
    let place = Place::new("lies");
    let content = place.open();
    let blob = descriptor(b"bytes");
    let mut ingest = ours(&content, &blob);
    ingest.write_all(b"other").unwrap();
    assert!(matches!(ingest.finish(None).unwrap_err(), ImageError::Mismatch { .. }));
    assert_eq!((place.partials(), content.list().unwrap().len()), (0, 0));
    // Endless.
    let mut ingest = ours(&content, &blob);
    ingest.write_all(b"byte").unwrap();
    assert!(ingest.write_all(b"s and more").is_err());
    // Short: what is there stays.
    assert!(matches!(ingest.finish(None).unwrap_err(), ImageError::Short { size: 5, found: 4, .. }));
    assert_eq!((place.partials(), content.list().unwrap().len()), (1, 0));
    // A file that a power cut damaged.
    std::fs::write(content.partial_dir(Algorithm::Sha256).join(blob.digest.hex()), b"xxxxx").unwrap();
    assert_eq!(ours(&content, &blob).size(), 0);
    // A descriptor that lies about a blob that is there.
    content.put(b"bytes").unwrap();
    let lie = Descriptor { size: 4, ..blob.clone() };
    assert!(matches!(content.resume(&lie, NOW).unwrap_err(), ImageError::Inconsistent { .. }));
    // A blob that was damaged on disk comes again.
    std::fs::write(content.path(&blob.digest), b"by").unwrap();
    assert!(!content.has(&blob).unwrap());
    assert!(content.size(&blob.digest).is_none());
}

#[test]
fn who_waits_for_a_blob_gets_it_when_it_is_there() {
    let place = Place::new("wait");
    let content = place.open();
    let blob = descriptor(b"bytes");
    let mut ingest = ours(&content, &blob);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| content.resume(&blob, std::time::Duration::from_secs(60)).unwrap());
        ingest.write_all(b"bytes").unwrap();
        ingest.finish(None).unwrap();
        assert!(matches!(waiting.join().unwrap(), Resumed::Present));
    });
}

#[test]
fn a_follower_reads_what_comes_and_hears_of_the_end() {
    let place = Place::new("follow");
    let content = place.open();
    let bytes = b"piece".repeat(50_000);
    let blob = descriptor(&bytes);
    for whole in [true, false] {
        let mut ingest = ours(&content, &blob);
        let mut follow = ingest.follow();
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut read = Vec::new();
                follow.read_to_end(&mut read).map(|_| read)
            });
            for piece in bytes.chunks(7_000).take(if whole { usize::MAX } else { 3 }) {
                ingest.write_all(piece).unwrap();
            }
            if whole {
                ingest.finish(None).unwrap();
            } else {
                drop(ingest);
            }
            match reading.join().unwrap() {
                Ok(read) => assert!(whole && read == bytes),
                Err(error) => assert!(!whole && error.kind() == io::ErrorKind::UnexpectedEof),
            }
        });
        content.settle([&blob.digest]).unwrap();
        content.remove(&blob.digest).unwrap();
    }
}

#[test]
fn parts_are_kept_within_limits() {
    let place = Place::new("trim");
    let content = place.open();
    let blobs: Vec<Descriptor> = [b"first", b"other", b"third"].map(|bytes| descriptor(bytes)).to_vec();
    for (age, blob) in blobs.iter().enumerate() {
        ours(&content, blob).write_all(b"abc").unwrap();
        let path = content.partial_dir(Algorithm::Sha256).join(blob.digest.hex());
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100 * age as u64);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    let long = std::time::Duration::from_secs(3600);
    assert_eq!(content.trim_partial(long, 9).unwrap(), 0);
    assert_eq!(content.trim_partial(std::time::Duration::from_secs(150), 9).unwrap(), 3);
    let held = ours(&content, &blobs[1]);
    assert_eq!(content.trim_partial(long, 0).unwrap(), 3);
    assert_eq!((place.partials(), held.size()), (1, 3));
    drop(held);
    assert_eq!(content.trim_partial(NOW, u64::MAX).unwrap(), 3);
    std::fs::write(place.0.join("partial/sha256/foreign"), b"x").unwrap();
    place.open();
    assert_eq!(place.partials(), 0);
}

#[test]
fn a_full_disk_stops_a_blob_and_it_goes_on_when_there_is_space() {
    let place = Place::new("full");
    let folder = place.0.join("disk");
    std::fs::create_dir_all(&folder).unwrap();
    let disk = testkit::disk::Disk::mount(testkit::disk::Kind::Memory, &folder, &place.0.join("image"), 4);
    let content = Content::open(&disk.path().join("content"), Limits::DEFAULT).unwrap();
    let bytes = b"0123456789abcdef".repeat(200_000);
    let blob = descriptor(&bytes);
    // Space for a part that ends within a block of the writer.
    std::fs::write(disk.path().join("other"), vec![1; 2_500_000]).unwrap();
    let mut ingest = ours(&content, &blob);
    let error = bytes.chunks(100_000).find_map(|part| ingest.write_all(part).err()).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let held = ingest.size();
    assert!(held > 0 && held < blob.size);
    let partial = content.partial_dir(Algorithm::Sha256).join(blob.digest.hex());
    assert_eq!(std::fs::metadata(partial).unwrap().len(), held);
    // One that has no digest yet leaves nothing.
    let mut anonymous = content.ingest(Algorithm::Sha256).unwrap();
    assert!(anonymous.write_all(&bytes).is_err());
    drop(anonymous);
    assert_eq!(std::fs::read_dir(content.ingest_dir()).unwrap().count(), 0);
    std::fs::remove_file(disk.path().join("other")).unwrap();
    ingest.write_all(&bytes[usize::try_from(held).unwrap()..]).unwrap();
    assert_eq!(ingest.finish(None).unwrap(), (blob.digest.clone(), blob.size));
    content.sync().unwrap();
    content.verify(&blob.digest).unwrap();
}
