//! The file system of an image, as an engine exports it: of each path what can be compared between engines.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::corpus::TIME;
use crate::http;
use crate::parity::Target;

/// Made for each container, whatever the image has.
const OF_CONTAINER: [&str; 8] =
    ["dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"];

/// The files of an image by path, each with what is compared; none when there is no such image.
pub(crate) fn listing(target: &Target, image: &str) -> Option<BTreeMap<String, String>> {
    let tar = export(target, image)?;
    let place = target.work_dir.join("listing");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("make a folder");
    let mut unpack = Command::new("tar");
    unpack.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "-", "-C"]).arg(&place);
    let unpacked = crate::engine::run(&mut unpack, Some(&tar));
    assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
    let mut tree = Tree { sums: sums(&place), root: place, links: BTreeMap::new(), found: BTreeMap::new() };
    tree.walk(Path::new(""));
    std::fs::remove_dir_all(&tree.root).expect("remove the folder");
    Some(tree.found)
}

fn export(target: &Target, image: &str) -> Option<Vec<u8>> {
    let document = serde_json::json!({"Image": image, "Cmd": ["/nothing"]});
    let made = http::post(&target.socket, "/containers/create", &document).expect("make a container");
    if made.status != 201 {
        return None;
    }
    let id = made.json()["Id"].as_str().expect("an id").to_owned();
    let tar = http::get(&target.socket, &format!("/containers/{id}/export")).expect("export").body;
    http::request(&target.socket, "DELETE", &format!("/containers/{id}?force=1"), &[], b"").expect("remove");
    Some(tar)
}

/// The beginnings of the SHA-256 sums of all files, taken by few processes.
fn sums(root: &Path) -> BTreeMap<String, String> {
    let script = "find . -type f -print0 | xargs -0 -r sha256sum -z --";
    let summed = crate::engine::run(Command::new("sh").args(["-c", script]).current_dir(root), None);
    assert_eq!(summed.code, 0, "{}", summed.stderr);
    let lines = summed.stdout.split_terminator('\0');
    lines.filter_map(|line| Some((line.get(68..)?.to_owned(), line.get(..12)?.to_owned()))).collect()
}

struct Tree {
    root: PathBuf,
    sums: BTreeMap<String, String>,
    /// The first name of each file that has several, by its number.
    links: BTreeMap<u64, String>,
    found: BTreeMap<String, String>,
}

impl Tree {
    fn walk(&mut self, below: &Path) {
        let folder = std::fs::read_dir(self.root.join(below)).expect("list a folder");
        let mut names: Vec<_> = folder.map(|entry| entry.expect("read a name").file_name()).collect();
        names.sort();
        for name in names {
            let path = below.join(name);
            let metadata = std::fs::symlink_metadata(self.root.join(&path)).expect("look at a file");
            let name = path.display().to_string();
            if OF_CONTAINER.contains(&name.as_str()) {
                continue;
            }
            let description = self.describe(&name, &self.root.join(&path), &metadata);
            let same = self.same_file(&name, &metadata);
            self.found.insert(name, description + &same);
            if metadata.is_dir() {
                self.walk(&path);
            }
        }
    }

    fn describe(&self, name: &str, path: &Path, metadata: &std::fs::Metadata) -> String {
        let kind = metadata.file_type();
        let what = match () {
            () if kind.is_dir() => "folder".to_owned(),
            () if kind.is_symlink() => {
                format!("-> {}", std::fs::read_link(path).expect("read a link").display())
            }
            () if kind.is_file() => {
                format!("{} {}", metadata.len(), self.sums.get(name).map_or("", String::as_str))
            }
            () if kind.is_fifo() => "fifo".to_owned(),
            () => format!("device {}", metadata.rdev()),
        };
        let mode = metadata.permissions().mode() & 0o7777;
        // Times of folders change with what is put into them, and clients do not send that of a folder they only pass.
        let time = if metadata.mtime() == TIME && !kind.is_dir() { " kept" } else { "" };
        format!("{mode:04o} {}:{} {what}{time}{}", metadata.uid(), metadata.gid(), xattrs(path))
    }

    /// Of a hard link to a file that was met before, which one.
    fn same_file(&mut self, name: &str, metadata: &std::fs::Metadata) -> String {
        if metadata.is_dir() || metadata.nlink() < 2 {
            return String::new();
        }
        match self.links.get(&metadata.ino()) {
            Some(first) => format!(" = {first}"),
            None => {
                self.links.insert(metadata.ino(), name.to_owned());
                String::new()
            }
        }
    }
}

/// The extended attributes of a file, sorted by name, values in hexadecimal digits.
fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).expect("list extended attributes");
    let mut names: Vec<&[u8]> =
        names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).expect("read an extended attribute");
        let digits: String = value[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!(" {}={digits}", String::from_utf8_lossy(name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_kind_content_attributes_and_links() {
        let root = std::env::temp_dir().join(format!("testkit-listing-{}", std::process::id()));
        std::fs::create_dir_all(root.join("folder")).expect("a folder");
        std::fs::write(root.join("folder/a file"), "x").expect("a file");
        std::fs::hard_link(root.join("folder/a file"), root.join("folder/b")).expect("a second name");
        std::os::unix::fs::symlink("b", root.join("folder/c")).expect("a link");
        rustix::fs::lsetxattr(root.join("folder/b"), "user.k", b"v", rustix::fs::XattrFlags::empty())
            .expect("an attribute");
        for name in ["folder/a file", "folder"] {
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o750))
                .expect("a mode");
        }
        let mut tree =
            Tree { sums: sums(&root), root: root.clone(), links: BTreeMap::new(), found: BTreeMap::new() };
        tree.walk(Path::new(""));
        std::fs::remove_dir_all(&root).expect("remove the folder");
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        let owner = format!("{}:{}", user.as_raw(), group.as_raw());
        let file = format!("0750 {owner} 1 2d711642b726 user.k=76");
        assert_eq!(tree.found["folder"], format!("0750 {owner} folder"));
        assert_eq!(tree.found["folder/a file"], file);
        assert_eq!(tree.found["folder/b"], format!("{file} = folder/a file"));
        assert_eq!(tree.found["folder/c"], format!("0777 {owner} -> b"));
        assert_eq!(tree.found.len(), 4);
    }
}
