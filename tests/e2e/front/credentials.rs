//! Credentials of registries: the file byte for byte, helpers, the environment, and that no secret is ever shown.
//!
//! The engine is a stand-in that writes down what it is told: what the client keeps and sends is what is tested.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use testkit::Terminal;
use testkit::engine::{Output, binary_dir, run};

use super::folder::Folder;

/// What must never be printed.
const CANARY: &str = "canary-3f9a";
const AUTH: &str = "dGVzdGVyOmNhbmFyeS0zZjlh";

/// An engine that knows one password.
struct StandIn {
    host: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Listens in the folder; `token` is the identity token that a login is answered with.
    fn start(folder: &Folder, token: &'static str) -> Self {
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let written = Arc::clone(&written);
                std::thread::spawn(move || serve(stream, token, &written));
            }
        });
        Self { host: format!("unix://{}", path.display()), heard }
    }

    /// Everything heard since the last call, pings left out.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().expect("what was heard"))
    }
}

/// Answers requests of one connection until it closes.
fn serve(mut stream: UnixStream, token: &str, heard: &Mutex<Vec<String>>) {
    while let Some(request) = read_request(&mut stream) {
        let ping = request.contains("/_ping");
        let good = request.contains(&format!("\"password\":\"{CANARY}\""));
        let (status, body) = if ping {
            ("200 OK", String::new())
        } else if request.contains("/auth ") && good {
            let answer = serde_json::json!({"Status": "Login Succeeded", "IdentityToken": token});
            ("200 OK", answer.to_string())
        } else if request.contains("/auth ") {
            (
                "401 Unauthorized",
                r#"{"message":"login attempt failed with status: 401 Unauthorized"}"#.to_owned(),
            )
        } else if request.contains("/images/search") {
            ("200 OK", "[]".to_owned())
        } else if request.contains("/containers/create") {
            ("404 Not Found", r#"{"message":"No such image"}"#.to_owned())
        } else {
            ("200 OK", "{\"status\":\"done\"}\r\n".to_owned())
        };
        if !ping {
            heard.lock().expect("what was heard").push(request);
        }
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(stream: &mut UnixStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// A client with a configuration folder of its own, and helpers on its PATH.
struct Client {
    folder: Folder,
    engine: StandIn,
}

/// A helper that keeps one file per server, and writes down how it was called.
const KEEP: &str = r#"#!/bin/sh
d=$(dirname "$0")/kept; mkdir -p "$d"
in=$(cat)
echo "$1 $in" >>"$d/calls"
file="$d/$(printf %s "$in" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/' | tr '/:' '__').json"
case $1 in
    store) printf %s "$in" >"$file" ;;
    list) printf '{"kept.example":"tester"}' ;;
    get | erase)
        [ -e "$file" ] || { echo "credentials not found in native keychain"; exit 1; }
        if [ "$1" = get ]; then cat "$file"; else rm "$file"; fi ;;
esac
"#;
const BROKEN: &str = "#!/bin/sh\ncat >/dev/null; echo 'it is broken'; exit 3\n";

impl Client {
    fn new(config: &str) -> Self {
        Self::with_token(config, "")
    }

    fn with_token(config: &str, token: &'static str) -> Self {
        let folder = Folder::new();
        let engine = StandIn::start(&folder, token);
        let client = Self { folder, engine };
        std::fs::create_dir(client.folder.path().join("bin")).expect("make a folder");
        client.helper("keep", KEEP);
        client.helper("broken", BROKEN);
        client.configure(config);
        client
    }

    fn helper(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(format!("docker-credential-{name}"));
        testkit::image::write_program(&path, script);
    }

    fn configure(&self, text: &str) {
        let folder = self.folder.path().join("config");
        std::fs::create_dir_all(&folder).expect("make a folder");
        if text.is_empty() {
            let _ = std::fs::remove_file(folder.join("config.json"));
        } else {
            std::fs::write(folder.join("config.json"), text).expect("write the configuration");
        }
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("config/config.json"))
            .expect("read the configuration")
    }

    fn calls(&self) -> String {
        let path = self.folder.path().join("bin/kept/calls");
        let calls = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        calls
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let paths = std::env::var("PATH").unwrap_or_default();
        let mut command = self.folder.client(&binary_dir().join("wharf"), arguments);
        command
            .env("DOCKER_CONFIG", self.folder.path().join("config"))
            .env("DOCKER_HOST", &self.engine.host)
            .env("PATH", format!("{}:{paths}", self.folder.path().join("bin").display()))
            .env_remove("DOCKER_AUTH_CONFIG")
            .env_remove("DOCKER_CONTENT_TRUST");
        command
    }

    /// Runs a command, which must not show the secret.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[], "")
    }

    #[track_caller]
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
        let output = run(self.command(arguments).envs(variables.iter().copied()), Some(input.as_bytes()));
        let shown = format!("{}{}", output.stdout, output.stderr);
        assert!(
            !shown.contains(CANARY) && !shown.contains(AUTH),
            "{arguments:?} shows the secret: {output:?}"
        );
        output
    }

    #[track_caller]
    fn login(&self, server: &str) -> Output {
        self.run_with(&["login", "-u", "tester", "--password-stdin", server], &[], &format!("{CANARY}\n"))
    }
}

/// Decodes the credentials a request carried.
fn carried(request: &str) -> String {
    let header = request
        .lines()
        .find_map(|line| line.to_lowercase().starts_with("x-registry-auth: ").then(|| &line[17..]))
        .unwrap_or_else(|| panic!("no credentials: {request}"));
    let decoded =
        run(Command::new("base64").arg("-d"), Some(header.replace('-', "+").replace('_', "/").as_bytes()));
    decoded.ok().to_owned()
}

#[test]
fn the_file_is_dockers_byte_for_byte() {
    let client = Client::new("");
    let login = client.login("127.0.0.1:5000");
    assert_eq!(login.ok(), "Login Succeeded");
    let path = client.folder.path().join("config/config.json");
    assert_eq!(
        login.stderr,
        format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
            path.display()
        )
    );
    let entry = |server: &str| format!("\t\t\"{server}\": {{\n\t\t\t\"auth\": \"{AUTH}\"\n\t\t}}");
    assert_eq!(client.config(), format!("{{\n\t\"auths\": {{\n{}\n\t}}\n}}", entry("127.0.0.1:5000")));
    assert_eq!(std::fs::metadata(&path).expect("look").permissions().mode() & 0o777, 0o600);
    assert_eq!(client.login("https://b.example/v2/").ok(), "Login Succeeded");
    let again = client.login("b.example");
    assert_eq!((again.ok(), again.stderr.as_str()), ("Login Succeeded", ""), "nothing new is kept");
    assert_eq!(client.login("").ok(), "Login Succeeded");
    let all = ["127.0.0.1:5000", "b.example", "https://index.docker.io/v1/"].map(entry).join(",\n");
    assert_eq!(client.config(), format!("{{\n\t\"auths\": {{\n{all}\n\t}}\n}}"));
    assert!(client.run(&["logout", "b.example"]).ok() == "Removing login credentials for b.example");
    client.run(&["logout"]).ok();
    client.run(&["logout", "http://127.0.0.1:5000"]).ok();
    assert_eq!(client.config(), "{\n\t\"auths\": {}\n}");
    let left: Vec<_> = std::fs::read_dir(client.folder.path().join("config")).expect("list").collect();
    assert_eq!(left.len(), 1, "nothing but the file is left: {left:?}");
}

#[test]
fn a_linked_file_stays_linked_and_becomes_private() {
    let client = Client::new("");
    let real = client.folder.path().join("real.json");
    std::fs::write(&real, "{\"psFormat\": \"x\"}").expect("write");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).expect("open it");
    let link = client.folder.path().join("config/config.json");
    std::os::unix::fs::symlink(&real, &link).expect("link");
    client.login("a.example").ok();
    assert!(link.is_symlink() && client.config().contains("psFormat") && client.config().contains(AUTH));
    assert_eq!(std::fs::metadata(&real).expect("look").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_helper_keeps_what_the_file_then_does_not() {
    let client = Client::new(r#"{"credsStore": "keep"}"#);
    let login = client.login("a.example");
    assert_eq!((login.ok(), login.stderr.as_str()), ("Login Succeeded", ""));
    let stored = format!(r#"store {{"ServerURL":"a.example","Username":"tester","Secret":"{CANARY}"}}"#);
    assert_eq!(client.calls().trim(), stored);
    assert_eq!(
        client.config(),
        "{\n\t\"auths\": {\n\t\t\"a.example\": {}\n\t},\n\t\"credsStore\": \"keep\"\n}"
    );
    client.engine.heard();
    let again = client.run(&["login", "a.example"]);
    assert_eq!(again.ok(), "Login Succeeded");
    assert!(again.stderr.starts_with("Authenticating with existing credentials... [Username: tester]\n"));
    assert!(client.engine.heard()[0].contains(CANARY));
    client.run(&["pull", "a.example/x:1"]).ok();
    let document = format!(r#"{{"username":"tester","password":"{CANARY}","serveraddress":"a.example"}}"#);
    assert_eq!(carried(&client.engine.heard()[0]), document);
    client.run(&["pull", "other.example/x:1"]).ok();
    assert_eq!(carried(&client.engine.heard()[0]), "{}", "another registry gets nothing");
    client.calls();
    assert_eq!(client.run(&["logout", "a.example"]).stderr, "");
    assert_eq!(client.calls().lines().next(), Some("erase a.example"));
    assert_eq!(client.config(), "{\n\t\"auths\": {},\n\t\"credsStore\": \"keep\"\n}");
    client.run(&["pull", "a.example/x:1"]).ok();
    assert_eq!(carried(&client.engine.heard()[0]), "{}");
}

#[test]
fn one_registry_may_have_a_helper_of_its_own() {
    let client = Client::new(r#"{"credHelpers": {"a.example": "keep"}, "credsStore": "broken"}"#);
    client.login("a.example").ok();
    assert!(client.calls().starts_with("store "));
    let refused = client.login("b.example");
    assert_eq!(
        refused.fails_with(1),
        "Error saving credentials: error storing credentials - err: exit status 3, out: `it is broken`"
    );
    let ran = client.run(&["run", "b.example/x"]);
    assert!(
        ran.fails_with(125).contains("error getting credentials - err: exit status 3, out: `it is broken`"),
        "{ran:?}"
    );
    let out = client.run(&["logout", "b.example"]);
    assert!(out.ok() == "Removing login credentials for b.example" && out.stderr.contains("could not erase"));
    client.configure(r#"{"credsStore": "nosuch"}"#);
    assert_eq!(
        client.login("b.example").fails_with(1),
        "Error saving credentials: error storing credentials - err: exec: \"docker-credential-nosuch\": executable file not found in $PATH, out: ``"
    );
    client.configure(r#"{"credsStore": "../bin/docker-credential-keep"}"#);
    assert!(client.login("b.example").fails_with(1).contains("not found in $PATH"), "a name is no path");
}

#[test]
fn a_fresh_configuration_takes_the_usual_helper_of_the_system() {
    let client = Client::new("");
    client.helper("secretservice", KEEP);
    client.helper("pass", KEEP);
    client.login("a.example").ok();
    let config = client.config();
    assert!(!config.contains(AUTH) && config.contains("\"credsStore\": \""), "{config}");
    client.configure(&format!(r#"{{"auths": {{"b.example": {{"auth": "{AUTH}"}}}}}}"#));
    client.login("a.example").ok();
    assert_eq!(client.config().matches(AUTH).count(), 2, "who keeps them in the file goes on to");
}

#[test]
fn identity_tokens_stand_for_passwords() {
    let client = Client::with_token("", "canary-token");
    let login = client.login("a.example");
    assert_eq!(
        (login.ok(), login.stderr.as_str()),
        ("Login Succeeded", ""),
        "no password is kept, no warning"
    );
    assert_eq!(
        client.config(),
        "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"dGVzdGVyOg==\",\n\t\t\t\"identitytoken\": \"canary-token\"\n\t\t}\n\t}\n}"
    );
    client.engine.heard();
    client.run(&["push", "a.example/x:1"]).ok();
    let document = r#"{"username":"tester","serveraddress":"a.example","identitytoken":"canary-token"}"#;
    assert_eq!(carried(&client.engine.heard()[0]), document);
    client.configure(r#"{"credsStore": "keep"}"#);
    client.login("a.example").ok();
    let stored = client.calls();
    assert!(stored.contains(r#""Secret":"canary-token""#) && stored.contains("token"), "{stored}");
    assert!(!stored.contains(CANARY), "{stored}");
}

#[test]
fn the_environment_stands_above_the_file() {
    let client = Client::new(r#"{"auths": {"a.example": {"auth": "b3RoZXI6cGFzcw=="}}}"#);
    let variable = format!(r#"{{"auths": {{"https://a.example/v1/": {{"auth": "{AUTH}"}}}}}}"#);
    for (value, wanted) in
        [(variable.as_str(), CANARY), (r#"{"auths": {}}"#, "\"pass\""), ("{broken", "\"pass\"")]
    {
        client.run_with(&["pull", "a.example/x:1"], &[("DOCKER_AUTH_CONFIG", value)], "").ok();
        let document = carried(&client.engine.heard()[0]);
        assert!(document.contains(wanted), "{value}: {document}");
    }
}

#[test]
fn broken_files_are_told_and_lived_with() {
    for (text, complaint) in [
        ("{\"auths\":", "unexpected EOF"),
        ("{nonsense", "invalid JSON at line 1, column 2"),
        (r#"{"auths":{"a.example":{"auth":"!!!"}}}"#, "illegal base64 data at input byte 0"),
        (r#"{"auths":{"a.example":{"auth":"bm9jb2xvbg=="}}}"#, "Invalid auth configuration file"),
        ("[]", "it is no JSON object"),
    ] {
        let client = Client::new(text);
        let pull = client.run(&["pull", "a.example/x:1"]);
        let path = client.folder.path().join("config/config.json");
        assert_eq!(
            pull.stderr,
            format!("WARNING: Error parsing config file ({}): {complaint}\n", path.display())
        );
        assert_eq!(carried(&client.engine.heard()[0]), "{}");
    }
}

#[test]
fn wrong_passwords_change_nothing() {
    let before = r#"{"auths": {"a.example": {"auth": "dGVzdGVyOndyb25n"}}}"#;
    let client = Client::new(before);
    let flags = client.run(&["login", "-u", "tester", "-p", "wrong", "a.example"]);
    assert_eq!(
        flags.fails_with(1),
        "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\nError response from daemon: login attempt failed with status: 401 Unauthorized"
    );
    let stored = client.run(&["login", "a.example"]);
    assert!(stored.fails_with(1).contains("Login did not succeed, error: Error response from daemon"));
    assert!(stored.stderr.ends_with("Error: Cannot perform an interactive login from a non TTY device\n"));
    assert_eq!(client.config(), before);
}

#[test]
fn a_person_is_asked_and_the_password_not_echoed() {
    let client = Client::new("");
    let mut screen = Terminal::spawn(&mut client.command(&["login", "a.example"]));
    screen.wait_for("Username: ");
    screen.type_text("tester\n");
    screen.wait_for("Password: ");
    screen.type_text(&format!("{CANARY}\n"));
    assert_eq!(screen.exit_code(), 0);
    let shown = screen.screen();
    assert!(shown.ends_with("Login Succeeded\r\n") && !shown.contains(CANARY), "{shown:?}");
    assert!(client.config().contains(AUTH));
    for (typed, wanted) in
        [("\n", "Error: Non-null Username Required"), ("tester\n\n", "Error: Password Required")]
    {
        let mut screen = Terminal::spawn(&mut client.command(&["login", "b.example"]));
        screen.wait_for("Username: ");
        screen.type_text(typed);
        assert_eq!(screen.exit_code(), 1);
        assert!(screen.screen().contains(wanted), "{:?}", screen.screen());
    }
}

#[test]
fn no_command_shows_a_secret() {
    let client = Client::new("");
    client.login("a.example").ok();
    for arguments in [
        &["-D", "-l", "debug", "login", "a.example"][..],
        &["-D", "pull", "a.example/x:1"],
        &["-D", "push", "a.example/x:1"],
        &["-D", "run", "a.example/x:1"],
        &["-D", "create", "a.example/x:1"],
        &["-D", "search", "a.example/x"],
        &["-D", "info"],
        &["info", "--format", "{{json .}}"],
        &["context", "export", "default", "-"],
        &["context", "inspect"],
        &["-D", "logout", "a.example"],
    ] {
        client.run(arguments);
    }
    client.configure(&format!("{{\"auths\": {{\"a.example\": {{\"auth\": \"{AUTH}\"}} {CANARY}}}"));
    client.run(&["-D", "pull", "a.example/x:1"]);
    let sent: Vec<String> = client.engine.heard();
    let for_others = |request: &&String| request.contains("/info") || request.contains("/images/search");
    assert!(sent.iter().filter(for_others).all(|request| !request.contains(AUTH)), "{sent:#?}");
}

#[test]
fn content_trust_takes_digests_only() {
    let client = Client::new("");
    let digest = format!("a.example/x@sha256:{}", "1a".repeat(32));
    let on: &[(&str, &str)] = &[("DOCKER_CONTENT_TRUST", "1")];
    for command in ["pull", "push", "run", "create"] {
        let refused = client.run_with(&[command, "a.example/x:1"], on, "");
        assert!(
            refused.stderr.contains("content trust is on, and nobody vouches for a.example/x:1"),
            "{refused:?}"
        );
        assert!(refused.code == 1 || (command == "run" && refused.code == 125), "{refused:?}");
        assert_eq!(client.engine.heard(), [""; 0], "{command}: nothing is asked for");
        client.run_with(&[command, "--disable-content-trust", "a.example/x:1"], on, "");
        assert!(!client.engine.heard().is_empty(), "{command}");
        client.run_with(&[command, "--disable-content-trust=false", "a.example/x:1"], &[], "");
        assert_eq!(client.engine.heard(), [""; 0], "{command}: the flag alone does it");
    }
    client.run_with(&["pull", &digest], on, "").ok();
    client.run_with(&["pull", "a.example/x:1"], &[("DOCKER_CONTENT_TRUST", "0")], "").ok();
    assert_eq!(client.run_with(&["pull", "a.example/x:1"], &[("DOCKER_CONTENT_TRUST", "yes")], "").code, 1);
}
