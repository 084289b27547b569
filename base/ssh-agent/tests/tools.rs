//! OpenSSH's own tools talk to our agent, and check what it signs.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ssh_agent::{Keys, PrivateKey, guard};

const OPENSSH: [&str; 3] = ["ssh-keygen", "ssh-add", "ssh-agent"];

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf-ssh-agent-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }

    /// Makes a key.
    fn key(&self, name: &str, kind: &[&str]) -> String {
        let path = self.path(name);
        let arguments = [&["-q", "-N", "", "-C", "somebody@somewhere", "-f", &path], kind].concat();
        succeed(Command::new("ssh-keygen").args(arguments));
        path
    }

    /// Serves visitors of a socket by connections made for each of them.
    fn serve(&self, connect: impl Fn() -> UnixStream + Send + 'static) -> String {
        let path = self.path("socket");
        let listener = UnixListener::bind(&path).expect("listens");
        thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let agent = connect();
                let (mut from, mut to) =
                    (visitor.try_clone().expect("a copy"), agent.try_clone().expect("a copy"));
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                thread::spawn(move || std::io::copy(&mut &agent, &mut &visitor));
            }
        });
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that goes with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn are_installed(programs: &[&str]) -> bool {
    let found = programs.iter().all(|program| {
        std::env::var_os("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join(program).is_file()))
    });
    if !found {
        println!("skipped: {programs:?} are not all installed");
    }
    found
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("runs")
}

fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn with_agent(program: &str, socket: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("SSH_AUTH_SOCK", socket);
    command
}

/// The words for a key without what it is called: bits, fingerprint and kind.
fn fingerprint(line: &str) -> (&str, &str, &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[0], words[1], words[words.len() - 1])
}

#[test]
fn openssh_uses_our_keys() {
    if !are_installed(&OPENSSH) {
        return;
    }
    let folder = Folder::new();
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &["-t", "ed25519"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
        ("old", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
    ];
    let paths: Vec<String> = kinds.iter().map(|(name, kind)| folder.key(name, kind)).collect();
    let mut keys = Keys::default();
    for path in &paths {
        keys.add(PrivateKey::read(&fs::read(path).expect("a file")).expect("a key"));
        // Only the agent has it from now on.
        fs::remove_file(path).expect("removed");
    }
    let keys = Arc::new(keys);
    let socket = folder.serve(move || keys.connect().expect("connects"));

    let listed = succeed(&mut with_agent("ssh-add", &socket, &["-l"]));
    let said = |path: &String| succeed(Command::new("ssh-keygen").args(["-lf", &format!("{path}.pub")]));
    let made: Vec<String> = paths.iter().map(said).collect();
    let of = |lines: &[&str]| lines.iter().map(|line| format!("{:?}", fingerprint(line))).collect::<Vec<_>>();
    assert_eq!(
        of(&listed.lines().collect::<Vec<_>>()),
        of(&made.iter().map(|line| line.trim()).collect::<Vec<_>>())
    );
    assert!(!listed.contains("somebody"), "{listed}");

    for path in &paths {
        // Of keys of RSA older versions want a signature with SHA-1 here.
        if !is_rsa(path) {
            succeed(&mut with_agent("ssh-add", &socket, &["-T", &format!("{path}.pub")]));
        }
        signs(&folder, &socket, path);
    }
    let refused = |arguments: &[&str]| {
        let output = run(&mut with_agent("ssh-add", &socket, arguments));
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
    };
    refused(&["-D"]);
    refused(&["-d", &format!("{}.pub", paths[0])]);
    refused(&[&folder.key("other", &["-t", "ed25519"])]);
    assert_eq!(succeed(&mut with_agent("ssh-add", &socket, &["-l"])), listed, "nothing was added or removed");
}

fn is_rsa(key: &str) -> bool {
    fs::read_to_string(format!("{key}.pub")).expect("a key").starts_with("ssh-rsa")
}

/// Has a file signed, and checked against the key that should have signed it.
fn signs(folder: &Folder, socket: &str, key: &str) {
    let (data, public) = (folder.path("data"), format!("{key}.pub"));
    fs::write(&data, "what is signed\n").expect("a file");
    let signature = format!("{data}.sig");
    let _ = fs::remove_file(&signature);
    succeed(&mut with_agent("ssh-keygen", socket, &["-Y", "sign", "-n", "x", "-f", &public, &data]));
    let allowed = folder.path("allowed");
    fs::write(&allowed, format!("who {}", fs::read_to_string(&public).expect("a key"))).expect("a file");
    let verify = |data: &str| {
        let data = fs::File::open(data).expect("a file");
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-f", &allowed, "-I", "who", "-n", "x", "-s", &signature]);
        command.stdin(data).output().expect("runs")
    };
    let output = verify(&data);
    assert!(output.status.success(), "{key}: {output:?}");
    fs::write(&data, "what is not\n").expect("a file");
    assert!(!verify(&data).status.success(), "{key}");
}

#[test]
fn an_agent_of_openssh_is_guarded() {
    if !are_installed(&OPENSSH) {
        return;
    }
    let folder = Folder::new();
    let real = folder.path("real");
    let _agent = {
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a", &real]).stdin(Stdio::null()).stdout(Stdio::null());
        Running(command.spawn().expect("starts"))
    };
    let late = Instant::now() + Duration::from_secs(60);
    while !Path::new(&real).exists() {
        assert!(Instant::now() < late, "the agent does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    let key = folder.key("key", &["-t", "ed25519"]);
    succeed(&mut with_agent("ssh-add", &real, &["-q", &key]));
    fs::remove_file(&key).expect("removed");
    let socket = {
        let real = real.clone();
        folder.serve(move || guard(UnixStream::connect(&real).expect("connects")).expect("a guard"))
    };
    let listed = succeed(&mut with_agent("ssh-add", &real, &["-l"]));
    assert_eq!(succeed(&mut with_agent("ssh-add", &socket, &["-l"])), listed);
    signs(&folder, &socket, &key);
    assert!(!run(&mut with_agent("ssh-add", &socket, &["-D"])).status.success());
    assert_eq!(
        succeed(&mut with_agent("ssh-add", &real, &["-l"])),
        listed,
        "the user's keys are still there"
    );
}

#[test]
fn keys_of_openssl_are_read_or_refused_by_name() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let folder = Folder::new();
    let read = |line: &str| {
        let path = folder.path("key");
        succeed(Command::new("openssl").args(line.split(' ')).args(["-out", &path]));
        let key = PrivateKey::read(&fs::read(&path).expect("a file"));
        key.map(|key| key.name()).map_err(|error| error.to_string())
    };
    assert_eq!(read("genpkey -algorithm ed25519"), Ok("ssh-ed25519"));
    assert_eq!(read("ecparam -name prime256v1 -genkey"), Ok("ecdsa-sha2-nistp256"));
    assert_eq!(read("ecparam -name secp384r1 -genkey -noout"), Ok("ecdsa-sha2-nistp384"));
    assert_eq!(read("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"), Ok("ecdsa-sha2-nistp384"));
    assert_eq!(read("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"), Ok("ssh-rsa"));
    for (line, kind) in [
        ("ecparam -name secp521r1 -genkey -noout", "ecdsa-sha2-nistp521"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", "ecdsa-sha2-nistp521"),
        ("ecparam -name secp256k1 -genkey -noout", "of this elliptic curve"),
        ("genpkey -algorithm x25519", "of this PKCS#8 file"),
    ] {
        let refused = read(line).expect_err("no key");
        assert!(refused.starts_with(&format!("ssh: unhandled key type {kind}: add it")), "{line}: {refused}");
    }
    let small = read("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024").expect_err("no key");
    assert!(small.starts_with("ssh: keys of RSA have 2048, 3072 or 4096 bits here, not 1024: "), "{small}");
}
