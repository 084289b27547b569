//! Accounts and certificates, as clients meet them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_conformance::Client;
use serde_json::{Value, json};
use std::process::Command;

use crate::fixture::{Server, program};

/// bcrypt of `pw`, made by the program itself.
fn hash() -> String {
    let output = testkit::engine::run(Command::new(program()).arg("passwd"), Some(b"pw\n"));
    output.stdout.trim().to_owned()
}

fn accounts(token: Option<Value>) -> Value {
    let hash = hash();
    let mut accounts = json!({
        "users": [
            {"name": "ann", "password": hash, "admin": true,
             "rights": [{"repositories": "team/**", "actions": ["pull", "push", "delete"]}]},
            {"name": "robot", "password": hash,
             "rights": [{"repositories": "team/app", "actions": ["pull"]}]},
        ],
        "anonymous": [{"repositories": "public/*", "actions": ["pull"]}],
    });
    if let Some(token) = token {
        accounts["token"] = token;
    }
    json!({ "accounts": accounts })
}

fn code(answer: &testkit::http::Answer) -> (u16, String) {
    let code = answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code)
}

#[test]
fn passwords_open_what_the_rights_say() {
    let server = Server::start(accounts(None));
    let nobody = server.client().in_repository("team/app");
    let asked = nobody.get(&nobody.path("tags/list"));
    assert_eq!(code(&asked), (401, "UNAUTHORIZED".to_owned()));
    assert!(asked.header("www-authenticate").unwrap().starts_with("Basic realm="));
    let (ann, robot) = (nobody.with_password("ann:pw"), nobody.with_password("robot:pw"));
    assert_eq!(ann.get("/v2/").status, 200);
    ann.push_image("latest", "x");
    assert_eq!(robot.get(&robot.path("manifests/latest")).status, 200);
    let push = robot.send("POST", &robot.path("blobs/uploads/"), &[], b"");
    assert_eq!(code(&push), (403, "DENIED".to_owned()));
    let removal = robot.send("DELETE", &robot.path("manifests/latest"), &[], b"");
    assert_eq!(code(&removal), (403, "DENIED".to_owned()));
    let wrong = nobody.with_password("ann:wrong");
    assert_eq!(code(&wrong.get("/v2/")), (401, "UNAUTHORIZED".to_owned()));
    // A mount needs the right to read where it comes from.
    let digest = ann.in_repository("team/other").push_blob(b"secret");
    let other = ann.in_repository("team/new");
    let stolen = other.path(&format!("blobs/uploads/?mount={digest}&from=private/x"));
    assert_eq!(other.send("POST", &stolen, &[], b"").status, 202);
    assert_eq!(robot.get("/v2/_catalog").json()["repositories"], json!(["team/app"]));
    assert_eq!(nobody.get("/v2/_catalog").json()["repositories"], json!([]));
}

#[test]
fn tokens_are_fetched_and_used() {
    let server = Server::start(accounts(Some(json!({"issuer": "wharf", "service": "tests"}))));
    let client = server.client().in_repository("team/app");
    let asked = client.get(&client.path("tags/list"));
    let challenge = asked.header("www-authenticate").unwrap().to_owned();
    let realm = format!("http://{}/token", "test");
    assert!(challenge.contains(&format!("Bearer realm=\"{realm}\",service=\"tests\"")), "{challenge}");
    assert!(challenge.contains("scope=\"repository:team/app:pull\""), "{challenge}");
    let fetch = |client: &Client, scope: &str| {
        client.get(&format!("/token?service=tests&offline_token=true&scope=repository:{scope}"))
    };
    let answer = fetch(&client.with_password("ann:pw"), "team/app:pull,push");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let ann = client.with_authorization(&format!("Bearer {token}"));
    ann.push_image("latest", "x");
    let other = ann.in_repository("team/other");
    assert_eq!(other.send("POST", &other.path("blobs/uploads/"), &[], b"").status, 401, "another scope");
    // A robot gets less than it asks for.
    let answer = fetch(&client.with_password("robot:pw"), "team/app:pull,push,delete");
    let robot = client.with_authorization(&format!("Bearer {}", answer.json()["token"].as_str().unwrap()));
    assert_eq!(robot.get(&robot.path("manifests/latest")).status, 200);
    assert_eq!(robot.send("POST", &robot.path("blobs/uploads/"), &[], b"").status, 401);
    assert_eq!(fetch(&client.with_password("ann:wrong"), "team/app:pull").status, 401);
    // The OAuth 2 form, with a password and with a refresh token.
    let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    for form in [
        "grant_type=password&username=robot&password=pw&scope=repository:team/app:pull".to_owned(),
        format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:team/app:pull"),
    ] {
        let answer = client.send("POST", "/token", &[], form.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let bearer = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
        let robot = client.with_authorization(&bearer);
        assert_eq!(robot.get(&robot.path("manifests/latest")).status, 200);
    }
    assert_eq!(client.send("POST", "/token", &[], b"grant_type=refresh_token&refresh_token=x").status, 401);
    // Row 26: a token with a key of its own.
    let mut parts = token.split('.').map(str::to_owned).collect::<Vec<_>>();
    parts[0] =
        URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}"#);
    let forged = client.with_authorization(&format!("Bearer {}", parts.join(".")));
    assert_eq!(forged.get(&client.path("tags/list")).status, 401);
}

#[test]
fn a_reload_replaces_accounts_and_certificates() {
    let mut config = accounts(None);
    let server = Server::start(config.clone());
    let robot = server.client().in_repository("team/app").with_password("robot:pw");
    assert_eq!(robot.get("/v2/").status, 200);
    config["accounts"]["users"].as_array_mut().unwrap().pop();
    server.configure(config.clone());
    testkit::engine::signal(server.pid(), rustix::process::Signal::HUP);
    wait_for(|| robot.get("/v2/").status == 401);
    // A faulty file changes nothing.
    config["accounts"]["users"][0]["password"] = json!("plain");
    server.configure(config);
    testkit::engine::signal(server.pid(), rustix::process::Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(server.client().with_password("ann:pw").get("/v2/").status, 200);
}

fn wait_for(mut done: impl FnMut() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it never happened");
}

#[test]
fn administrators_collect_and_read_metrics() {
    let server = Server::start(accounts(None));
    let (ann, nobody) = (server.client().with_password("ann:pw"), server.client());
    assert_eq!(nobody.get("/metrics").status, 401);
    assert_eq!(nobody.send("POST", "/admin/collect", &[], b"").status, 401);
    assert_eq!(nobody.with_password("robot:pw").send("POST", "/admin/collect", &[], b"").status, 401);
    assert_eq!(ann.send("POST", "/admin/collect", &[], b"").json()["blobs"], 0);
    assert!(ann.get("/metrics").text().contains("registry_requests_in_flight 1"));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn pages_for_people_show_what_one_may_see() {
    let server = Server::start(accounts(None));
    let ann = server.client().in_repository("team/app").with_password("ann:pw");
    ann.push_image("v1", "x");
    let page = ann.get("/").text();
    assert!(page.contains("<a href=\"/ui/team/app\">team/app</a>"), "{page}");
    let page = ann.get("/ui/team/app");
    assert!(page.text().contains("<tr><td>v1<td>"), "{}", page.text());
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(!server.client().get("/").text().contains("team/app"));
    assert_eq!(server.client().get("/ui/team/app").status, 401);
}

#[test]
fn certificates_make_it_https() {
    let dir = std::env::temp_dir().join(format!("wharf-registry-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let server =
        Server::start(json!({"tls": {"certificate": dir.join("cert.pem"), "key": dir.join("key.pem")}}));
    let port = server.address.rsplit(':').next().unwrap();
    let output = Command::new("curl")
        .args(["-s", "--cacert"])
        .arg(dir.join("cert.pem"))
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/v2/"))
        .output();
    std::fs::remove_dir_all(&dir).unwrap();
    match output {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "{}"),
        Err(error) => println!("skipped: curl is not installed ({error})"),
    }
    // Without TLS there is an answer that says so.
    assert_eq!(server.client().get("/v2/").status, 400);
}
