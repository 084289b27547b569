//! `cargo xtask golden [FILE] [--check]`: records the parity suite from a live Docker engine.
//!
//! The engine is the reference engine's dockerd, started here on roots of its own and in a network namespace of its
//! own, so that nothing else on the machine is touched. `--check` compares with wharf's CLI as the program instead of
//! writing: the third pairing, wharf's command line against Docker's engine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::parity::{self, Target};

use crate::{Outcome, root};

/// Records all case files, or those whose name contains one of the arguments.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let check = arguments.iter().any(|argument| argument == "--check");
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let reference = Reference::start()?;
    let program = if check { crate::build::target_dir()?.join("debug/wharf") } else { docker_cli()? };
    let work_dir = reference.work.join("client");
    let link = reference.work.join("bin/docker");
    std::fs::create_dir_all(reference.work.join("bin")).map_err(|error| error.to_string())?;
    std::os::unix::fs::symlink(program, &link).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&work_dir).map_err(|error| error.to_string())?;
    let target = Target { program: link, socket: reference.socket.clone(), work_dir };
    let mut differences = String::new();
    for path in case_files(&names)? {
        let golden = path.with_extension("golden");
        let seen: Vec<_> =
            parity::read(&path).iter().map(|block| parity::run_block(&target, block)).collect();
        println!(
            "{}: {} steps",
            path.file_name().unwrap_or_default().to_string_lossy(),
            parity::count_steps(&parity::read(&path))
        );
        if check {
            differences.push_str(&parity::differences(&parity::read(&golden), &seen));
        } else {
            std::fs::write(&golden, parity::render(&seen))
                .map_err(|error| format!("{}: {error}", golden.display()))?;
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(format!("wharf's command line on Docker's engine differs:\n{differences}"))
    }
}

fn case_files(names: &[&String]) -> Result<Vec<PathBuf>, String> {
    let dir = root().join("tests/e2e/parity");
    let list = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut paths: Vec<PathBuf> = list
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parity"))
        .filter(|path| {
            names.is_empty() || names.iter().any(|name| path.to_string_lossy().contains(name.as_str()))
        })
        .collect();
    paths.sort();
    Ok(paths)
}

fn docker_cli() -> Result<PathBuf, String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|dir| dir.join("docker"))
        .find(|path| path.is_file())
        .ok_or("no docker command on this machine to record with".to_owned())
}

/// A dockerd of the reference engine that belongs to this run.
pub(crate) struct Reference {
    child: Child,
    /// The API socket, as seen from outside the reference root.
    pub socket: PathBuf,
    work: PathBuf,
}

/// Where the reference engine's root folder is.
pub(crate) fn reference_root() -> PathBuf {
    std::env::var_os("REFERENCE_ROOT")
        .map_or_else(|| PathBuf::from("/var/tmp/docker-reference"), PathBuf::from)
}

/// The script that sets the reference engine up.
pub(crate) fn reference_tool() -> PathBuf {
    std::env::var_os("REFERENCE_ENGINE")
        .map_or_else(|| root().join("../shared/tools/reference-engine"), PathBuf::from)
}

impl Reference {
    fn start() -> Result<Self, String> {
        let reference = reference_root();
        if !reference.join("usr/sbin/dockerd").exists() {
            return Err(format!("no reference engine: run `{} setup` first", reference_tool().display()));
        }
        let name = format!("parity-{}", std::process::id());
        let socket = reference.join(format!("run/{name}.sock"));
        let work = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        let script = format!(
            "ip link set lo up; exec {tool} run dockerd -H unix:///run/{name}.sock --data-root /var/lib/{name} \
             --exec-root /run/{name} --pidfile /run/{name}.pid --bip 172.31.0.1/16",
            tool = reference_tool().display()
        );
        let log = std::fs::File::create(work.join("dockerd.log")).map_err(|error| error.to_string())?;
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("start the reference engine: {error}"))?;
        let started = Self { child, socket, work };
        started.wait()?;
        started.import_busybox()?;
        Ok(started)
    }

    fn wait(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if testkit::http::get(&self.socket, "/_ping").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("the reference engine did not answer, see {}", self.work.join("dockerd.log").display()))
    }

    fn import_busybox(&self) -> Outcome {
        let tar = std::fs::read(testkit::image::busybox_tar()).map_err(|error| error.to_string())?;
        let target = "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D";
        let answer = testkit::http::request(
            &self.socket,
            "POST",
            target,
            &[("Content-Type", "application/x-tar")],
            &tar,
        )
        .map_err(|error| format!("import busybox: {error}"))?;
        if answer.status == 200 { Ok(()) } else { Err(format!("import busybox: {}", answer.text())) }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let name = format!("parity-{}", std::process::id());
        let pid =
            std::fs::read_to_string(reference_root().join(format!("run/{name}.pid"))).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            signal(pid);
        }
        let _ = self.child.wait();
        remove(&reference_root().join("var/lib").join(&name));
        remove(&reference_root().join("run").join(&name));
        remove(&self.work);
    }
}

fn signal(pid: u32) {
    testkit::engine::signal(pid, rustix::process::Signal::TERM);
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("xtask: left behind {}: {error}", path.display());
    }
}
