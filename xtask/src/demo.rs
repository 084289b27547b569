//! `cargo xtask demo`: from nothing to running containers on a fresh Debian machine, and back to nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Outcome, build, packages};

/// Builds wharf, makes a Debian image, runs a shell command and a web server in containers, shows what is there.
pub(crate) fn run() -> Outcome {
    packages::ensure(packages::IMAGES)?;
    step("building wharf (release)");
    let binaries = build::binaries("release")?;
    step("making a Debian image from packages (kept in the cache for the next time)");
    let debian = testkit::image::debian_tar();
    let busybox = testkit::image::busybox_tar();
    let demo = Demo::start(binaries)?;
    let result = demo.tell(&debian, &busybox);
    step("cleaning up");
    drop(demo);
    result
}

fn step(text: &str) {
    println!("\n\x1b[1m# {text}\x1b[0m");
}

/// An engine on a data directory of its own.
struct Demo {
    binaries: PathBuf,
    root: PathBuf,
    engine: std::process::Child,
}

/// The group the demo's containers live below.
const CGROUP_PARENT: &str = "/wharf-demo";

impl Demo {
    fn start(binaries: PathBuf) -> Result<Self, String> {
        step("starting an engine on a data directory of its own");
        let root = std::env::temp_dir().join(format!("wharf-demo-{}", std::process::id()));
        std::fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        let log = std::fs::File::create(root.join("wharfd.log")).map_err(|error| error.to_string())?;
        let engine = Command::new(binaries.join("wharfd"))
            .args(["--config-file", "/dev/null", "--bridge-name", "wharfdemo0", "--bip", "10.212.0.1/24"])
            .args(["--cgroup-parent", CGROUP_PARENT])
            .arg("--data-root")
            .arg(root.join("data"))
            .arg("--exec-root")
            .arg(root.join("exec"))
            .arg("--pidfile")
            .arg(root.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}/wharf.sock", root.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("start wharfd: {error}"))?;
        let demo = Self { binaries, root, engine };
        demo.wait()?;
        Ok(demo)
    }

    fn wait(&self) -> Outcome {
        let start = Instant::now();
        while start.elapsed().as_secs() < 20 {
            if testkit::http::get(&self.root.join("wharf.sock"), "/_ping")
                .is_ok_and(|answer| answer.status == 200)
            {
                println!("the engine answered after {} ms", start.elapsed().as_millis());
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        Err(std::fs::read_to_string(self.root.join("wharfd.log")).unwrap_or_default())
    }

    fn tell(&self, debian: &Path, busybox: &Path) -> Outcome {
        self.wharf(&["import", "-c", "CMD [\"bash\"]", &debian.to_string_lossy(), "debian:bookworm"])?;
        self.wharf(&["import", "-c", "CMD [\"sh\"]", &busybox.to_string_lossy(), "busybox"])?;
        self.wharf(&["images"])?;
        step("a shell command in a Debian container");
        self.wharf(&[
            "run",
            "--rm",
            "debian:bookworm",
            "bash",
            "-c",
            "grep PRETTY /etc/os-release; id; ps 2>/dev/null || ls /proc | grep -c '^[0-9]'",
        ])?;
        step("a web server in a container, its port published on this machine");
        let page = "mkdir /www && echo 'hello from wharf' >/www/index.html && exec httpd -f -v -h /www";
        self.wharf(&["run", "-d", "--name", "web", "-p", "127.0.0.1:18089:80", "busybox", "sh", "-c", page])?;
        self.fetch("127.0.0.1:18089")?;
        self.wharf(&["ps"])?;
        self.wharf(&["logs", "web"])?;
        self.wharf(&["stats", "--no-stream"])?;
        self.wharf(&["exec", "web", "ps"])?;
        self.wharf(&["rm", "-f", "web"])?;
        self.wharf(&["ps", "-a"])
    }

    /// Runs wharf's command line, showing the command and what it prints.
    fn wharf(&self, arguments: &[&str]) -> Outcome {
        println!("\n$ wharf {}", arguments.join(" "));
        let start = Instant::now();
        let status = Command::new(self.binaries.join("wharf"))
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}/wharf.sock", self.root.display()))
            .env("DOCKER_CONFIG", self.root.join("config"))
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("start wharf: {error}"))?;
        println!("({} ms)", start.elapsed().as_millis());
        if status.success() { Ok(()) } else { Err(format!("wharf {} failed: {status}", arguments.join(" "))) }
    }

    fn fetch(&self, address: &str) -> Outcome {
        use std::io::{Read as _, Write as _};
        println!("\n$ fetch http://{address}/");
        let start = Instant::now();
        loop {
            let mut answer = String::new();
            let asked = std::net::TcpStream::connect(address).and_then(|mut stream| {
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
                stream.read_to_string(&mut answer)
            });
            if asked.is_ok() && answer.contains("hello from wharf") {
                println!("{}", answer.lines().last().unwrap_or_default());
                return Ok(());
            }
            if start.elapsed().as_secs() > 10 {
                return Err(format!("the page did not come: {asked:?} {answer}"));
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        testkit::engine::signal(self.engine.id(), rustix::process::Signal::TERM);
        let _ = self.engine.wait();
        let _ = Command::new("ip").args(["link", "delete", "wharfdemo0"]).output();
        testkit::census::remove_empty_groups(CGROUP_PARENT);
        if let Err(error) = std::fs::remove_dir_all(&self.root) {
            eprintln!("xtask: left behind {}: {error}", self.root.display());
        }
    }
}
