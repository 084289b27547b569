//! The conformance program against our registry, and against Debian's where it is.

use std::process::{Command, Stdio};

use registry_conformance::{Client, run};
use serde_json::json;

use crate::fixture::Server;

#[test]
fn wharf_registry_conforms() {
    let server = Server::start(json!({}));
    let (count, failures) = run(&server.client());
    assert!(count >= 40);
    for (name, _) in LACKS {
        assert!(registry_conformance::CHECKS.iter().any(|check| check.name == name), "{name}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What Debian's docker-registry (2.8) is known not to do: it is older than the specification's version 1.1.
const LACKS: [(&str, &str); 22] = [
    ("large_manifests_have_a_limit", "the limit is there, with another status"),
    ("a_digest_has_to_fit", "fails inside on a malformed one"),
    ("a_tag_can_be_removed", "deletes by digest only"),
    ("by_digest_with_tags", "newer than it"),
    ("an_algorithm_can_be_announced", "newer than it"),
    ("a_subject_is_confirmed_and_listed", "no referrers"),
    ("referrers_are_filtered_by_type", "no referrers"),
    ("nothing_refers_is_no_error", "no referrers"),
    ("the_fallback_tag_is_picked_up", "no referrers"),
    ("referrers_come_in_pages", "no referrers"),
    ("wrong_sizes_are_refused", "does not compare sizes"),
    ("lengths_that_contradict_are_refused", "does not compare lengths"),
    ("a_malformed_range_is_refused", "does not look at the range"),
    ("chunks_out_of_order_are_refused", "does not look at the range"),
    ("names_have_a_grammar", "an unknown path is plain text"),
    ("malformed_digests_are_refused", "an unknown path is plain text"),
    ("methods_that_do_not_exist_are_refused", "answers without a document"),
    ("unknown_uploads_have_their_code", "an unknown path is plain text"),
    ("tags_come_in_pages", "no pages of tags"),
    ("page_sizes_have_limits", "no pages of tags"),
    ("a_blob_may_have_a_sha512_digest", "verifies with sha256 only"),
    ("repositories_are_listed", "lists repositories in the order of its folders"),
];

#[test]
fn docker_registry_does_the_same_but_for_what_it_lacks() {
    let Some(program) = ["/usr/bin/docker-registry", "/var/tmp/docker-reference/usr/bin/docker-registry"]
        .iter()
        .find(|path| std::path::Path::new(path).is_file())
    else {
        println!("skipped: the Debian package docker-registry is not installed");
        return;
    };
    let dir = std::env::temp_dir().join(format!("wharf-docker-registry-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\"}}\n",
        dir.join("data").display()
    );
    std::fs::write(dir.join("config.yml"), config).unwrap();
    let mut child = Command::new(program)
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Client::new(&format!("127.0.0.1:{port}"));
    for _ in 0..200 {
        if client.try_send("GET", "/v2/", &[], b"").is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (_, failures) = run(&client);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    for (name, why) in LACKS.iter().filter(|(name, _)| !failures.iter().any(|failure| failure.name == *name))
    {
        println!("docker-registry holds {name} after all (listed as: {why})");
    }
    let unknown: Vec<_> =
        failures.iter().filter(|failure| !LACKS.iter().any(|(name, _)| *name == failure.name)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
