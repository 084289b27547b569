//! Registries for one test: `wharf-registry` or Debian's docker-registry, open or with accounts, and images to find there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The account of registries that have accounts.
pub const USER: &str = "tester";
/// Its password.
pub const PASSWORD: &str = "canary-3f9a";
/// Its line in an htpasswd file (bcrypt).
const ACCOUNT: &str = "tester:$2y$05$wharfwharfwharfwharfweB6l1GRVZafX9HZYcy4udeP4vRXR95gi\n";

/// A running registry that belongs to the test, with a few images in it.
///
/// `seed/box:1`, `seed/box:2` and `seed/box:latest` run (busybox, two more layers in `2`); `seed/tiny:1` (docker's documents)
/// and `seed/oci:1` (OCI's) are the same bytes everywhere and always; `seed/multi:1` lists an image for this machine and one
/// for another.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    dir: PathBuf,
    address: String,
}

/// Which registry program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Ours.
    Wharf,
    /// Debian's `docker-registry`.
    Docker,
}

impl Program {
    /// Ours.
    pub fn any() -> Self {
        Self::Wharf
    }

    /// The program's file, if this machine has it.
    fn path(self) -> Option<PathBuf> {
        match self {
            Self::Wharf => Some(crate::engine::binary_dir().join("wharf-registry")),
            Self::Docker => {
                let reference = std::env::var_os("REFERENCE_ROOT")
                    .map_or_else(|| PathBuf::from("/var/tmp/docker-reference"), PathBuf::from);
                [PathBuf::from("/usr/bin/docker-registry"), reference.join("usr/bin/docker-registry")]
                    .into_iter()
                    .find(|path| path.is_file())
            }
        }
    }

    /// Whether this machine has it.
    pub fn is_there(self) -> bool {
        self.path().is_some_and(|path| path.is_file())
    }
}

impl Registry {
    /// Starts one in a folder of its own below `dir`, on a free port of the loopback interface.
    ///
    /// # Panics
    /// When the machine does not have the program, or it does not start.
    pub fn start(program: Program, dir: &Path, accounts: bool) -> Self {
        let dir = dir.join(if accounts { "registry-accounts" } else { "registry" });
        std::fs::create_dir_all(&dir).expect("make the registry's folder");
        let htpasswd = dir.join("htpasswd");
        std::fs::write(&htpasswd, ACCOUNT).expect("write an account");
        let path = program.path().expect("a registry (Debian package docker-registry)");
        let mut command = Command::new(path);
        match program {
            Program::Wharf => {
                let mut config = json!({"root": dir.join("data"), "listen": ["127.0.0.1:0"]});
                if accounts {
                    config["accounts"] = json!({"htpasswd": htpasswd});
                }
                let path = dir.join("config.json");
                std::fs::write(&path, config.to_string()).expect("configure the registry");
                command.arg("serve").arg("--config").arg(path);
            }
            Program::Docker => {
                let config = dir.join("config.yml");
                std::fs::write(&config, docker_config(&dir, accounts.then_some(&htpasswd)))
                    .expect("configure the registry");
                command.arg("serve").arg(config);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start a registry");
        let address = listening(&mut child);
        let registry = Self { child, dir, address };
        registry.seed(accounts);
        registry
    }

    /// Starts ours with a configuration of the caller's (`listen`, `tls`, ...) in a folder of its own below `dir`; empty.
    ///
    /// # Panics
    /// When it does not start.
    pub fn empty(dir: &Path, mut config: Value) -> Self {
        let dir = dir.join("registry-empty");
        std::fs::create_dir_all(&dir).expect("make the registry's folder");
        config["root"] = json!(dir.join("data"));
        let path = dir.join("config.json");
        std::fs::write(&path, config.to_string()).expect("configure the registry");
        let mut command = Command::new(Program::Wharf.path().expect("wharf-registry"));
        command.arg("serve").arg("--config").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("start a registry");
        let address = listening(&mut child);
        Self { child, dir, address }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    fn seed(&self, accounts: bool) {
        let seeder = Seeder { address: &self.address, accounts };
        let busybox = std::fs::read(crate::image::busybox_tar()).expect("read busybox");
        // Not the very layer that engines have as `busybox`, so that there is something to fetch.
        let layers = [
            joined(&busybox, &tar_of("seed-0", "zero\n")),
            tar_of("seed-1", "one\n"),
            tar_of("seed-2", &"two\n".repeat(1000)),
        ];
        let small = seeder.image("seed/box", &layers[..1], host_architecture(), Dialect::Docker);
        let large = seeder.image("seed/box", &layers, host_architecture(), Dialect::Docker);
        for (tag, document) in [("1", &small), ("latest", &small), ("2", &large)] {
            seeder.manifest("seed/box", tag, Dialect::Docker, document);
        }
        let tiny = seeder.image("seed/tiny", &[tar_of("tiny", "tiny\n")], "amd64", Dialect::Docker);
        seeder.manifest("seed/tiny", "1", Dialect::Docker, &tiny);
        let oci = seeder.image("seed/oci", &[tar_of("oci", "oci\n")], "riscv64", Dialect::Oci);
        seeder.manifest("seed/oci", "1", Dialect::Oci, &oci);
        let own = seeder.image("seed/multi", &layers[..1], host_architecture(), Dialect::Docker);
        let other = seeder.image("seed/multi", &[tar_of("other", "other\n")], "s390x", Dialect::Docker);
        let mut entries = Vec::new();
        for (document, architecture) in [(&own, host_architecture()), (&other, "s390x")] {
            let digest = seeder.manifest("seed/multi", "", Dialect::Docker, document);
            entries.push(json!({
                "mediaType": Dialect::Docker.manifest(), "size": document.len(), "digest": digest,
                "platform": {"architecture": architecture, "os": "linux"}
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": entries}).to_string();
        seeder.put_manifest("seed/multi", "1", DOCKER_INDEX, index.as_bytes());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Go's word for the processor tests run on.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn docker_config(dir: &Path, htpasswd: Option<&PathBuf>) -> String {
    let auth = htpasswd.map_or_else(String::new, |path| {
        format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display())
    });
    format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n{auth}",
        dir.join("data").display()
    )
}

/// Reads the log until it tells the address, then on in a thread, so that the pipe never fills.
fn listening(child: &mut Child) -> String {
    let mut log = BufReader::new(child.stderr.take().expect("the registry's log"));
    let mut seen = String::new();
    let address = loop {
        let mut line = String::new();
        let count = log.read_line(&mut line).expect("read the registry's log");
        assert!(count > 0, "the registry ended at its start:\n{seen}");
        if let Some((_, rest)) = line.split_once("listening on ") {
            let end =
                rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':'))).unwrap_or(rest.len());
            break rest[..end].to_owned();
        }
        seen.push_str(&line);
    };
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    address
}

/// Docker's and OCI's names of documents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Docker,
    Oci,
}

const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Dialect {
    fn manifest(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// Puts images into a registry without any client library.
struct Seeder<'a> {
    address: &'a str,
    accounts: bool,
}

impl Seeder<'_> {
    /// Uploads configuration and layers; the manifest.
    fn image(&self, name: &str, layers: &[Vec<u8>], architecture: &str, dialect: Dialect) -> String {
        let mut described = Vec::new();
        for layer in layers {
            let packed = piped("gzip", &["-n", "-9"], layer);
            let digest = self.blob(name, &packed);
            described.push(json!({"mediaType": dialect.layer(), "size": packed.len(), "digest": digest}));
        }
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": diff_ids.iter().map(|_| json!({"created": "2024-01-02T03:04:05Z", "created_by": "seed"})).collect::<Vec<Value>>(),
        })
        .to_string();
        let digest = self.blob(name, config.as_bytes());
        json!({
            "schemaVersion": 2, "mediaType": dialect.manifest(),
            "config": {"mediaType": dialect.config(), "size": config.len(), "digest": digest},
            "layers": described,
        })
        .to_string()
    }

    /// Writes a manifest under a tag, or its digest when there is none.
    fn manifest(&self, name: &str, tag: &str, dialect: Dialect, document: &str) -> String {
        self.put_manifest(name, tag, dialect.manifest(), document.as_bytes())
    }

    fn put_manifest(&self, name: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let target = if tag.is_empty() { &digest } else { tag };
        let (status, answer) =
            self.request("PUT", &format!("/v2/{name}/manifests/{target}"), media_type, bytes);
        assert_eq!(status, 201, "{answer}");
        digest
    }

    fn blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let (status, answer) = self.request("POST", &format!("/v2/{name}/blobs/uploads/"), "", b"");
        assert_eq!(status, 202, "{answer}");
        let location = answer
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("location")))
            .map(|(_, value)| value.trim().to_owned())
            .expect("an upload has a location");
        let path = location.strip_prefix(&format!("http://{}", self.address)).unwrap_or(&location).to_owned();
        let joint = if path.contains('?') { '&' } else { '?' };
        let target = format!("{path}{joint}digest={digest}");
        let (status, answer) = self.request("PUT", &target, "application/octet-stream", bytes);
        assert_eq!(status, 201, "{answer}");
        digest
    }

    fn request(&self, method: &str, target: &str, media_type: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).expect("reach the registry");
        stream.set_read_timeout(Some(crate::patience(60))).expect("set a time limit");
        let length = body.len();
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n",
            self.address
        );
        if !media_type.is_empty() {
            head.push_str(&format!("Content-Type: {media_type}\r\n"));
        }
        if self.accounts {
            let pair = piped("base64", &["-w0"], format!("{USER}:{PASSWORD}").as_bytes());
            head.push_str(&format!("Authorization: Basic {}\r\n", String::from_utf8_lossy(&pair)));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("ask the registry");
        stream.write_all(body).expect("send to the registry");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read the registry's answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }
}

/// A tar with one file: the same bytes always.
fn tar_of(name: &str, content: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content.as_bytes());
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// One tar of two.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let end = first.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(512));
    [&first[..end], second].concat()
}

/// The digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let answer = piped("sha256sum", &[], bytes);
    format!("sha256:{}", String::from_utf8_lossy(&answer).split(' ').next().unwrap_or_default())
}

/// What a program makes of its input.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {program}: {error}"));
    let (mut stdin, bytes) = (child.stdin.take().expect("its input"), input.to_vec());
    let feeder = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("wait for it");
    feeder.join().expect("feed it").expect("feed it");
    assert!(output.status.success(), "{program} failed");
    output.stdout
}
