//! Git repositories as files: cloned by git itself, which sees nothing of this machine's configuration and may speak to
//! servers only.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use registry_client::Stop;

use crate::error::Context;
use crate::{Error, Result};

/// Longest time between two looks whether git is still wanted; the first ones come sooner, for most commands are short.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of git's complaints that are told.
const COMPLAINT: u64 = 4096;

/// What an address of a repository says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    /// Where it is.
    address: String,
    /// Branch, tag or commit.
    reference: Option<String>,
    /// The folder of it that is meant.
    folder: Option<String>,
}

/// Whether an address is that of a repository: by its scheme, or an ending that says so.
pub fn is_repository(address: &str) -> bool {
    let bare = address.split(['#', '?']).next().unwrap_or(address);
    let web = bare.starts_with("http://") || bare.starts_with("https://");
    address.starts_with("git://")
        || address.starts_with("git@")
        || address.starts_with("ssh://")
        || address.starts_with("github.com/")
        || (web && bare.ends_with(".git"))
}

impl Repository {
    /// Reads `url#reference:folder`, or `url?ref=...&subdir=...`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (whole, fragment) =
            text.split_once('#').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
        let (address, query) =
            whole.split_once('?').map_or((whole, None), |(address, query)| (address, Some(query)));
        let mut found = Self { address: address.to_owned(), reference: None, folder: None };
        if address.starts_with("github.com/") {
            found.address = format!("https://{address}");
        }
        if let Some(fragment) = fragment {
            let (reference, folder) =
                fragment.split_once(':').map_or((fragment, None), |(one, other)| (one, Some(other)));
            found.reference = Some(reference.to_owned());
            found.folder = folder.map(str::to_owned);
        }
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            match pair.split_once('=') {
                Some(("ref" | "tag" | "branch" | "commit" | "checksum", value)) => {
                    found.reference = Some(value.to_owned());
                }
                Some(("subdir", value)) => found.folder = Some(value.to_owned()),
                Some(("keep-git-dir" | "submodules" | "mtime" | "fetch-by-commit", _)) => {}
                _ => return Err(Error::invalid(format!("unexpected query {pair:?} in the git URL"))),
            }
        }
        for field in [&mut found.reference, &mut found.folder] {
            *field = field.take().filter(|text| !text.is_empty());
        }
        found.check()
    }

    /// Git would take what begins with a dash for an option.
    fn check(self) -> Result<Self> {
        let words = [Some(&self.address), self.reference.as_ref(), self.folder.as_ref()];
        for word in words.into_iter().flatten() {
            if word.starts_with('-') || word.chars().any(char::is_control) {
                return Err(Error::invalid(format!("invalid git reference or folder: {word:?}")));
            }
        }
        Ok(self)
    }

    /// Clones it below a folder; where the files that are meant are.
    pub(super) fn check_out(
        &self,
        into: &Path,
        keep_git_dir: bool,
        checksum: Option<&str>,
        stop: &Stop,
    ) -> Result<CheckedOut> {
        let home = into.join("home");
        let tree = into.join("tree");
        for folder in [&home, &tree] {
            store::file::make_private_dir(folder).doing(|| format!("making folder {}", folder.display()))?;
        }
        let git = Git { home: &home, tree: &tree, stop };
        git.run(&["init", "--quiet", "."])?;
        git.run(&["remote", "add", "origin", &self.address])?;
        let wanted = self.reference.as_deref().unwrap_or("HEAD");
        // Not every server gives the newest alone.
        if git.run(&["fetch", "--quiet", "--depth", "1", "origin", wanted]).is_ok()
            || git.run(&["fetch", "--quiet", "origin", wanted]).is_ok()
        {
            git.run(&["checkout", "--quiet", "FETCH_HEAD"])?;
        } else {
            // Nor single commits; then the whole history has it.
            git.run(&["fetch", "--quiet", "--tags", "origin"])?;
            git.run(&["checkout", "--quiet", wanted])?;
        }
        if tree.join(".gitmodules").symlink_metadata().is_ok() {
            git.run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1"])?;
        }
        let commit = git.run(&["rev-parse", "HEAD"])?.trim().to_owned();
        if let Some(checksum) = checksum
            && !commit.starts_with(checksum.trim_start_matches("sha1:"))
        {
            return Err(Error::invalid(format!("expected checksum to match {checksum}, got {commit}")));
        }
        if !keep_git_dir {
            std::fs::remove_dir_all(tree.join(".git")).doing(|| "removing .git".to_owned())?;
        }
        let folder = match &self.folder {
            None => tree,
            Some(folder) => below(&tree, folder)?,
        };
        Ok(CheckedOut { folder, commit })
    }
}

/// Files of a repository.
pub(super) struct CheckedOut {
    /// Where those are that are meant.
    pub(super) folder: PathBuf,
    /// Which commit they are of.
    pub(super) commit: String,
}

/// A folder of the repository, which may be no way out of it.
fn below(tree: &Path, folder: &str) -> Result<PathBuf> {
    let root = linux::root::RootDir::open(tree).doing(|| "opening the repository".to_owned())?;
    let real = super::tree::resolve(&root, Path::new(folder))?;
    let path = tree.join(real);
    if path.is_dir() {
        return Ok(path);
    }
    Err(Error::invalid(format!("subdir: {folder} is no folder of the repository")))
}

struct Git<'g> {
    home: &'g Path,
    tree: &'g Path,
    stop: &'g Stop,
}

impl Git<'_> {
    /// Runs git; what it says.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never"])
            .args(["-c", "protocol.http.allow=always", "-c", "protocol.https.allow=always"])
            .args(["-c", "protocol.git.allow=always", "-c", "protocol.ssh.allow=always"])
            .args(["-c", "http.followRedirects=initial", "-c", "credential.helper="])
            .args(arguments)
            .current_dir(self.tree)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in builder::plan::PROXIES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::internal("git is needed for this build and is not installed on the engine's machine")
            }
            _ => Error::caused("starting git", error),
        })?;
        self.wait(child, arguments)
    }

    fn wait(&self, mut child: Child, arguments: &[&str]) -> Result<String> {
        let gather = |stream: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                if let Some(mut stream) = stream {
                    // What is beyond that is read, too, so that git can go on.
                    let _ = stream.by_ref().take(COMPLAINT).read_to_end(&mut text);
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                }
                String::from_utf8_lossy(&text).into_owned()
            })
        };
        let boxed = |stream: std::process::ChildStdout| Box::new(stream) as Box<dyn std::io::Read + Send>;
        let said = gather(child.stdout.take().map(boxed));
        let complained =
            gather(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>));
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = child.try_wait().doing(|| "waiting for git".to_owned())? {
                break status;
            }
            if self.stop.is_stopped() {
                end(&child);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(TICK);
        };
        let (said, complained) = (said.join().unwrap_or_default(), complained.join().unwrap_or_default());
        if status.success() {
            return Ok(said);
        }
        let verb = arguments.first().copied().unwrap_or_default();
        Err(Error::invalid(format!("git {verb} failed: {}", complained.trim())))
    }
}

/// Ends git with all it has started.
fn end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may be gone already.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_repositories() {
        for yes in [
            "git://h/r",
            "git@h:r.git",
            "https://h/r.git#main:sub",
            "https://h/r.git?ref=x",
            "github.com/a/b",
        ] {
            assert!(is_repository(yes), "{yes}");
        }
        for no in ["https://h/r.tar", "http://h/file#x", "ftp://h/r.git", "/r.git"] {
            assert!(!is_repository(no), "{no}");
        }
        let of = |text: &str| {
            let found = Repository::parse(text).map_err(|error| error.to_string())?;
            Ok::<_, String>((found.address, found.reference, found.folder))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("https://h/r.git"), Ok(("https://h/r.git".to_owned(), None, None)));
        assert_eq!(of("https://h/r.git#v1:a/b"), Ok(("https://h/r.git".to_owned(), some("v1"), some("a/b"))));
        assert_eq!(of("https://h/r.git#:a"), Ok(("https://h/r.git".to_owned(), None, some("a"))));
        assert_eq!(
            of("https://h/r.git?ref=v1&subdir=a"),
            Ok(("https://h/r.git".to_owned(), some("v1"), some("a")))
        );
        assert_eq!(of("github.com/a/b").unwrap().0, "https://github.com/a/b");
        for bad in
            ["-u/x.git", "https://h/r.git#--upload-pack=x", "https://h/r.git#x:-y", "https://h/r.git?x=y"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
