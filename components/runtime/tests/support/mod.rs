//! A container made of busybox, for tests.

use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use linux::pidfd::{self, Exit};
use oci::runtime::{Capabilities, Linux, Mount, Namespace, NamespaceType, Process, Root, Spec, User};
use runtime::{CgroupPlacement, CreateRequest, Created, ExecRequest, RootTree, Stdio};

/// A directory with a root file system, removed at the end.
pub struct Bundle {
    pub path: PathBuf,
    pub id: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Bundle {
    /// A new one. The id is unique on the machine.
    pub fn new() -> Self {
        let id = format!("wharf-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(&id);
        let root = path.join("rootfs");
        for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "home/user"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        testkit::image::copy_program(&testkit::image::busybox_program(), &root.join("bin/busybox"));
        for name in [
            "sh", "ls", "cat", "echo", "id", "sleep", "mount", "stat", "touch", "hostname", "true", "tty",
            "ps", "kill", "head", "readlink", "test", "mkdir", "ln", "grep", "tr", "env", "pwd", "mv", "rm",
            "dd", "chmod", "mknod", "printf",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        std::fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        )
        .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
        Self { path, id }
    }

    pub fn root(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// What `docker run` makes of a shell script, about.
    pub fn spec(&self, script: &str) -> Spec {
        Spec {
            oci_version: "1.3.0".into(),
            process: Some(process(&["sh", "-c", script])),
            root: Some(Root { path: "rootfs".into(), readonly: false }),
            hostname: "box".into(),
            mounts: default_mounts(),
            linux: Some(Linux {
                namespaces: [
                    NamespaceType::Pid,
                    NamespaceType::Mount,
                    NamespaceType::Uts,
                    NamespaceType::Ipc,
                    NamespaceType::Network,
                    NamespaceType::Cgroup,
                ]
                .map(|kind| Namespace { kind, path: String::new() })
                .into(),
                masked_paths: [
                    "/proc/kcore",
                    "/proc/keys",
                    "/proc/timer_list",
                    "/proc/scsi",
                    "/sys/firmware",
                    "/proc/acpi",
                ]
                .map(str::to_owned)
                .into(),
                readonly_paths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
                    .map(str::to_owned)
                    .into(),
                ..Linux::default()
            }),
            ..Spec::default()
        }
    }

    pub fn request(&self, spec: Spec) -> CreateRequest {
        CreateRequest {
            root: RootTree::Directory(self.root()),
            cgroup: Some(CgroupPlacement { path: format!("/{}", self.id), resources: None }),
            ..CreateRequest::new(&self.id, spec, &self.path)
        }
    }

    /// Runs a script to its end: what it printed (both streams) and how it ended.
    pub fn run(&self, spec: Spec) -> (String, Exit) {
        let mut request = self.request(spec);
        let output = Output::new();
        request.stdio = output.stdio();
        let mut created = runtime::create(request).unwrap();
        created.start().unwrap();
        self.finish(created, output)
    }

    /// Waits for a started container.
    pub fn finish(&self, created: Created, output: Output) -> (String, Exit) {
        let text = output.text();
        let exit = pidfd::wait(created.pidfd.as_fd()).unwrap();
        remove(created);
        (text, exit)
    }

    /// The error of making a container that cannot be made.
    pub fn error(&self, spec: Spec) -> String {
        let mut request = self.request(spec);
        request.stdio = Output::new().stdio();
        match runtime::create(request) {
            Ok(created) => {
                end(created);
                panic!("it was made");
            }
            Err(error) => model::error::chain(&error),
        }
    }

    /// A container that sleeps.
    pub fn sleeper(&self, spec: Spec) -> Created {
        let mut request = self.request(spec);
        request.stdio = Output::new().stdio();
        let mut created = runtime::create(request).unwrap();
        created.start().unwrap();
        created
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Kills and reaps a container and removes its cgroup.
pub fn end(created: Created) {
    let _ = pidfd::send_signal(created.pidfd.as_fd(), 9);
    let _ = pidfd::wait(created.pidfd.as_fd());
    remove(created);
}

fn remove(created: Created) {
    if let Some(cgroup) = created.cgroup {
        cgroup.remove(std::time::Duration::from_secs(5)).unwrap();
    }
}

/// A pipe for both output streams.
pub struct Output {
    reader: std::io::PipeReader,
    writer: OwnedFd,
}

impl Output {
    pub fn new() -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        Self { reader, writer: writer.into() }
    }

    pub fn stdio(&self) -> Stdio {
        let stdin = std::fs::File::open("/dev/null").unwrap().into();
        Stdio::Descriptors {
            stdin,
            stdout: self.writer.try_clone().unwrap(),
            stderr: self.writer.try_clone().unwrap(),
        }
    }

    pub fn text(self) -> String {
        let Self { mut reader, writer } = self;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }
}

/// Runs one more process to its end.
pub fn exec(created: &Created, process: Process) -> Result<(String, Exit), String> {
    let output = Output::new();
    let request = ExecRequest::new(created.pidfd.try_clone().unwrap(), created.pid, process, output.stdio());
    let made = runtime::exec(request).map_err(|error| model::error::chain(&error))?;
    let text = output.text();
    Ok((text, pidfd::wait(made.pidfd.as_fd()).unwrap()))
}

pub fn process(args: &[&str]) -> Process {
    let defaults = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let names: Vec<String> = defaults.map(str::to_owned).into();
    Process {
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: vec!["PATH=/usr/local/bin:/usr/bin:/bin".into(), "TERM=xterm".into()],
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Capabilities::default()
        }),
        ..Process::default()
    }
}

pub fn with_user(mut spec: Spec, uid: u32, gid: u32, additional: &[u32]) -> Spec {
    let user = User { uid, gid, additional_gids: additional.into(), ..User::default() };
    spec.process.as_mut().unwrap().user = user;
    spec
}

pub fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        kind: kind.into(),
        source: source.into(),
        destination: destination.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

pub fn default_mounts() -> Vec<Mount> {
    vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ]
}
