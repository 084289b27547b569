//! A small disk in a mount namespace of its own, for engines that shall run out of space.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the disk is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Memory: full at once when it is full.
    Memory,
    /// ext4 in a file: what is written may turn out not to fit only later.
    Ext4,
}

/// A mounted disk; gone with its last user after it is dropped.
#[derive(Debug)]
pub struct Disk {
    /// Keeps the namespace as long as its input is open.
    holder: Child,
    path: PathBuf,
}

const FILLER: &str = "filler";

impl Disk {
    /// Mounts a disk of so many mebibytes over a folder; `image` is the file behind one that needs it.
    pub fn mount(kind: Kind, path: &Path, image: &Path, mebibytes: u32) -> Self {
        let mount = match kind {
            Kind::Memory => format!("mount -t tmpfs -o size={mebibytes}m disk \"$1\""),
            Kind::Ext4 => format!(
                "truncate -s {mebibytes}M \"$2\" && mkfs.ext4 -q -m 0 \"$2\" && mount -o loop \"$2\" \"$1\""
            ),
        };
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &format!("{mount} && echo ready && exec cat"), "sh"])
            .args([path, image])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the holder of a disk");
        let mut line = String::new();
        let said = holder.stdout.as_mut().expect("the holder's output");
        BufReader::new(said).read_line(&mut line).expect("wait for the disk");
        assert_eq!(line.trim(), "ready", "the disk is mounted");
        Self { holder, path: path.to_owned() }
    }

    /// A command that sees the disk.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m"]).arg(program);
        command
    }

    /// The disk's folder as everybody can reach it.
    pub fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }

    /// Writes until nothing fits any more.
    pub fn fill(&self) {
        let path = self.path().join(FILLER);
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(path).expect("make the filler");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).and_then(|()| file.sync_all()).is_ok() {}
        }
    }

    /// Gives the space back.
    pub fn free(&self) {
        std::fs::remove_file(self.path().join(FILLER)).expect("remove the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
