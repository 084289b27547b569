//! Lists: end-1, end-8a, end-8b, the catalog.

use serde_json::json;

use crate::Client;
use crate::client::{assert_error, header};

pub(super) fn the_base_answers(client: &Client) {
    let base = client.get("/v2/");
    assert_eq!(
        (base.status, header(&base, "docker-distribution-api-version")),
        (200, "registry/2.0".to_owned())
    );
}

/// Follows the links of a list.
fn pages(client: &Client, first: &str, field: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut target = first.to_owned();
    for _ in 0..10_000 {
        let page = client.get(&target);
        assert_eq!(page.status, 200, "{target}: {}", page.text());
        let names = page.json()[field].as_array().cloned().unwrap_or_default();
        all.push(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
        let Some(link) = page.header("link") else { return all };
        let (address, rest) = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a link");
        assert!(rest.contains("rel=\"next\"") || rest.contains("rel=next"), "{link}");
        target = address.to_owned();
    }
    panic!("the list does not end");
}

pub(super) fn tags_come_in_pages(client: &Client) {
    for tag in ["b", "a", "d", "c", "e"] {
        client.push_image(tag, "same");
    }
    let list = client.path("tags/list");
    assert_eq!(client.get(&list).json(), json!({"name": client.name, "tags": ["a", "b", "c", "d", "e"]}));
    assert_eq!(pages(client, &format!("{list}?n=2"), "tags"), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    assert_eq!(pages(client, &format!("{list}?n=5"), "tags"), [["a", "b", "c", "d", "e"]]);
    assert_eq!(client.get(&format!("{list}?last=c")).json()["tags"], json!(["d", "e"]));
    assert_eq!(client.get(&format!("{list}?n=0")).json()["tags"].as_array().map(Vec::len), Some(0));
}

pub(super) fn page_sizes_have_limits(client: &Client) {
    client.push_image("a", "x");
    for n in ["99999999999999999999", "2147483647"] {
        let answer = client.get(&client.path(&format!("tags/list?n={n}")));
        // As many as there are, or a refusal; never a failure.
        assert!(matches!(answer.status, 200 | 400), "{n}: {}", answer.status);
    }
    for n in ["-1", "x", "1e3"] {
        assert_eq!(client.get(&client.path(&format!("tags/list?n={n}"))).status, 400, "{n}");
        assert_eq!(client.get(&format!("/v2/_catalog?n={n}")).status, 400, "{n}");
    }
}

pub(super) fn repositories_are_listed(client: &Client) {
    client.push_image("a", "x");
    let found: Vec<String> = pages(client, "/v2/_catalog?n=7", "repositories").concat();
    assert!(found.contains(&client.name), "{found:?}");
    let mut sorted = found.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(found, sorted, "in order, each once");
}

pub(super) fn unknown_repositories_have_their_code(client: &Client) {
    assert_error(&client.get(&client.path("tags/list")), &[404], "NAME_UNKNOWN");
    assert_eq!(client.get(&client.path("manifests/latest")).status, 404);
}

pub(super) fn methods_that_do_not_exist_are_refused(client: &Client) {
    client.push_image("a", "x");
    for (method, rest) in [("POST", "manifests/a"), ("PUT", "tags/list"), ("PATCH", "blobs/uploads/")] {
        let answer = client.send(method, &client.path(rest), &[], b"");
        assert_error(&answer, &[405], "UNSUPPORTED");
    }
}
