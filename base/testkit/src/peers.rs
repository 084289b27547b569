//! Docker's plugins; podman, buildah and skopeo, each command in a mount namespace where all they write is in a folder of the test's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engine::{Output, run};

/// Places they write to whatever they are told; each is covered by a folder.
const COVERED: [&str; 3] = ["/var/lib", "/run", "/dev/shm"];
const PROGRAMS: [&str; 3] = ["podman", "buildah", "skopeo"];

/// A plugin of Docker's command line, which also runs by itself: installed, in the reference's folder, or in the cache.
/// `None` with the reason printed where there is none.
pub fn docker_plugin(name: &str) -> Option<PathBuf> {
    let reference = std::env::var_os("REFERENCE_ROOT").unwrap_or_else(|| "/var/tmp/docker-reference".into());
    let found = [PathBuf::from("/"), reference.into(), crate::image::cache_dir()]
        .iter()
        .map(|root| root.join(plugin_path(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: docker-{name} is not installed");
    }
    found
}

/// Where a plugin is below a root.
pub fn plugin_path(name: &str) -> String {
    format!("usr/libexec/docker/cli-plugins/docker-{name}")
}

/// The three programs with a storage of their own.
#[derive(Debug)]
pub struct Peers {
    dir: PathBuf,
}

impl Peers {
    /// Prepares a folder below `dir`; `None` with the reason printed where a program is not installed.
    ///
    /// # Panics
    /// When the folder can't be made.
    pub fn new(dir: &Path) -> Option<Self> {
        if let Some(missing) = PROGRAMS.iter().find(|name| !Path::new("/usr/bin").join(name).is_file()) {
            println!("skipped: {missing} is not installed");
            return None;
        }
        let dir = dir.join("peers");
        for place in COVERED.iter().map(|place| covering(&dir, place)).chain([dir.join("tmp")]) {
            std::fs::create_dir_all(place).expect("make a folder for podman");
        }
        let storage = "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/containers\"\nrunroot = \"/run/containers\"\n";
        std::fs::write(dir.join("storage.conf"), storage).expect("configure podman");
        std::fs::write(dir.join("registries.conf"), "").expect("configure podman");
        std::fs::write(dir.join("containers.conf"), "").expect("configure podman");
        Some(Self { dir })
    }

    /// Runs podman.
    pub fn podman(&self, arguments: &[&str]) -> Output {
        self.run("podman", &["--cgroup-manager", "cgroupfs", "--events-backend", "none"], arguments)
    }

    /// Runs buildah.
    pub fn buildah(&self, arguments: &[&str]) -> Output {
        self.run("buildah", &[], arguments)
    }

    /// Runs skopeo.
    pub fn skopeo(&self, arguments: &[&str]) -> Output {
        self.run("skopeo", &["--insecure-policy"], arguments)
    }

    fn run(&self, program: &str, before: &[&str], arguments: &[&str]) -> Output {
        let cover =
            COVERED.map(|place| format!("mount --bind '{}' {place}", covering(&self.dir, place).display()));
        let script = format!("{} && exec \"$@\"", cover.join(" && "));
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh", program]).args(before).args(arguments);
        command
            .env("CONTAINERS_STORAGE_CONF", self.dir.join("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.dir.join("registries.conf"))
            .env("CONTAINERS_CONF", self.dir.join("containers.conf"))
            .env("HOME", self.dir.join("tmp"))
            .env("TMPDIR", self.dir.join("tmp"));
        run(&mut command, None)
    }
}

fn covering(dir: &Path, place: &str) -> PathBuf {
    dir.join(place.trim_start_matches('/').replace('/', "-"))
}
