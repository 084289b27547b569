//! Manifests: end-3, end-7a, end-7b, end-9.

use oci::digest::Digest;
use oci::image::media;
use serde_json::json;

use crate::Client;
use crate::client::{assert_error, header, manifest_of};

pub(super) fn exact_bytes_come_back(client: &Client) {
    client.push_blob(b"{}");
    client.push_blob(b"layer");
    // Spaces, order and a last line end are part of the bytes.
    let text = format!(
        "  {}\n\n",
        serde_json::to_string_pretty(&manifest_of(b"{}", &[b"layer"])).unwrap_or_default()
    );
    let digest = Digest::of(text.as_bytes());
    let put = client.put_manifest("exact", media::OCI_MANIFEST, text.as_bytes());
    assert_eq!(
        (put.status, header(&put, "docker-content-digest")),
        (201, digest.to_string()),
        "{}",
        put.text()
    );
    header(&put, "location");
    for reference in ["exact", digest.as_str()] {
        let target = client.path(&format!("manifests/{reference}"));
        let got = client.send("GET", &target, &[("Accept", media::OCI_MANIFEST)], b"");
        assert_eq!((got.status, got.text()), (200, text.clone()));
        assert_eq!(header(&got, "content-type"), media::OCI_MANIFEST);
        assert_eq!(header(&got, "docker-content-digest"), digest.to_string());
        let head = client.send("HEAD", &target, &[("Accept", media::OCI_MANIFEST)], b"");
        assert_eq!((head.status, header(&head, "content-length")), (200, text.len().to_string()));
        assert!(head.body.is_empty());
    }
}

pub(super) fn a_tag_moves(client: &Client) {
    let (first, _) = client.push_image("moving", "one");
    let (second, _) = client.push_image("moving", "two");
    let target = client.path("manifests/moving");
    assert_eq!(header(&client.get(&target), "docker-content-digest"), second.to_string());
    assert_eq!(client.get(&client.path(&format!("manifests/{first}"))).status, 200);
}

pub(super) fn by_digest_with_tags(client: &Client) {
    let (digest, bytes) = client.push_image("first", "tagged");
    let put = client.put_manifest(&format!("{digest}?tag=a&tag=b"), media::OCI_MANIFEST, &bytes);
    assert_eq!(put.status, 201, "{}", put.text());
    let named: Vec<&str> =
        put.headers.iter().filter(|(name, _)| name == "oci-tag").map(|(_, value)| value.as_str()).collect();
    assert_eq!(named, ["a", "b"]);
    for tag in ["a", "b"] {
        let got = client.get(&client.path(&format!("manifests/{tag}")));
        assert_eq!(header(&got, "docker-content-digest"), digest.to_string());
    }
}

pub(super) fn unknown_manifests_have_their_codes(client: &Client) {
    client.push_image("known", "x");
    assert_error(&client.get(&client.path("manifests/unknown")), &[404], "MANIFEST_UNKNOWN");
    let digest = Digest::of(b"unknown");
    assert_error(&client.get(&client.path(&format!("manifests/{digest}"))), &[404], "MANIFEST_UNKNOWN");
    let removed = client.send("DELETE", &client.path(&format!("manifests/{digest}")), &[], b"");
    assert_error(&removed, &[404], "MANIFEST_UNKNOWN");
}

pub(super) fn malformed_manifests_are_refused(client: &Client) {
    client.push_blob(b"{}");
    let good = manifest_of(b"{}", &[]);
    let mut both = good.clone();
    both["manifests"] = json!([]);
    let mut other = good.clone();
    other["mediaType"] = json!(media::DOCKER_MANIFEST);
    for bytes in [
        b"".to_vec(),
        b"nonsense".to_vec(),
        b"[]".to_vec(),
        both.to_string().into(),
        other.to_string().into(),
    ] {
        let put = client.put_manifest("bad", media::OCI_MANIFEST, &bytes);
        assert_error(&put, &[400], "MANIFEST_INVALID");
    }
}

pub(super) fn manifests_name_what_is_there(client: &Client) {
    let manifest = manifest_of(b"config that was never pushed", &[]).to_string();
    let put = client.put_manifest("missing", media::OCI_MANIFEST, manifest.as_bytes());
    assert_error(&put, &[400, 404], "MANIFEST_BLOB_UNKNOWN");
    let child = oci::image::Descriptor::of(media::OCI_MANIFEST, b"never pushed");
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [child]}).to_string();
    let put = client.put_manifest("missing", media::OCI_INDEX, index.as_bytes());
    assert_error(&put, &[400, 404], "MANIFEST_BLOB_UNKNOWN");
    let (digest, bytes) = client.push_image("child", "child");
    let child = oci::image::Descriptor::new(media::OCI_MANIFEST, digest, bytes.len() as u64);
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [child]}).to_string();
    assert_eq!(client.put_manifest("index", media::OCI_INDEX, index.as_bytes()).status, 201);
}

pub(super) fn wrong_sizes_are_refused(client: &Client) {
    client.push_blob(b"{}");
    let mut manifest = manifest_of(b"{}", &[]);
    manifest["config"]["size"] = json!(3);
    let put = client.put_manifest("size", media::OCI_MANIFEST, manifest.to_string().as_bytes());
    assert_error(&put, &[400], "SIZE_INVALID");
}

pub(super) fn large_manifests_have_a_limit(client: &Client) {
    client.push_blob(b"{}");
    let padded = |size: usize| {
        let text = manifest_of(b"{}", &[]).to_string();
        format!("{text}{}", " ".repeat(size - text.len()))
    };
    let largest = client.put_manifest("large", media::OCI_MANIFEST, padded(4 << 20).as_bytes());
    assert_eq!(largest.status, 201, "{}", largest.text());
    let put = client.put_manifest("larger", media::OCI_MANIFEST, padded((4 << 20) + 1).as_bytes());
    assert_eq!(put.status, 413, "{}", put.text());
}

pub(super) fn a_tag_can_be_removed(client: &Client) {
    let (digest, _) = client.push_image("gone", "x");
    let target = client.path("manifests/gone");
    let removed = client.send("DELETE", &target, &[], b"");
    assert_eq!(removed.status, 202, "{}", removed.text());
    assert_error(&client.get(&target), &[404], "MANIFEST_UNKNOWN");
    assert_eq!(client.get(&client.path(&format!("manifests/{digest}"))).status, 200, "the manifest stays");
}

pub(super) fn a_manifest_is_removed_with_its_tags(client: &Client) {
    let (digest, _) = client.push_image("one", "x");
    client.push_image("two", "x");
    client.push_image("other", "y");
    let removed = client.send("DELETE", &client.path(&format!("manifests/{digest}")), &[], b"");
    assert_eq!(removed.status, 202, "{}", removed.text());
    for (reference, status) in [("one", 404), ("two", 404), (digest.as_str(), 404), ("other", 200)] {
        assert_eq!(client.get(&client.path(&format!("manifests/{reference}"))).status, status, "{reference}");
    }
}

pub(super) fn a_digest_has_to_fit(client: &Client) {
    let (_, bytes) = client.push_image("x", "x");
    let other = Digest::of(b"other");
    let put = client.put_manifest(other.as_str(), media::OCI_MANIFEST, &bytes);
    assert_error(&put, &[400], "DIGEST_INVALID");
    assert_error(&client.put_manifest("sha256:abc", media::OCI_MANIFEST, &bytes), &[400], "DIGEST_INVALID");
}

pub(super) fn names_have_a_grammar(client: &Client) {
    for name in ["Upper", "a//b", "-a", "a..b", "a/../b"] {
        let other = client.in_repository(name);
        let answer = other.send("POST", &other.path("blobs/uploads/"), &[], b"");
        assert_error(&answer, &[400, 404], "NAME_INVALID");
    }
    let (_, bytes) = client.push_image("good", "x");
    for tag in [".hidden", "-dash", &"a".repeat(129)] {
        assert!(client.put_manifest(tag, media::OCI_MANIFEST, &bytes).status >= 400, "{tag}");
    }
    assert_eq!(client.put_manifest(&"a".repeat(128), media::OCI_MANIFEST, &bytes).status, 201);
}

pub(super) fn a_known_manifest_is_not_sent_again(client: &Client) {
    let (digest, _) = client.push_image("known", "x");
    let target = client.path("manifests/known");
    let etag = format!("\"{digest}\"");
    assert_eq!(client.send("GET", &target, &[("If-None-Match", &etag)], b"").status, 304);
    assert_eq!(client.send("GET", &target, &[("If-None-Match", "\"other\"")], b"").status, 200);
}
