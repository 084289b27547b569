//! Referrers: end-12a, end-12b, and `OCI-Subject`.

use oci::digest::Digest;
use oci::image::{Descriptor, media};
use serde_json::{Value, json};

use crate::Client;
use crate::client::{header, manifest_of};

/// Pushes an artifact that says something about a manifest.
fn push_artifact(client: &Client, subject: &Descriptor, kind: &str, note: &str) -> Digest {
    client.push_blob(b"{}");
    let mut manifest = manifest_of(b"{}", &[]);
    manifest["subject"] = json!(subject);
    manifest["artifactType"] = json!(kind);
    manifest["annotations"] = json!({"note": note});
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    let put = client.put_manifest(digest.as_str(), media::OCI_MANIFEST, &bytes);
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(header(&put, "oci-subject"), subject.digest.to_string());
    digest
}

fn subject(client: &Client) -> Descriptor {
    let (digest, bytes) = client.push_image("subject", "subject");
    Descriptor::new(media::OCI_MANIFEST, digest, bytes.len() as u64)
}

fn listed(value: &Value) -> Vec<String> {
    let all = value["manifests"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|entry| entry["digest"].as_str().map(str::to_owned)).collect()
}

pub(super) fn a_subject_is_confirmed_and_listed(client: &Client) {
    let subject = subject(client);
    let artifact = push_artifact(client, &subject, "application/vnd.example.sbom", "first");
    let answer = client.get(&client.path(&format!("referrers/{}", subject.digest)));
    assert_eq!((answer.status, header(&answer, "content-type").as_str()), (200, media::OCI_INDEX));
    let value = answer.json();
    assert_eq!((&value["schemaVersion"], &value["mediaType"]), (&json!(2), &json!(media::OCI_INDEX)));
    let entry = &value["manifests"][0];
    assert_eq!(entry["digest"], artifact.as_str());
    assert_eq!(entry["mediaType"], media::OCI_MANIFEST);
    assert_eq!(entry["artifactType"], "application/vnd.example.sbom");
    assert_eq!(entry["annotations"]["note"], "first");
    let removed = client.send("DELETE", &client.path(&format!("manifests/{artifact}")), &[], b"");
    assert_eq!(removed.status, 202);
    assert_eq!(listed(&client.get(&client.path(&format!("referrers/{}", subject.digest))).json()), [""; 0]);
}

pub(super) fn referrers_are_filtered_by_type(client: &Client) {
    let subject = subject(client);
    let wanted = push_artifact(client, &subject, "application/vnd.example.a+json", "");
    push_artifact(client, &subject, "application/vnd.example.b", "");
    let target =
        client.path(&format!("referrers/{}?artifactType=application%2Fvnd.example.a%2Bjson", subject.digest));
    let answer = client.get(&target);
    assert_eq!(header(&answer, "oci-filters-applied"), "artifactType");
    assert_eq!(listed(&answer.json()), [wanted.to_string()]);
}

pub(super) fn nothing_refers_is_no_error(client: &Client) {
    let digest = Digest::of(b"nothing refers to this");
    let answer = client.get(&client.path(&format!("referrers/{digest}")));
    assert_eq!((answer.status, listed(&answer.json()).len()), (200, 0));
    assert_eq!(client.get(&client.path("referrers/sha256:abc")).status, 400);
}

pub(super) fn the_fallback_tag_is_picked_up(client: &Client) {
    let subject = subject(client);
    let (digest, bytes) = client.push_image("signature", "signature");
    let entry = Descriptor::new(media::OCI_MANIFEST, digest.clone(), bytes.len() as u64);
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]}).to_string();
    let tag = subject.digest.as_str().replace(':', "-");
    assert_eq!(client.put_manifest(&tag, media::OCI_INDEX, index.as_bytes()).status, 201);
    let answer = client.get(&client.path(&format!("referrers/{}", subject.digest)));
    assert_eq!(listed(&answer.json()), [digest.to_string()]);
}

pub(super) fn referrers_come_in_pages(client: &Client) {
    let subject = subject(client);
    let mut pushed: Vec<String> =
        (0..5).map(|at| push_artifact(client, &subject, "a/b", &at.to_string()).to_string()).collect();
    pushed.sort();
    let mut found = Vec::new();
    let mut target = client.path(&format!("referrers/{}?n=2", subject.digest));
    for _ in 0..5 {
        let page = client.get(&target);
        found.extend(listed(&page.json()));
        let Some(link) = page.header("link") else { break };
        target = link.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
    }
    assert_eq!(found, pushed);
}
