//! Images in directories of their own: in, out, names, removal, crashes.

use std::io::Write;
use std::path::PathBuf;

use archive::{Entry, Limits, Reader, Writer};
use model::Kinded;
use oci::image::{Descriptor, History, ImageConfig, media};

use super::*;
use crate::{Removed, Use, import_config};

pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) store: Store,
}

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-image-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self { path, store: Store::in_memory() }
    }

    pub(super) fn open(&self) -> Images {
        Images::open(&self.path, self.store.clone()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub(super) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

pub(super) fn layer(content: &str) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes(&Entry::file("file", 0o644, 0), content.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn import(images: &Images, content: &str, tag: &str) -> Arc<Image> {
    let config = import_config("-", "", images.platform());
    let name = (!tag.is_empty()).then(|| name(tag));
    images.import(&mut layer(content).as_slice(), config, name.as_ref()).unwrap().keep().unwrap().image
}

pub(super) fn save(images: &Images, names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    images.select(&names, &[]).unwrap().write_to(&mut out).unwrap();
    out
}

pub(super) fn load(images: &Images, bytes: &[u8]) -> Result<Vec<crate::Kept>> {
    images.load(&mut &*bytes, &[], &mut |_| {})?.images.into_iter().map(crate::Pending::keep).collect()
}

pub(super) fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut reader = Reader::new(tar, Limits::DEFAULT);
    let mut files = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        files.insert(entry.path.to_string_lossy().into_owned(), content);
    }
    files
}

pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, content) in files {
        writer.append_bytes(&Entry::file(name.as_str(), 0o644, 0), content).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn import_names_and_finds() {
    let place = Place::new("import");
    let images = place.open();
    let image = import(&images, "one", "app");
    assert_eq!(image.repo_tags(), ["app:latest"]);
    assert_eq!(image.config.comment, "Imported from -");
    assert_eq!((image.layers.len(), image.diff_ids().len()), (1, 1));
    images.tag(&image.id, &name("host:5000/a/b:c")).unwrap();
    let hex = image.id.hex();
    let short = hex.get(..12).unwrap();
    for text in
        ["app", "app:latest", "docker.io/library/app", "host:5000/a/b:c", image.id.as_str(), hex, short]
    {
        assert_eq!(images.find(text).unwrap().id, image.id, "{text}");
    }
    let by_digest = format!("app@{}", image.id);
    assert_eq!(images.find(&by_digest).unwrap().id, image.id);
    assert_eq!(images.find(image.config_digest.as_str()).unwrap().id, image.id);
    for (text, message) in [
        ("nosuch", "No such image: nosuch:latest"),
        ("app:2", "No such image: app:2"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
    ] {
        assert_eq!(images.find(text).unwrap_err().to_string(), message);
    }
    let mut content = Vec::new();
    images.open_layer(&image, 0).unwrap().read_to_end(&mut content).unwrap();
    assert!(content == layer("one"));
    assert_eq!(images.tag(&import(&images, "two", "").id, &name("app")).unwrap(), Some(image.id.clone()));
    assert_eq!(images.get(&image.id).unwrap().repo_tags(), ["host:5000/a/b:c"]);
    assert!(images.tag(&image.id, &name(&by_digest)).is_err());
    let before = images.list();
    drop(images);
    let after = place.open().list();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn what_is_no_tar_is_not_imported() {
    let place = Place::new("no-tar");
    let images = place.open();
    let bytes = b"this is not a tar archive, whatever its name says, and it is long enough to be looked at"
        .repeat(20);
    let config = import_config("-", "", images.platform());
    assert!(images.import(&mut &*bytes, config, None).is_err());
    assert!(images.list().is_empty() && images.content().list().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(place.path.join("ingest")).unwrap().count(), 0);
}

#[test]
fn save_and_load_give_the_same_bytes() {
    let (one, two) = (Place::new("save-1"), Place::new("save-2"));
    let images = one.open();
    let base = import(&images, "base", "base:1");
    images.tag(&base.id, &name("base:2")).unwrap();
    let mut writer = images.layer_writer().unwrap();
    writer.write_all(&layer("upper")).unwrap();
    let mut config = base.config.clone();
    config.history.push(History { created_by: "x".into(), ..History::default() });
    let upper = images.create(config, Some(&base), Some(writer.finish().unwrap()), Some(&name("upper")));
    let upper = upper.unwrap().keep().unwrap().image;
    assert_eq!((upper.layers.len(), upper.parent.as_ref()), (2, Some(&base.id)));
    let bytes = save(&images, &["base", "upper:latest"]);
    assert!(bytes == save(&images, &["base:1", "base:2", "upper"]));
    let other = two.open();
    let loaded = load(&other, &bytes).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(other.find("base:2").unwrap().id, base.id);
    assert_eq!(other.find("upper").unwrap().id, upper.id);
    assert!(save(&other, &["base", "upper"]) == bytes);
    let by_id = save(&other, &[base.id.as_str()]);
    assert!(!files(&by_id).contains_key("repositories"));
    // Loading again changes nothing.
    let again = load(&other, &bytes).unwrap();
    assert!(again.iter().all(|loaded| loaded.replaced.is_empty()));
    assert_eq!(other.list().len(), 2);
}

#[test]
fn archives_without_a_layout_get_the_same_image() {
    let (one, two, three) = (Place::new("old-1"), Place::new("old-2"), Place::new("old-3"));
    let images = one.open();
    let image = import(&images, "base", "base:1");
    let mut parts = files(&save(&images, &["base"]));
    parts.retain(|name, _| {
        name != "index.json" && name != "oci-layout" && name != "blobs" && name != "blobs/sha256"
    });
    let loaded = load(&two.open(), &pack(&parts)).unwrap();
    assert_eq!(loaded[0].image.id, image.id);
    assert_eq!(loaded[0].names, [name("base:1")]);
    // The oldest form: configuration beside, layers in directories, the whole compressed.
    let config = parts.remove(&format!("blobs/sha256/{}", image.config_digest.hex())).unwrap();
    let tar = parts.remove(&format!("blobs/sha256/{}", image.diff_ids()[0].hex())).unwrap();
    let old = BTreeMap::from([
        ("abc.json".to_owned(), config),
        ("abc/layer.tar".to_owned(), tar),
        (
            "manifest.json".to_owned(),
            br#"[{"Config":"abc.json","RepoTags":["old:x"],"Layers":["abc/layer.tar"]}]"#.to_vec(),
        ),
    ]);
    let images = three.open();
    let loaded = load(&images, &pack(&old)).unwrap();
    assert_eq!(loaded[0].image.config_digest, image.config_digest);
    assert_eq!(loaded[0].image.repo_tags(), ["old:x"]);
    assert_eq!(loaded[0].image.id, image.id);
}

/// An OCI layout with an index of two platforms, the layer compressed.
fn layout(images: &Images, lie: bool) -> BTreeMap<String, Vec<u8>> {
    let tar = layer("compressed");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut config = ImageConfig { platform: images.platform().clone(), ..ImageConfig::default() };
    config.rootfs.diff_ids.push(if lie { Digest::of(b"something else") } else { Digest::of(&tar) });
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": Descriptor::of(media::OCI_CONFIG, &config),
        "layers": [Descriptor::of(media::OCI_LAYER_GZIP, &gzip)],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let here = Descriptor {
        platform: Some(images.platform().clone()),
        ..Descriptor::of(media::OCI_MANIFEST, &manifest)
    };
    let elsewhere = Descriptor {
        platform: Some("linux/s390x".parse().unwrap()),
        ..Descriptor::of(media::OCI_MANIFEST, b"not in the archive")
    };
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [elsewhere, here],
    });
    let index = serde_json::to_vec(&index).unwrap();
    let mut top = Descriptor::of(media::OCI_INDEX, &index);
    top.annotations.insert("io.containerd.image.name".into(), "docker.io/library/multi:1".into());
    let top = serde_json::json!({ "schemaVersion": 2, "manifests": [top] });
    let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes.to_vec());
    BTreeMap::from([
        blob(&gzip),
        blob(&config),
        blob(&manifest),
        blob(&index),
        ("index.json".to_owned(), serde_json::to_vec(&top).unwrap()),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
    ])
}

#[test]
fn an_index_keeps_its_digest_and_its_compressed_layers() {
    let (one, two) = (Place::new("index-1"), Place::new("index-2"));
    let images = one.open();
    let parts = layout(&images, false);
    let loaded = load(&images, &pack(&parts)).unwrap();
    let image = &loaded[0].image;
    assert_eq!(
        (image.target.media_type.as_str(), image.repo_tags()),
        (media::OCI_INDEX, vec!["multi:1".to_owned()])
    );
    assert_ne!(image.id, image.manifest.digest);
    let mut content = Vec::new();
    images.open_layer(image, 0).unwrap().read_to_end(&mut content).unwrap();
    assert!(content == layer("compressed"));
    let saved = save(&images, &["multi:1"]);
    for (name, bytes) in parts.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert!(files(&saved).get(name) == Some(bytes), "{name}");
    }
    assert_eq!(load(&two.open(), &saved).unwrap()[0].image.id, image.id);
    drop(images);
    assert_eq!(one.open().find("multi:1").unwrap().layers.len(), 1);
}

#[test]
fn wrong_archives_are_refused_and_leave_nothing() {
    let place = Place::new("wrong");
    let images = place.open();
    let good = layout(&images, false);
    let change = |name: &str, bytes: Option<&[u8]>| {
        let mut parts = good.clone();
        let name =
            parts.keys().find(|known| known.starts_with(name)).cloned().unwrap_or_else(|| name.to_owned());
        parts.remove(&name);
        parts.extend(bytes.map(|bytes| (name, bytes.to_vec())));
        pack(&parts)
    };
    let both = br#"{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}"#;
    let both_index =
        serde_json::json!({ "schemaVersion": 2, "manifests": [Descriptor::of(media::OCI_INDEX, both)] });
    let mut confused = good.clone();
    confused.insert(format!("blobs/sha256/{}", Digest::of(both).hex()), both.to_vec());
    confused.insert("index.json".into(), serde_json::to_vec(&both_index).unwrap());
    let mut escape = BTreeMap::new();
    escape
        .insert("manifest.json".to_owned(), br#"[{"Config":"../../../etc/hostname","Layers":[]}]"#.to_vec());
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("noise", b"x\n".to_vec()),
        ("another tar", layer("no image")),
        ("broken index", change("index.json", Some(b"{"))),
        ("missing blobs", change("blobs/", None)),
        ("other bytes", change("blobs/", Some(b"other bytes"))),
        ("ambiguous document", pack(&confused)),
        ("cut", pack(&good).get(..1500).unwrap().to_vec()),
        ("path out", pack(&escape)),
    ] {
        let error = load(&images, &bytes).map(|_| what).unwrap_err();
        assert_ne!(error.kind(), model::ErrorKind::NotFound, "{what}: {error}");
        assert!(images.list().is_empty(), "{what}");
    }
    // A layer that is not what the configuration says is found out when it is unpacked.
    let loaded = load(&images, &pack(&layout(&images, true))).unwrap();
    let mut stream = images.open_layer(&loaded[0].image, 0).unwrap();
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
    drop(stream);
    images.remove("multi:1", false, false, &[]).unwrap();
    assert!(images.content().list().unwrap().is_empty());
}

fn uses(image: &Image, running: bool) -> Vec<Use> {
    vec![Use { container: "c".repeat(64), image: image.id.clone(), running }]
}

#[test]
fn removal_follows_docker() {
    let place = Place::new("remove");
    let images = place.open();
    let image = import(&images, "one", "app:1");
    let short = image.id.short().to_owned();
    images.tag(&image.id, &name("app:2")).unwrap();
    images.tag(&image.id, &name("other:1")).unwrap();
    let untagged = |text: &str| Removed::Untagged { name: text.to_owned(), image: image.id.clone() };
    assert_eq!(images.remove("app:2", false, true, &uses(&image, false)).unwrap(), [untagged("app:2")]);
    let check = |text: &str, force: bool, uses: &[Use], message: &str| {
        assert_eq!(images.remove(text, force, true, uses).unwrap_err().to_string(), message);
    };
    check(
        &short,
        false,
        &[],
        &format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        ),
    );
    images.remove("other:1", false, true, &[]).unwrap();
    check(
        "app:1",
        false,
        &uses(&image, false),
        &format!(
            "conflict: unable to remove repository reference \"app:1\" (must force) - container cccccccccccc is using its \
         referenced image {short}"
        ),
    );
    check(
        &short,
        false,
        &uses(&image, false),
        &format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container cccccccccccc"
        ),
    );
    check(
        &short,
        true,
        &uses(&image, true),
        &format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container cccccccccccc"
        ),
    );
    check("nosuch", true, &[], "No such image: nosuch:latest");
    let child = images.create(image.config.clone(), Some(&image), None, Some(&name("child"))).unwrap();
    let child = child.keep().unwrap().image;
    assert_eq!(images.children(&image.id), std::slice::from_ref(&child.id));
    check(
        &short,
        true,
        &[],
        &format!("conflict: unable to delete {short} (cannot be forced) - image has dependent child images"),
    );
    assert!(images.get(&image.id).is_some() && !images.content().list().unwrap().is_empty());
}

#[test]
fn removing_the_last_name_removes_everything() {
    let place = Place::new("last");
    let images = place.open();
    let image = import(&images, "one", "app:1");
    images.note_digest(&image.id, &name("app"), image.id.clone()).unwrap();
    assert_eq!(images.get(&image.id).unwrap().repo_digests(), [format!("app@{}", image.id)]);
    let child = images.create(
        ImageConfig { comment: "child".into(), ..image.config.clone() },
        Some(&image),
        None,
        Some(&name("child")),
    );
    let child = child.unwrap().keep().unwrap().image;
    // A digest that was never noted as a name takes no tag away.
    let digest = format!("child@{}", child.id);
    assert!(matches!(images.remove(&digest, false, true, &[]).unwrap()[..], [Removed::Untagged { .. }]));
    assert_eq!(images.get(&child.id).unwrap().repo_tags(), ["child:latest"]);
    let steps = images.remove("app:1", false, true, &[]);
    assert!(steps.is_err(), "it has a child");
    assert!(images.get(&image.id).unwrap().names.is_empty(), "the name is gone all the same, as with Docker");
    let steps = images.remove("child", false, true, &[]).unwrap();
    let untagged = Removed::Untagged { name: "child:latest".into(), image: child.id.clone() };
    assert_eq!(steps, [untagged, Removed::Deleted(child.id.clone()), Removed::Deleted(image.id.clone())]);
    assert!(images.list().is_empty() && images.content().list().unwrap().is_empty());
}

#[test]
fn prune_takes_what_is_chosen_and_unused() {
    let place = Place::new("prune");
    let images = place.open();
    let dangling = import(&images, "dangling", "");
    let used = import(&images, "used", "");
    let tagged = import(&images, "tagged", "tagged");
    let done = images.prune(&mut |image| image.is_dangling(), &uses(&used, false)).unwrap();
    assert_eq!(done, [Removed::Deleted(dangling.id.clone())]);
    let done = images.prune(&mut |_| true, &uses(&used, false)).unwrap();
    assert!(matches!(&done[..], [Removed::Untagged { .. }, Removed::Deleted(id)] if *id == tagged.id));
    assert_eq!(images.list().len(), 1);
    assert_eq!(images.content().list().unwrap().len(), 3);
}

#[test]
fn the_room_of_an_image_is_there_at_once_after_a_prune_and_soon_after_a_removal() {
    let place = Place::new("room");
    let folder = place.path.join("disk");
    std::fs::create_dir_all(&folder).unwrap();
    let disk =
        testkit::disk::Disk::mount(testkit::disk::Kind::Memory, &folder, &place.path.join("image"), 32);
    let images = Images::open(&disk.path().join("images"), place.store.clone()).unwrap();
    let free = || {
        let state = rustix::fs::statvfs(disk.path()).unwrap();
        state.f_bfree * state.f_frsize
    };
    let content = "0123456789abcdef".repeat(500_000);
    let before = free();
    import(&images, &content, "one");
    assert!(before - free() > 8_000_000);
    images.prune(&mut |_| true, &[]).unwrap();
    assert!(before - free() < 100_000, "prune tells how much room there is now");
    import(&images, &content, "two");
    images.remove("two", false, false, &[]).unwrap();
    assert_eq!(images.content().list().unwrap(), [], "no blob has a name any more");
    let start = std::time::Instant::now();
    while before - free() > 100_000 {
        assert!(start.elapsed().as_secs() < 20, "the removed blobs are still open");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn garbage_goes_at_open_and_never_under_a_lease() {
    let place = Place::new("garbage");
    let images = place.open();
    let kept = import(&images, "kept", "kept");
    let mut writer = images.layer_writer().unwrap();
    writer.write_all(&layer("new")).unwrap();
    let new = writer.finish().unwrap();
    import(&images, "gone", "gone");
    images.remove("gone", false, false, &[]).unwrap();
    let diff_id = new.diff_id.clone();
    assert!(images.content().size(&diff_id).is_some(), "a lease holds it");
    let image = images.create(kept.config.clone(), Some(&kept), Some(new), None).unwrap();
    assert_eq!(image.image().layers.len(), 2);
    image.keep().unwrap();
    images.content().put(b"nobody's").unwrap();
    std::fs::write(place.path.join("ingest/half"), "half").unwrap();
    drop(images);
    let images = place.open();
    assert_eq!(images.list().len(), 2);
    assert_eq!(images.content().list().unwrap().len(), 2 + 4);
    assert!(!place.path.join("ingest/half").exists());
}

#[test]
fn what_is_not_kept_is_gone() {
    let (place, other) = (Place::new("pending"), Place::new("pending-source"));
    let (images, source) = (place.open(), other.open());
    import(&source, "one", "app");
    let bytes = save(&source, &["app"]);
    let pending = images.load(&mut &*bytes, &[], &mut |_| {}).unwrap().images;
    assert_eq!(pending[0].image().diff_ids().len(), 1);
    assert!(images.list().is_empty() && !images.content().list().unwrap().is_empty());
    drop(pending);
    assert!(images.content().list().unwrap().is_empty());
    let kept = load(&images, &bytes).unwrap();
    assert_eq!(kept[0].image.repo_tags(), ["app:latest"]);
}

#[test]
fn a_damaged_image_hurts_nobody_else_and_is_kept() {
    let place = Place::new("damaged");
    let images = place.open();
    let bad = import(&images, "bad", "bad");
    import(&images, "good", "good");
    std::fs::write(images.content().path(&bad.config_digest), "{}").unwrap();
    drop(images);
    let images = place.open();
    assert_eq!(images.list().len(), 1);
    assert_eq!(images.damaged()[0].0, bad.id);
    assert!(images.content().size(&bad.diff_ids()[0]).is_some());
    assert!(images.find("good").is_ok() && images.find("bad").is_err());
}

/// Archives of the reference engine, when it runs beside us: load, unpack, save, and let it load ours.
#[test]
fn the_reference_engine_understands_us_and_we_it() {
    let socket = "unix:///var/tmp/docker-reference/run/reference.sock";
    let docker = |arguments: &[&str]| {
        std::process::Command::new("docker").args(["-H", socket]).args(arguments).output()
    };
    let Ok(saved) = docker(&["save", "busybox:latest"]) else { return };
    if !saved.status.success() {
        return;
    }
    let place = Place::new("reference");
    let images = place.open();
    let loaded = load(&images, &saved.stdout).unwrap();
    let image = &loaded[0].image;
    assert_eq!(loaded[0].names, [name("busybox:latest")]);
    let theirs = files(&saved.stdout);
    let ours = files(&save(&images, &["busybox:latest"]));
    for document in ["manifest.json", "index.json", "repositories"] {
        let json = |files: &BTreeMap<String, Vec<u8>>| {
            serde_json::from_slice::<serde_json::Value>(&files[document]).unwrap()
        };
        assert_eq!(json(&ours), json(&theirs), "{document}");
    }
    for name in ours.keys().filter(|name| name.starts_with("blobs/")) {
        assert!(ours.get(name) == theirs.get(name), "{name}");
    }
    let tag = format!("wharf-test-{}:1", std::process::id());
    images.tag(&image.id, &name(&tag)).unwrap();
    let path = place.path.join("ours.tar");
    std::fs::write(&path, save(&images, &[&tag])).unwrap();
    let out = docker(&["load", "-i", path.to_str().unwrap()]).unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    docker(&["rmi", &tag]).unwrap();
    assert_eq!(text.trim(), format!("Loaded image: {tag}"), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_check_finds_what_is_wrong_and_mends_what_it_can() {
    let place = Place::new("check");
    let images = place.open();
    let (one, two) = (import(&images, "one", "one:1"), import(&images, "two", "two:1"));
    let report = images.check(false).unwrap();
    assert_eq!((report.images, report.blobs, report.problems.len()), (2, 6, 0));
    assert!(report.bytes > 2048);
    // A changed layer, an orphan, a name without an image.
    let layer = &one.layers[0].blob.digest;
    let path = images.content().path(layer);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let orphan = Digest::of(b"orphan");
    std::fs::write(images.content().path(&orphan), b"orphan").unwrap();
    let mut transaction = place.store.transaction();
    transaction.put(&NAMES, "docker.io/library/lost:1", &Digest::of(b"gone")).unwrap();
    transaction.commit_durable().unwrap();
    drop(images);
    let images = place.open();
    std::fs::write(images.content().path(&orphan), b"orphan").unwrap();
    for repair in [false, true] {
        let report = images.check(repair).unwrap();
        let found: Vec<_> =
            report.problems.iter().map(|problem| (problem.images.clone(), problem.repaired)).collect();
        assert_eq!(
            found,
            [(vec!["one:1".to_owned()], false), (vec!["lost:1".to_owned()], repair), (vec![], repair)],
            "{report:?}"
        );
        assert!(matches!(&report.problems[0].fault, crate::Fault::Bad { blob, .. } if blob == layer));
        assert!(matches!(&report.problems[1].fault, crate::Fault::Dangling { .. }));
        assert!(matches!(&report.problems[2].fault, crate::Fault::Orphan { blob } if *blob == orphan));
    }
    // What is lost is told until the image is had again; the rest is in order.
    let report = images.check(true).unwrap();
    assert!(matches!(&report.problems[..], [problem] if problem.images == ["one:1"]), "{report:?}");
    assert!(
        images.content().size(layer).is_none() && images.content().size(&two.layers[0].blob.digest).is_some()
    );
    import(&images, "one", "one:1");
    assert_eq!(images.check(false).unwrap().problems, []);
}

#[test]
fn a_check_removes_records_that_cannot_be_read() {
    let place = Place::new("check-record");
    let images = place.open();
    let image = import(&images, "one", "one:1");
    let kept = import(&images, "two", "two:1");
    std::fs::write(images.content().path(&image.manifest.digest), b"{}").unwrap();
    drop(images);
    let images = place.open();
    let report = images.check(true).unwrap();
    let unreadable =
        report.problems.iter().find(|problem| matches!(problem.fault, crate::Fault::Unreadable { .. }));
    assert_eq!(unreadable.unwrap().images, ["one:1"]);
    assert!(images.damaged().is_empty() && images.find("one:1").is_err());
    assert_eq!(images.find("two:1").unwrap().id, kept.id);
    drop(images);
    let images = place.open();
    assert_eq!(images.content().list().unwrap().len(), 3);
    assert_eq!(images.check(false).unwrap().problems, []);
}

#[test]
fn what_waited_longest_is_told_first() {
    let place = Place::new("last-use");
    let images = place.open();
    let (one, two) = (import(&images, "one", ""), import(&images, "two", ""));
    images.note_use(&one.id).unwrap();
    let order = |images: &Images, uses: &[Use]| {
        images.unused(uses).iter().map(|image| image.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(&images, &[]), [two.id.clone(), one.id.clone()]);
    assert_eq!(order(&images, &uses(&two, false)), std::slice::from_ref(&one.id));
    let used = images.get(&one.id).unwrap().last_used.unwrap();
    // Within the hour it is not written again.
    images.note_use(&one.id).unwrap();
    assert_eq!(images.get(&one.id).unwrap().last_used, Some(used));
    // Giving it a name, and having it again, keeps what is known.
    images.tag(&one.id, &name("app")).unwrap();
    import(&images, "one", "other");
    drop(images);
    assert_eq!(place.open().get(&one.id).unwrap().last_used, Some(used));
}

#[test]
fn a_document_leaves_with_all_it_leads_to() {
    let place = Place::new("layout");
    let images = place.open();
    let image = import(&images, "content", "");
    let layout = images.layout(image.target.clone(), vec![name("a:1"), name("b.test/c:2")]);
    let parts = layout.parts().unwrap();
    let digests: Vec<&Digest> = parts.iter().map(|part| &part.digest).collect();
    assert_eq!(digests, [&image.config_digest, &image.layers[0].blob.digest, &image.id]);
    let (mut plain, mut docker) = (Vec::new(), Vec::new());
    layout.write_to(false, &mut plain).unwrap();
    layout.write_to(true, &mut docker).unwrap();
    let other = Place::new("layout-loaded");
    for (archive, has_manifest) in [(&plain, false), (&docker, true)] {
        let mut reader = Reader::new(archive.as_slice(), Limits::DEFAULT);
        let mut found = false;
        while let Some(entry) = reader.next_entry().unwrap() {
            found |= entry.path.to_str() == Some("manifest.json");
        }
        assert_eq!(found, has_manifest);
        let loaded = load(&other.open(), archive).unwrap();
        assert_eq!(loaded.last().unwrap().image.id, image.id);
        assert_eq!(loaded.last().unwrap().image.repo_tags(), ["b.test/c:2", "a:1"]);
    }
    // An index is no archive of Docker's, and what is not here does not leave.
    let one = serde_json::to_string(&image.target).unwrap();
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{one}]}}"#);
    images.content().put(index.as_bytes()).unwrap();
    let index = Descriptor::of(media::OCI_INDEX, index.as_bytes());
    let layout = images.layout(index.clone(), Vec::new());
    assert_eq!(layout.parts().unwrap().last().unwrap().digest, index.digest);
    assert!(layout.write_to(true, &mut Vec::new()).is_err());
    images.content().remove(&image.layers[0].blob.digest).unwrap();
    assert!(layout.parts().is_err());
}
