//! Everything from outside that is parsed, each as a function of bytes that must never panic.
//!
//! `fuzz/` drives them with libFuzzer (`cargo fuzz run api_body`); the tests below drive them with a short run of
//! damaged good inputs, in every run of the test command. It owns no parser: it only names them.

#![forbid(unsafe_code)]

mod build_protocol;
mod dockerfile;
mod ssh;
mod upload;

use std::io::Read as _;

pub use build_protocol::{build_connection, build_context_packets, build_message};
pub use dockerfile::{dockerfile, ignore_file};
pub use ssh::{ssh_agent_connection, ssh_key_file};
pub use upload::registry_upload;

/// Bodies of API requests.
pub fn api_body(data: &[u8]) {
    let _ = api::lenient::decode::<api::container::CreateRequest>(data);
    let _ = api::lenient::decode::<api::container::UpdateRequest>(data);
    let _ = api::lenient::decode::<api::exec::CreateRequest>(data);
    let _ = api::lenient::decode::<api::volume::CreateRequest>(data);
    let _ = api::lenient::decode::<api::network::CreateRequest>(data);
}

/// Names of images.
pub fn reference(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(parsed) = text.parse::<oci::reference::Reference>()
    {
        let canonical = parsed.canonical();
        let again = canonical.parse::<oci::reference::Reference>();
        assert_eq!(
            again.map(|again| again.canonical()).ok(),
            Some(canonical),
            "a canonical name parses to itself"
        );
    }
}

/// Ports as requests name them.
pub fn port(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = engine::container::port_spec::parse_key(text);
        let _ = engine::container::port_spec::parse_host_range(text);
    }
}

/// Archives, read to their end.
pub fn tar(data: &[u8]) {
    let limits = archive::Limits { total_size: 1 << 24, entries: 10_000, ..archive::Limits::DEFAULT };
    let mut reader = archive::Reader::new(data, limits);
    let mut content = Vec::new();
    while let Ok(Some(_)) = reader.next_entry() {
        content.clear();
        if reader.by_ref().take(1 << 20).read_to_end(&mut content).is_err() {
            break;
        }
    }
}

/// Layers as indexes: any tar makes a tree that can be written and read back, or an error.
pub fn erofs_writer(data: &[u8]) {
    let limits = archive::Limits { total_size: 1 << 24, entries: 10_000, ..archive::Limits::DEFAULT };
    let Some(mut source) = in_memory(data).and_then(|file| erofs::FileSource::new(file).ok()) else { return };
    if let Ok(tree) = erofs::index(&mut source, limits)
        && let Ok(image) = erofs::write(&tree)
    {
        let again = erofs::read(&image).expect("an image is read as it was written");
        assert!(erofs::write(&again).as_ref() == Ok(&image), "the same tree gives the same bytes");
        let merged = erofs::merge(vec![tree, again]).expect("two small trees fit");
        let _ = erofs::write(&merged);
    }
    // As an image it is refused or read, never believed.
    let _ = erofs::read(data);
}

/// A file in memory.
fn in_memory(data: &[u8]) -> Option<std::fs::File> {
    use std::io::Write as _;
    let memory = rustix::fs::memfd_create("tar", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    let mut file = std::fs::File::from(memory);
    file.write_all(data).ok()?;
    Some(file)
}

/// Configurations, manifests and indexes of images.
pub fn image_config(data: &[u8]) {
    let _ = serde_json::from_slice::<oci::image::ImageConfig>(data);
    let _ = serde_json::from_slice::<oci::image::Manifest>(data);
    let _ = serde_json::from_slice::<oci::image::Index>(data);
}

/// Challenges of registries, and the addresses they name.
pub fn challenge(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        for challenge in registry_client::challenge::parse([text]) {
            if let registry_client::challenge::Challenge::Bearer { realm, .. } = challenge
                && let Some(url) = registry_client::url::Url::parse(&realm)
            {
                assert!(!url.to_string().contains(['\r', '\n']), "an address cannot end a request line");
                let _ = url.join(text);
            }
        }
    }
}

/// Manifests and indexes as registries send them.
pub fn registry_document(data: &[u8]) {
    use distribution::document::{Document, check_image, read};
    for said in ["", oci::image::media::OCI_MANIFEST, oci::image::media::DOCKER_INDEX] {
        if let Ok(Document::Manifest(manifest)) = read(data, said) {
            let _ = check_image(&manifest);
        }
    }
}

/// What clients send to the registry: a path, a query, ranges, a manifest; one line each, the manifest last.
pub fn registry_request(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (path, query, range) = (text(), text(), text());
    if let Ok(Some(route)) = registry::server::route::Route::parse(path)
        && let Some(name) = route.repository()
    {
        assert!(!name.as_str().split('/').any(|part| part.is_empty() || part == ".."), "{name}");
    }
    for name in ["n", "last", "digest", "mount"] {
        let _ = registry::server::route::parameters(query, name).count();
    }
    if let registry::server::Wanted::Part(part) = registry::server::wanted(Some(range), 1000) {
        assert!(part.start < part.end && part.end <= 1000, "{part:?}");
    }
    let _ = registry::server::chunk(range);
    let _ = registry::registry::Document::parse(lines.next().unwrap_or_default(), None);
}

#[cfg(test)]
mod tests {
    use testkit::chance::Dice;

    /// Damages a good input in one to four places, many times over.
    pub(crate) fn damage(seeds: &[&[u8]], target: fn(&[u8])) {
        damage_so_often(2_000, seeds, target);
    }

    pub(crate) fn damage_so_often(times: u32, seeds: &[&[u8]], target: fn(&[u8])) {
        let mut dice = Dice(0x5eed_5eed_5eed_5eed);
        let mut roll = |sides: usize| dice.roll(sides.max(1) as u64) as usize;
        for seed in seeds {
            target(seed);
            for _ in 0..times {
                let mut data = seed.to_vec();
                for _ in 0..=roll(4) {
                    let at = roll(data.len());
                    match roll(4) {
                        0 if !data.is_empty() => data[at] = roll(256) as u8,
                        1 => data.insert(at.min(data.len()), roll(256) as u8),
                        2 if !data.is_empty() => drop(data.remove(at)),
                        _ => data.truncate(at),
                    }
                }
                target(&data);
            }
        }
    }

    #[test]
    fn api_bodies() {
        damage(&[
            br#"{"Image":"busybox","Cmd":["a"],"Env":null,"HostConfig":{"Memory":1,"Binds":["/a:/b"],"PortBindings":{"80/tcp":[{"HostPort":"1"}]}},"NetworkingConfig":{"EndpointsConfig":{}}}"#,
            br#"{"Name":"v","Driver":"local","DriverOpts":{"a":"b"},"Labels":{}}"#,
            b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        ], super::api_body);
    }

    #[test]
    fn references() {
        damage(&[b"busybox", b"host.example:5000/a/b_c:v1.2@sha256:1111111111111111111111111111111111111111111111111111111111111111", b"[::1]:5000/x"], super::reference);
    }

    #[test]
    fn ports() {
        damage(&[b"80/tcp", b"8000-8010/udp", b"65535/sctp", b"1-2"], super::port);
    }

    #[test]
    fn archives() {
        let mut writer = archive::Writer::new(Vec::new());
        let long = "long/".repeat(60);
        for name in ["a", "dir/b", long.as_str()] {
            let entry = archive::Entry::file(name, 0o644, 5);
            writer.append_bytes(&entry, b"hello").expect("write an entry");
        }
        let tar = writer.finish().expect("end the archive");
        damage(&[&tar], super::tar);
        damage(&[&tar], super::erofs_writer);
    }

    #[test]
    fn challenges() {
        damage(&[
            br#"Bearer realm="https://auth.example:5000/token?a=b",service="registry",scope="repository:a/b:pull,push""#,
            br#"Negotiate abc==, Basic realm="x\"y", Bearer realm=http://[::1]/"#,
        ], super::challenge);
    }

    #[test]
    fn registry_documents() {
        damage(&[
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":1},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":5}]}"#,
            br#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":5,"platform":{"os":"linux","architecture":"amd64"},"annotations":{"vnd.docker.reference.type":"x"}}]}"#,
        ], super::registry_document);
    }

    #[test]
    fn image_configs() {
        damage(&[
            br#"{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]},"history":[{"created":"2026-01-01T00:00:00Z"}]}"#,
            br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":1},"layers":[]}"#,
        ], super::image_config);
    }

    #[test]
    fn registry_uploads() {
        // Begin, add a little, ask, add too far, finish; begin, add much, break off, restart, go on, finish; give up.
        damage(
            &[&[
                0, 1, 40, 5, 0, 4, 9, 2, 0, 0, 9, 200, 3, 77, 8, 0, 1, 30, 2, 0, 0, 1, 5, 7, 0, 6, 0, 0, 1,
                250, 1, 250, 8, 1, 3, 99,
            ]],
            super::registry_upload,
        );
    }

    #[test]
    fn registry_requests() {
        damage(&[
            b"/v2/a/b/manifests/latest\nn=5&last=a%2Fb\nbytes=3-7\n{\"schemaVersion\":2,\"manifests\":[]}",
            b"/v2/a/blobs/sha256:1111111111111111111111111111111111111111111111111111111111111111\nx\n0-99\n",
            b"/v2/a/blobs/uploads/x%2f..\ndigest=sha256:1&mount=&from=\nbytes=-5\n[",
        ], super::registry_request);
    }
}
