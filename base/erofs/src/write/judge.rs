//! A second opinion on images: `fsck.erofs` of the format's own tools, where the machine has one that is new enough.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Blocks smaller than a page are understood since then.
const FIRST: (u32, u32) = (1, 8);

static ABLE: LazyLock<bool> = LazyLock::new(|| match version() {
    Some(found) if found >= FIRST => true,
    Some((major, minor)) => {
        eprintln!("not judged: fsck.erofs {major}.{minor} does not know blocks of 512 bytes");
        false
    }
    None => {
        eprintln!("not judged: this machine has no fsck.erofs");
        false
    }
});

/// Has the image and the tars it points into read from end to end and unpacked; where to.
pub fn judge(place: &Path, image: &[u8], tars: &[&[u8]]) -> Option<PathBuf> {
    if !*ABLE {
        return None;
    }
    let target = place.join("judged-tree");
    let _ = std::fs::remove_dir_all(&target);
    let file = place.join("judged");
    std::fs::write(&file, image).unwrap();
    let mut command = Command::new("fsck.erofs");
    command.arg(format!("--extract={}", target.display())).args(["--preserve", "--xattrs"]);
    for (number, tar) in tars.iter().enumerate() {
        let device = place.join(format!("judged-{number}"));
        std::fs::write(&device, tar).unwrap();
        command.arg(format!("--device={}", device.display()));
    }
    let output = command.arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "fsck.erofs: {}", String::from_utf8_lossy(&said));
    Some(target)
}

fn version() -> Option<(u32, u32)> {
    let output = Command::new("fsck.erofs").arg("-V").output().ok()?;
    // Older ones say it on standard error.
    let said = String::from_utf8([output.stdout, output.stderr].concat()).ok()?;
    let number = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let (major, rest) = number.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}
