//! A folder of the test's own, and clients that know nothing but it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::engine::{Output, binary_dir, run};

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/var/tmp/wharf-test/front-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("make a folder");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as text.
    pub(super) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A client whose configuration is this folder and whose environment says nothing else.
    pub(super) fn client(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for name in ["HOST", "CONTEXT", "API_VERSION", "TLS", "TLS_VERIFY", "CERT_PATH"] {
            command.env_remove(format!("DOCKER_{name}")).env_remove(format!("WHARF_{name}"));
        }
        command.env("DOCKER_CONFIG", self.path()).args(arguments);
        command
    }

    /// Runs wharf's own client.
    pub(super) fn wharf(&self, arguments: &[&str]) -> Output {
        run(&mut self.client(&binary_dir().join("wharf"), arguments), None)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
