//! Uploads: end-4a, end-4b, end-4c, end-5, end-6, end-13, end-14.

use oci::digest::{Algorithm, Digest, Digester};

use crate::Client;
use crate::client::{assert_error, header, with_query};

#[track_caller]
fn assert_blob(client: &Client, digest: &Digest, bytes: &[u8]) {
    let got = client.get(&client.path(&format!("blobs/{digest}")));
    assert_eq!((got.status, got.body.as_slice()), (200, bytes));
}

pub(super) fn whole_in_one_request(client: &Client) {
    let digest = Digest::of(b"monolithic");
    let target = client.path(&format!("blobs/uploads/?digest={digest}"));
    let answer = client.send("POST", &target, &[("Content-Type", "application/octet-stream")], b"monolithic");
    assert!(matches!(answer.status, 201 | 202), "{} {}", answer.status, answer.text());
    let place = header(&answer, "location");
    if answer.status == 202 {
        // Allowed: the registry wants the two requests.
        let place = with_query(&place, &format!("digest={digest}"));
        assert_eq!(client.send("PUT", &place, &[], b"monolithic").status, 201);
    }
    assert_blob(client, &digest, b"monolithic");
}

pub(super) fn in_chunks_that_follow_each_other(client: &Client) {
    let place = client.begin();
    let first = client.send("PATCH", &place, &[("Content-Range", "0-4")], b"01234");
    assert_eq!((first.status, header(&first, "range")), (202, "0-4".to_owned()), "{}", first.text());
    header(&first, "docker-upload-uuid");
    let second = client.send("PATCH", &header(&first, "location"), &[("Content-Range", "5-7")], b"567");
    assert_eq!((second.status, header(&second, "range")), (202, "0-7".to_owned()), "{}", second.text());
    let digest = Digest::of(b"0123456789");
    let place = with_query(&header(&second, "location"), &format!("digest={digest}"));
    let last = client.send("PUT", &place, &[("Content-Range", "8-9")], b"89");
    assert_eq!(last.status, 201, "{}", last.text());
    assert_eq!(header(&last, "docker-content-digest"), digest.to_string());
    header(&last, "location");
    assert_blob(client, &digest, b"0123456789");
}

pub(super) fn as_one_stream(client: &Client) {
    let place = client.begin();
    let chunked = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let sent = client.send("PATCH", &place, &[("Transfer-Encoding", "chunked")], chunked);
    assert_eq!((sent.status, header(&sent, "range")), (202, "0-10".to_owned()), "{}", sent.text());
    let digest = Digest::of(b"hello world");
    let place = with_query(&header(&sent, "location"), &format!("digest={digest}"));
    assert_eq!(client.send("PUT", &place, &[], b"").status, 201);
    assert_blob(client, &digest, b"hello world");
}

pub(super) fn chunks_out_of_order_are_refused(client: &Client) {
    let place = client.begin();
    let skipped = client.send("PATCH", &place, &[("Content-Range", "5-7")], b"567");
    assert_eq!(skipped.status, 416, "{}", skipped.text());
    let first = client.send("PATCH", &place, &[("Content-Range", "0-4")], b"01234");
    assert_eq!(first.status, 202, "{}", first.text());
    let again = client.send("PATCH", &header(&first, "location"), &[("Content-Range", "0-4")], b"01234");
    assert_eq!(again.status, 416, "{}", again.text());
    let digest = Digest::of(b"01234");
    let place = with_query(&header(&first, "location"), &format!("digest={digest}"));
    assert_eq!(client.send("PUT", &place, &[], b"").status, 201, "the upload goes on after a refusal");
}

pub(super) fn an_upload_tells_how_far_it_is(client: &Client) {
    let place = client.begin();
    let sent = client.send("PATCH", &place, &[], b"abc");
    let asked = client.get(&header(&sent, "location"));
    assert_eq!((asked.status, header(&asked, "range")), (204, "0-2".to_owned()), "{}", asked.text());
    header(&asked, "location");
    header(&asked, "docker-upload-uuid");
}

pub(super) fn an_upload_can_be_given_up(client: &Client) {
    let place = client.begin();
    assert_eq!(client.send("DELETE", &place, &[], b"").status, 204);
    assert_error(&client.get(&place), &[404], "BLOB_UPLOAD_UNKNOWN");
}

pub(super) fn an_algorithm_can_be_announced(client: &Client) {
    let target = client.path("blobs/uploads/?digest-algorithm=sha512");
    let begun = client.send("POST", &target, &[], b"");
    assert_eq!(begun.status, 202, "{}", begun.text());
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(b"announced");
    let digest = digester.finish();
    let place = with_query(&header(&begun, "location"), &format!("digest={digest}"));
    assert_eq!(client.send("PUT", &place, &[], b"announced").status, 201);
    let target = client.path("blobs/uploads/?digest-algorithm=crc32");
    assert_error(&client.send("POST", &target, &[], b""), &[400], "DIGEST_INVALID");
}

pub(super) fn unknown_uploads_have_their_code(client: &Client) {
    client.push_blob(b"exists");
    for id in ["00000000-0000-4000-8000-000000000000", "nonsense"] {
        let place = client.path(&format!("blobs/uploads/{id}"));
        let digest = Digest::of(b"x");
        assert_error(&client.get(&place), &[404], "BLOB_UPLOAD_UNKNOWN");
        assert_error(&client.send("PATCH", &place, &[], b"x"), &[404], "BLOB_UPLOAD_UNKNOWN");
        let put = client.send("PUT", &with_query(&place, &format!("digest={digest}")), &[], b"x");
        assert_error(&put, &[404], "BLOB_UPLOAD_UNKNOWN");
    }
}

pub(super) fn other_bytes_than_promised_are_refused(client: &Client) {
    let digest = Digest::of(b"promised");
    let place = with_query(&client.begin(), &format!("digest={digest}"));
    assert_error(&client.send("PUT", &place, &[], b"other"), &[400], "DIGEST_INVALID");
    assert_eq!(client.get(&client.path(&format!("blobs/{digest}"))).status, 404);
}

pub(super) fn malformed_digests_are_refused(client: &Client) {
    for digest in ["sha256:abc", "nonsense", "sha256:../../../etc/passwd", ""] {
        let place = with_query(&client.begin(), &format!("digest={digest}"));
        assert_error(&client.send("PUT", &place, &[], b"x"), &[400], "DIGEST_INVALID");
    }
    let place = client.begin();
    assert_error(&client.send("PUT", &place, &[], b"x"), &[400], "DIGEST_INVALID");
    assert_error(&client.get(&client.path("blobs/sha256:abc")), &[400], "DIGEST_INVALID");
}

pub(super) fn lengths_that_contradict_are_refused(client: &Client) {
    let place = client.begin();
    let sent = client.send("PATCH", &place, &[("Content-Range", "0-9")], b"01234");
    assert_error(&sent, &[400], "SIZE_INVALID");
}

pub(super) fn a_malformed_range_is_refused(client: &Client) {
    let place = client.begin();
    let sent = client.send("PATCH", &place, &[("Content-Range", "nonsense")], b"01234");
    assert_error(&sent, &[400, 416], "BLOB_UPLOAD_INVALID");
}

pub(super) fn empty_blobs_exist(client: &Client) {
    let digest = client.push_blob(b"");
    assert_blob(client, &digest, b"");
}
