//! What a push sends, told by a registry made for the occasion.

use testkit::Engine;
use testkit::lying::{Registry, Reply, Request};

/// A registry that has every blob, and one tag, `old`, that is the document named.
fn full(digest: String) -> Registry {
    Registry::start(move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("HEAD", path) if path.ends_with("/manifests/old") => {
            Reply::new(200, "x").with("Docker-Content-Digest", &digest)
        }
        ("HEAD", path) if path.contains("/blobs/") => Reply::new(200, "x"),
        ("PUT", path) if path.contains("/manifests/") => {
            Reply::new(201, "").with("Docker-Content-Digest", &digest)
        }
        ("GET", "/v2/") => Reply::new(200, "{}"),
        _ => Reply::new(404, "{}"),
    })
}

#[test]
fn what_a_tag_stands_for_already_is_not_sent_again() {
    let engine = Engine::with_busybox();
    let id = engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "busybox"]).ok().trim().to_owned();
    let registry = full(id.clone());
    let push = |tag: &str| {
        let name = format!("{}/box:{tag}", registry.address());
        engine.wharf(&["tag", "busybox", &name]).ok();
        let told = engine.wharf(&["push", &name]).ok().to_owned();
        assert!(told.contains("Layer already exists"), "{told}");
        assert!(told.contains(&format!("{tag}: digest: {id} size: ")), "{told}");
        registry.requests().iter().filter(|request| request.method == "PUT").count()
    };
    assert_eq!(push("old"), 0, "the tag is that document");
    assert_eq!(push("new"), 1, "there is no such tag");
}
