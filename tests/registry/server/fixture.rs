//! A registry of a test's own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use registry_conformance::Client;
use serde_json::{Value, json};

/// A running `wharf-registry` with a folder of its own.
pub(crate) struct Server {
    child: Option<Child>,
    /// The folder; the registry's root is `root` in it.
    pub dir: PathBuf,
    /// `127.0.0.1:port`
    pub address: String,
}

/// The program, built before the tests.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().expect("know the test's own path");
    let beside = own.ancestors().map(|dir| dir.join("wharf-registry")).find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("no wharf-registry near {}: cargo build first", own.display()))
}

impl Server {
    /// Starts one with a configuration; its root and address are filled in.
    pub(crate) fn start(config: Value) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("wharf-registry-test-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("make a folder");
        let mut server = Self { child: None, dir, address: "127.0.0.1:0".to_owned() };
        server.configure(config);
        server.run();
        server
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, mut config: Value) {
        config["root"] = json!(self.dir.join("root"));
        std::fs::write(self.dir.join("config.json"), config.to_string()).expect("write the configuration");
    }

    /// Starts the process, again on the same port.
    pub(crate) fn run(&mut self) {
        let mut child = Command::new(program())
            .arg("serve")
            .arg("--config")
            .arg(self.dir.join("config.json"))
            .args(["--listen", &self.address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start wharf-registry");
        let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let Some(address) = first.strip_prefix("listening on ") else { panic!("{first}") };
        self.address = address.to_owned();
        // Its messages have to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill wharf-registry");
            child.wait().expect("wait for wharf-registry");
        }
    }

    /// Asks it to end and waits.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        testkit::engine::signal(child.id(), rustix::process::Signal::TERM);
        child.wait().expect("wait for wharf-registry")
    }

    /// A client without a name.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Collects; returns what the administrator's socket answers.
    pub(crate) fn collect(&self) -> std::io::Result<Value> {
        let answer = testkit::http::request(&self.socket(), "POST", "/admin/collect", &[], b"")?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Ok(answer.json())
    }

    /// The administrator's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("root/admin.sock")
    }

    /// Files below a folder of the root.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.dir.join("root").join(folder), &mut found);
        found
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => walk(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
