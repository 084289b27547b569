//! Blobs: end-1, end-2, end-10, end-11.

use oci::digest::{Algorithm, Digest, Digester};

use crate::Client;
use crate::client::{assert_error, header, with_query};

pub(super) fn a_blob_comes_back_whole(client: &Client) {
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let digest = client.push_blob(&bytes);
    let target = client.path(&format!("blobs/{digest}"));
    let got = client.get(&target);
    assert_eq!((got.status, header(&got, "docker-content-digest")), (200, digest.to_string()));
    assert_eq!(got.body, bytes);
    let head = client.send("HEAD", &target, &[], b"");
    assert_eq!((head.status, header(&head, "content-length")), (200, bytes.len().to_string()));
    assert!(head.body.is_empty());
}

pub(super) fn ranges_are_answered(client: &Client) {
    let digest = client.push_blob(b"0123456789");
    let target = client.path(&format!("blobs/{digest}"));
    for (range, body, said) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let got = client.send("GET", &target, &[("Range", range)], b"");
        assert_eq!((got.status, got.text().as_str()), (206, body), "{range}");
        assert_eq!(header(&got, "content-range"), said, "{range}");
    }
    let outside = client.send("GET", &target, &[("Range", "bytes=10-")], b"");
    assert_eq!(outside.status, 416);
}

pub(super) fn unknown_blobs_have_their_code(client: &Client) {
    client.push_blob(b"something");
    let unknown = client.path(&format!("blobs/{}", Digest::of(b"never pushed")));
    assert_error(&client.get(&unknown), &[404], "BLOB_UNKNOWN");
    assert_eq!(client.send("HEAD", &unknown, &[], b"").status, 404);
    assert_error(&client.send("DELETE", &unknown, &[], b""), &[404], "BLOB_UNKNOWN");
}

pub(super) fn a_blob_can_be_removed(client: &Client) {
    let digest = client.push_blob(b"to be removed");
    let target = client.path(&format!("blobs/{digest}"));
    assert_eq!(client.send("DELETE", &target, &[], b"").status, 202);
    assert_error(&client.get(&target), &[404], "BLOB_UNKNOWN");
}

pub(super) fn a_blob_is_mounted_from_another_repository(client: &Client) {
    let digest = client.push_blob(b"shared");
    let other = client.in_repository(&format!("{}/other", client.name));
    let target = other.path(&format!("blobs/uploads/?mount={digest}&from={}", client.name));
    let mounted = client.send("POST", &target, &[], b"");
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    header(&mounted, "location");
    assert_eq!(other.get(&other.path(&format!("blobs/{digest}"))).text(), "shared");
}

pub(super) fn a_mount_of_nothing_becomes_an_upload(client: &Client) {
    let digest = Digest::of(b"nowhere");
    let target = client.path(&format!("blobs/uploads/?mount={digest}&from=conformance/none"));
    let answer = client.send("POST", &target, &[], b"");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = with_query(&header(&answer, "location"), &format!("digest={digest}"));
    assert_eq!(client.send("PUT", &place, &[], b"nowhere").status, 201);
}

pub(super) fn a_blob_may_have_a_sha512_digest(client: &Client) {
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(b"long");
    let digest = digester.finish();
    let place = with_query(&client.begin(), &format!("digest={digest}"));
    let answer = client.send("PUT", &place, &[], b"long");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let got = client.get(&client.path(&format!("blobs/{digest}")));
    assert_eq!((got.status, got.text().as_str()), (200, "long"));
}

pub(super) fn blobs_belong_to_their_repository(client: &Client) {
    let digest = client.push_blob(b"private");
    let other = client.in_repository(&format!("{}/elsewhere", client.name));
    other.push_blob(b"something else");
    assert_error(&other.get(&other.path(&format!("blobs/{digest}"))), &[404], "BLOB_UNKNOWN");
}
