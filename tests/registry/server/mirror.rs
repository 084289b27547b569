//! Pull-through: several upstreams in one server that takes pushes too; upstreams that are away, and that lie.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use oci::digest::Digest;
use serde_json::{Value, json};
use testkit::lying::{self, Reply, Request};

use crate::fixture::Server;

fn upstream(prefix: &str, server: &Server, fresh: u32) -> Value {
    json!({"prefix": prefix, "registry": server.address, "fresh": fresh, "insecure": true, "fallback": prefix == "one"})
}

fn layer_of(manifest: &[u8]) -> Digest {
    let manifest: oci::image::Manifest = serde_json::from_slice(manifest).unwrap();
    manifest.layers[0].digest.clone()
}

#[test]
fn several_upstreams_are_mirrored_beside_pushes() {
    let (mut one, two) = (Server::start(json!({})), Server::start(json!({})));
    let (digest, manifest) = one.client().in_repository("lib/app").push_image("1", "from one");
    two.client().in_repository("app").push_image("1", "from two");
    let server = Server::start(json!({"upstreams": [upstream("one", &one, 0), upstream("two", &two, 60)]}));
    let client = server.client();
    // By prefix, by the registry's name, and by the plain name through the one for such names.
    let by_name = format!("/v2/lib/app/manifests/1?ns={}", one.address);
    for target in ["/v2/one/lib/app/manifests/1", &by_name, "/v2/lib/app/manifests/1"] {
        let got = client.get(target);
        assert_eq!((got.status, &got.body), (200, &manifest), "{target}");
    }
    let layer = layer_of(&manifest);
    let target = format!("/v2/one/lib/app/blobs/{layer}");
    assert_eq!(client.send("HEAD", &target, &[], b"").header("content-length"), Some("14"));
    assert_eq!(client.send("GET", &target, &[("Range", "bytes=0-4")], b"").text(), "layer");
    assert_eq!(client.get(&target).text(), "layer from one");
    assert_eq!(client.get("/v2/two/app/manifests/1").status, 200);
    // Only what a manifest names is fetched.
    let other = one.client().in_repository("lib/app").push_blob(b"named by nothing");
    assert_eq!(client.get(&format!("/v2/one/lib/app/blobs/{other}")).status, 404);
    assert_eq!(client.get("/v2/one/lib/app/manifests/none").status, 404);
    // It takes pushes, but not to what it mirrors.
    client.in_repository("own/app").push_image("1", "own");
    let refused = client.send("POST", "/v2/one/lib/app/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 405);
    // A tag that moves is seen; while the upstream is away, what is held is given.
    let (moved, _) = one.client().in_repository("lib/app").push_image("1", "from one again");
    assert_ne!(moved, digest);
    let seen = |status| {
        let got = client.get("/v2/one/lib/app/manifests/1");
        assert_eq!(got.status, status);
        got.header("docker-content-digest").map(str::to_owned)
    };
    assert_eq!(seen(200), Some(moved.to_string()));
    one.kill();
    assert_eq!(seen(200), Some(moved.to_string()));
    assert_eq!(client.get(&target).text(), "layer from one", "held");
    assert_eq!(client.get("/v2/one/lib/app/manifests/unseen").status, 502);
    server.collect().unwrap();
    assert_eq!(client.get(&target).text(), "layer from one", "a manifest names it");
}

/// Row 26: an upstream that lies about bytes, and one that sends for credentials elsewhere.
#[test]
fn row_26_an_evil_upstream_gets_no_bad_byte_in() {
    let layer = b"what the manifest promises".to_vec();
    let manifest = registry_conformance::manifest_of(b"{}", &[&layer]).to_string();
    let digest = Digest::of(manifest.as_bytes());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = manifest.clone();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let served = served.clone();
            std::thread::spawn(move || {
                let mut block = [0u8; 8192];
                while let Ok(count @ 1..) = socket.read(&mut block) {
                    let request = String::from_utf8_lossy(&block[..count]).into_owned();
                    let body: &[u8] = match () {
                        () if request.contains("/private/") => {
                            let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: \
                                        Bearer realm=\"http://192.0.2.1/token\",service=\"x\"\r\n\r\n";
                            let _ = socket.write_all(head.as_bytes());
                            continue;
                        }
                        () if request.contains("/blobs/") => b"what comes in its place...",
                        () if request.contains("/manifests/lie") => b"{\"schemaVersion\":2}",
                        () if request.contains("/manifests/") => served.as_bytes(),
                        () => b"",
                    };
                    let lies = request.contains("/manifests/lie");
                    let digest = Digest::of(if lies { b"other" } else { served.as_bytes() });
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n\
                         Docker-Content-Digest: {digest}\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = socket.write_all(head.as_bytes());
                    if !request.starts_with("HEAD") {
                        let _ = socket.write_all(body);
                    }
                }
            });
        }
    });
    let upstream = json!({"prefix": "evil", "registry": address, "user": "me", "password": "canary"});
    let server = Server::start(json!({"upstreams": [upstream]}));
    let client = server.client();
    assert_eq!(client.get(&format!("/v2/evil/app/manifests/{digest}")).body, manifest.as_bytes());
    let target = format!("/v2/evil/app/blobs/{}", Digest::of(&layer));
    // The answer is cut before its end, so that no client takes it for whole.
    let got = client.get(&target);
    assert!(got.body.len() < layer.len(), "{}", got.text());
    assert_eq!(client.send("GET", &target, &[("Range", "bytes=0-3")], b"").status, 400);
    assert_eq!(client.get("/v2/evil/app/manifests/lie").status, 502);
    assert_eq!(client.get("/v2/evil/private/manifests/1").status, 502);
    assert_eq!(server.files("uploads"), Vec::<std::path::PathBuf>::new());
    assert_eq!(server.files("blobs"), Vec::<std::path::PathBuf>::new());
}

/// Row 26: an upstream that sends for a token to another host gets no credentials there unless that host is configured.
#[test]
fn row_26_credentials_stay_with_the_hosts_they_are_for() {
    let manifest = registry_conformance::manifest_of(b"{}", &[]).to_string();
    let tokens = lying::Registry::start(|_: &Request| Reply::new(200, r#"{"token":"bought"}"#));
    let port = tokens.address().rsplit(':').next().unwrap().to_owned();
    // The same machine under another name: to the client it is another host.
    let realm = format!("Bearer realm=\"http://localhost:{port}/token\",service=\"x\"");
    let answer = move |request: &Request| match request.header("authorization") {
        Some("Bearer bought") => Reply::new(200, manifest.clone())
            .with("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
        _ => Reply::new(401, "").with("WWW-Authenticate", &realm),
    };
    let upstream = lying::Registry::start(answer);
    let shown = |tokens: &lying::Registry| {
        let asked = tokens.requests();
        asked
            .iter()
            .filter_map(|request| request.header("authorization").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let mirror = |more: Value| {
        let mut upstream = json!({"prefix": "up", "registry": upstream.address()});
        upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let server = Server::start(json!({"upstreams": [upstream]}));
        server.client().get("/v2/up/app/manifests/1")
    };
    let refused = mirror(json!({"user": "me", "password": "canary"}));
    assert_eq!(refused.status, 502);
    assert!(refused.text().contains("another host"), "{}", refused.text());
    assert_eq!(tokens.requests().len(), 0, "nobody asked there");
    // Who has nothing to show may ask anywhere.
    assert_eq!(mirror(json!({})).status, 200);
    assert_eq!(shown(&tokens), Vec::<String>::new());
    // Configured, it is shown what it is for.
    let known = mirror(json!({"user": "me", "password": "canary", "tokenHosts": ["localhost"]}));
    assert_eq!(known.status, 200, "{}", known.text());
    assert!(shown(&tokens).contains(&"Basic bWU6Y2FuYXJ5".to_owned()));
}
