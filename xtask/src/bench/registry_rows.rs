//! wharf-registry beside Debian's docker-registry: manifests a second, blobs in both directions, memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::measure::{median, milliseconds};
use super::report::{Better, Report};
use crate::Outcome;

/// Connections that ask for manifests at once.
const CLIENTS: usize = 16;
/// Bytes of the large blob.
const LARGE: usize = 64 << 20;
/// Turns of each measurement; the two registries alternate.
const TURNS: usize = 5;
const PEER: &str = "docker-registry";
/// So that several registries at once have folders of their own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Measures both, turn by turn.
pub(super) fn run(binaries: &Path, report: &mut Report) -> Outcome {
    let docker = Contender::docker()?;
    let wharf = Contender::wharf(binaries)?;
    let (docker_image, wharf_image) = (docker.push_image()?, wharf.push_image()?);
    let content: Vec<u8> =
        (0..LARGE).map(|at| u8::try_from(((at * 31) ^ (at >> 12)) % 251).unwrap_or(0)).collect();
    let mut rows = [const { (Vec::new(), Vec::new()) }; 5];
    for turn in 0..TURNS {
        for (contender, image, is_wharf) in [(&docker, &docker_image, false), (&wharf, &wharf_image, true)] {
            let values = [
                contender.manifests(&format!("/v2/bench/manifests/{}", image.tag))?,
                contender.manifests(&format!("/v2/bench/manifests/{}", image.digest))?,
                contender.upload_large(&content, turn)?,
                contender.download_large()?,
                contender.upload_small(turn)?,
            ];
            for (row, value) in rows.iter_mut().zip(values) {
                if is_wharf { row.1.push(value) } else { row.0.push(value) }
            }
        }
    }
    let names = [
        ("registry: manifest GET by tag, 16 clients", "/s", Better::More, 20.0, 40.0),
        ("registry: manifest GET by digest, 16 clients", "/s", Better::More, 20.0, 40.0),
        ("registry: blob PUT, 64 MiB", "MB/s", Better::More, 2.0, 3.0),
        ("registry: blob GET, 64 MiB", "MB/s", Better::More, 1.8, 2.0),
        ("registry: small blob upload", "ms", Better::Less, 10.0, 20.0),
    ];
    for ((name, unit, better, reach, aim), (peer, own)) in names.into_iter().zip(rows) {
        let (peer, own) = (median(peer.into_iter()), median(own.into_iter()));
        report.ratio(name, unit, (PEER, peer), own, better, reach, aim);
    }
    let (peer, own) = (docker.memory(), wharf.memory());
    report.ratio("registry: peak RSS of all that", "KiB", (PEER, peer), own, Better::Less, 5.0, 8.0);
    Ok(())
}

/// A running registry.
pub(super) struct Contender {
    child: Child,
    /// Where it listens, on loopback.
    pub(super) address: String,
    work: PathBuf,
}

/// What was pushed for the manifests.
struct Image {
    tag: &'static str,
    digest: String,
}

impl Contender {
    fn docker() -> Result<Self, String> {
        Self::docker_with(None)
    }

    /// Debian's registry, with a copy of what another one holds.
    pub(super) fn docker_with(seed: Option<&Self>) -> Result<Self, String> {
        let places = [
            PathBuf::from("/usr/bin/docker-registry"),
            crate::reference::reference_root().join("usr/bin/docker-registry"),
        ];
        let program = places.into_iter().find(|path| path.is_file());
        let program = program.ok_or("the Debian package docker-registry is not installed")?;
        Self::start(PEER, |work, address| {
            if let Some(seed) = seed {
                let copied =
                    Command::new("cp").arg("-a").args([seed.work.join("data"), work.join("data")]).status();
                copied.map_err(|error| format!("cp: {error}"))?;
            }
            let config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
                 {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{address}\"}}\n",
                work.join("data").display()
            );
            std::fs::write(work.join("config.yml"), config).map_err(|error| error.to_string())?;
            let mut command = Command::new(&program);
            command.arg("serve").arg(work.join("config.yml"));
            Ok(command)
        })
    }

    fn wharf(binaries: &Path) -> Result<Self, String> {
        Self::start("wharf-registry", |work, address| {
            let mut command = Command::new(binaries.join("wharf-registry"));
            command.args(["serve", "--listen", address, "--root"]).arg(work.join("data"));
            Ok(command)
        })
    }

    fn start(name: &str, command: impl Fn(&Path, &str) -> Result<Command, String>) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{name}: {error}");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let work = PathBuf::from(format!("/var/tmp/wharf-bench-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&work).map_err(text)?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(text)?.to_string();
        let child = command(&work, &address)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let contender = Self { child, address, work };
        for _ in 0..500 {
            if contender.connect().is_ok() {
                return Ok(contender);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{name} did not answer"))
    }

    /// Takes its process out of what is accounted to the engines.
    pub(super) fn leave_accounts(&self) -> Outcome {
        let path = "/sys/fs/cgroup/cpuacct/cgroup.procs";
        std::fs::write(path, self.child.id().to_string()).map_err(|error| format!("{path}: {error}"))
    }

    fn connect(&self) -> Result<Connection, String> {
        let socket = TcpStream::connect(&self.address).map_err(|error| error.to_string())?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Connection { socket, buffer: vec![0; 256 * 1024] })
    }

    fn push_image(&self) -> Result<Image, String> {
        let mut connection = self.connect()?;
        let config = connection.upload(b"{}", "image")?;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2},
            "layers": [],
        })
        .to_string();
        let kind = "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n";
        let (status, head) =
            connection.ask("PUT", "/v2/bench/manifests/latest", kind, manifest.as_bytes())?;
        let digest = header(&head, "docker-content-digest");
        match (status, digest) {
            (201, Some(digest)) => Ok(Image { tag: "latest", digest: digest.to_owned() }),
            _ => Err(format!("push: {status} {head}")),
        }
    }

    /// Manifests a second.
    fn manifests(&self, target: &str) -> Result<f64, String> {
        let running = AtomicBool::new(true);
        let count = AtomicU32::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| {
            let (running, count) = (&running, &count);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(move || -> Outcome {
                        let mut connection = self.connect()?;
                        while running.load(Ordering::Relaxed) {
                            let (status, head) = connection.ask("GET", target, ACCEPT, b"")?;
                            if status != 200 {
                                return Err(format!("GET {target}: {status} {head}"));
                            }
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(1500));
            running.store(false, Ordering::Relaxed);
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| "a client failed".to_owned())?)
        })?;
        Ok(f64::from(count.load(Ordering::Relaxed)) / start.elapsed().as_secs_f64())
    }

    fn upload_large(&self, content: &[u8], turn: usize) -> Result<f64, String> {
        let mut bytes = content.to_vec();
        bytes.iter_mut().zip(turn.to_le_bytes()).for_each(|(byte, change)| *byte ^= change + 1);
        let mut connection = self.connect()?;
        let digest = oci::digest::Digest::of(&bytes).to_string();
        let start = Instant::now();
        connection.upload_known(&bytes, &digest)?;
        let seconds = start.elapsed().as_secs_f64();
        std::fs::write(self.work.join("large"), &digest).map_err(|error| error.to_string())?;
        Ok(megabytes(bytes.len()) / seconds)
    }

    fn download_large(&self) -> Result<f64, String> {
        let digest = std::fs::read_to_string(self.work.join("large")).map_err(|error| error.to_string())?;
        let mut connection = self.connect()?;
        let start = Instant::now();
        let (status, head) = connection.ask("GET", &format!("/v2/bench/blobs/{digest}"), "", b"")?;
        if status != 200 {
            return Err(format!("GET blob: {status} {head}"));
        }
        Ok(megabytes(LARGE) / start.elapsed().as_secs_f64())
    }

    /// Milliseconds for both requests of a blob of 1 KiB.
    fn upload_small(&self, turn: usize) -> Result<f64, String> {
        let mut connection = self.connect()?;
        let mut times = Vec::new();
        for number in 0..20 {
            let bytes = format!("{turn} {number} {}", "x".repeat(1024));
            let start = Instant::now();
            connection.upload(bytes.as_bytes(), "small")?;
            times.push(milliseconds(start.elapsed()));
        }
        Ok(median(times.into_iter()))
    }

    /// The most memory it ever held, KiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.work);
    }
}

const ACCEPT: &str = "Accept: application/vnd.docker.distribution.manifest.v2+json\r\n";

/// A connection that is kept.
struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Status and head of an answer whose body is read and forgotten.
    fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(u16, String), String> {
        let text = |error: std::io::Error| format!("{method} {target}: {error}");
        let mut message = format!("{method} {target} HTTP/1.1\r\nHost: bench\r\n{headers}").into_bytes();
        if method != "GET" {
            message.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        message.extend_from_slice(b"\r\n");
        if body.len() < 4096 {
            message.extend_from_slice(body);
            self.socket.write_all(&message).map_err(text)?;
        } else {
            self.socket.write_all(&message).and_then(|()| self.socket.write_all(body)).map_err(text)?;
        }
        let mut filled = 0;
        let end = loop {
            let count = self.socket.read(self.buffer.get_mut(filled..).unwrap_or_default()).map_err(text)?;
            if count == 0 {
                return Err(format!("{method} {target}: the connection ended"));
            }
            filled += count;
            let held = self.buffer.get(..filled).unwrap_or_default();
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let length: usize = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut left = length.saturating_sub(filled - end - 4);
        while left > 0 {
            let most = left.min(self.buffer.len());
            let count = self.socket.read(self.buffer.get_mut(..most).unwrap_or_default()).map_err(text)?;
            if count == 0 {
                return Err(format!("{method} {target}: the body ended early"));
            }
            left -= count;
        }
        Ok((status, head))
    }

    fn upload(&mut self, bytes: &[u8], what: &str) -> Result<String, String> {
        let digest = oci::digest::Digest::of(bytes).to_string();
        self.upload_known(bytes, &digest).map_err(|error| format!("{what}: {error}"))?;
        Ok(digest)
    }

    fn upload_known(&mut self, bytes: &[u8], digest: &str) -> Outcome {
        let (status, head) = self.ask("POST", "/v2/bench/blobs/uploads/", "", b"")?;
        let place = header(&head, "location").filter(|_| status == 202).ok_or_else(|| head.clone())?;
        let place =
            place.split_once("://").map_or(place, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        let sign = if place.contains('?') { '&' } else { '?' };
        let target = format!("{place}{sign}digest={digest}");
        let (status, head) = self.ask("PUT", &target, "Content-Type: application/octet-stream\r\n", bytes)?;
        if status == 201 { Ok(()) } else { Err(head) }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (held, value) = line.split_once(':')?;
        held.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes, shown with two digits")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
