//! Steps use keys of the user's without having them: keys from files, and those of an agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use testkit::Engine;

/// The programs a step talks to an agent with.
const PROGRAMS: [&str; 2] = ["/usr/bin/ssh-add", "/usr/bin/ssh-keygen"];

/// Lists what the agent has, signs, and tries to take the keys away; then does what it may with another agent.
const DOCKERFILE: &str = r#"FROM busybox AS maker
COPY root /
RUN mkdir -p /etc /work && echo root:x:0:0:root:/:/bin/sh >/etc/passwd
WORKDIR /work
COPY key.pub data ./
RUN cut -d' ' -f2 key.pub | base64 -d >public
RUN --mount=type=ssh ssh-add -l >list && ssh-keygen -Y sign -n x -f key.pub data
RUN --mount=type=ssh for way in -D "-d key.pub" -x; do echo word | ssh-add $way && exit 9; done; ssh-add -l >after
RUN --mount=type=ssh,id=other ssh-add -l >other
RUN test ! -e "$SSH_AUTH_SOCK" && ! find / -xdev -type s | grep .
FROM scratch
COPY --from=maker /work/list /work/after /work/other /work/data.sig /
"#;

/// A folder with keys, and the context of a build that uses them.
struct Bench {
    engine: Engine,
}

impl Bench {
    /// `None` with the reason printed where OpenSSH is not installed.
    fn start() -> Option<Self> {
        if let Some(missing) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
            println!("skipped: {missing} is not installed");
            return None;
        }
        let bench = Self { engine: Engine::with_busybox() };
        fs::create_dir(bench.path("c")).expect("a folder");
        fs::write(bench.path("c/Dockerfile"), DOCKERFILE).expect("a file");
        fs::write(bench.path("c/data"), "what is signed\n").expect("a file");
        PROGRAMS.iter().for_each(|program| with_libraries(program, &bench.path("c/root")));
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.engine.root().join(name)
    }

    /// Makes a key; what it says of itself.
    fn key(&self, name: &str, kind: &[&str]) -> String {
        let mut command = self.command("ssh-keygen");
        succeed(command.args(["-q", "-N", "", "-C", "somebody@somewhere", "-f", name]).args(kind));
        let line = succeed(self.command("ssh-keygen").args(["-lf", &format!("{name}.pub")]));
        fingerprint(&line)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.engine.root()).stdin(Stdio::null());
        command
    }

    fn build(&self, arguments: &[&str]) -> testkit::Output {
        let mut command = self.engine.wharf_command(&[&["build"], arguments, &["c"]].concat());
        command.current_dir(self.engine.root()).env_remove("DOCKER_BUILDKIT").env_remove("SSH_AUTH_SOCK");
        testkit::engine::run(&mut command, None)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    /// Whether the signature in `out` is one of the key for the data.
    fn is_signed_by(&self, key: &str, data: &str) -> bool {
        fs::write(self.path("allowed"), format!("who {}", self.read(&format!("{key}.pub")))).expect("a file");
        fs::write(self.path("signed"), data).expect("a file");
        let mut command = self.command("ssh-keygen");
        command.args(["-Y", "verify", "-f", "allowed", "-I", "who", "-n", "x", "-s", "out/data.sig"]);
        command.stdin(fs::File::open(self.path("signed")).expect("a file"));
        command.output().expect("runs").status.success()
    }

    /// The files of the engine that have these bytes in them.
    fn kept(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let mut left = vec![self.engine.data_root(), self.engine.exec_root(), self.path("wharfd.log")];
        let mut found = Vec::new();
        while let Some(path) = left.pop() {
            let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
            if kind.is_dir() {
                left.extend(
                    fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()),
                );
            } else if kind.is_file()
                && memchr::memmem::find(&fs::read(&path).expect("a file"), bytes).is_some()
            {
                found.push(path);
            }
        }
        found
    }
}

/// Copies a program and what it is linked with to the same places below another root.
fn with_libraries(program: &str, root: &Path) {
    let linked = succeed(Command::new("ldd").arg(program));
    let paths = linked.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.chain([program]) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
        fs::copy(path, &to).expect("a copy");
    }
}

fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// Bits, fingerprint and kind of each key of a list, without what they are called.
fn fingerprint(list: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[1], words[words.len() - 1])
    };
    list.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn steps_sign_with_keys_from_files_and_never_see_them() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.key("key", &["-t", "ed25519"]);
    let second = bench.key("second", &["-t", "rsa", "-b", "3072"]);
    let third = bench.key("third", &["-t", "ecdsa", "-b", "384"]);
    fs::copy(bench.path("key.pub"), bench.path("c/key.pub")).expect("a copy");
    let ssh = ["--ssh", "default=key", "--ssh", "other=second,third"];
    let built = bench.build(&[&ssh[..], &["-o", "out"]].concat());
    assert_eq!(built.code, 0, "{built:?}");
    assert_eq!(fingerprint(&bench.read("out/list")), first);
    assert_eq!(fingerprint(&bench.read("out/after")), first, "nobody took it away");
    assert_eq!(fingerprint(&bench.read("out/other")), format!("{second}\n{third}"));
    assert!(bench.is_signed_by("key", "what is signed\n"));
    assert!(!bench.is_signed_by("key", "what is not\n") && !bench.is_signed_by("second", "what is signed\n"));
    assert!(!bench.read("out/list").contains("somebody"), "{}", bench.read("out/list"));

    let named = bench.build(&[&ssh[..], &["-t", "signed", "--target", "maker"]].concat());
    assert_eq!(named.code, 0, "{named:?}");
    let key = bench.read("key");
    let canary = key.lines().nth(2).expect("the middle of the key");
    let history = bench.engine.wharf(&["history", "--no-trunc", "signed"]);
    for said in [&built, &named, &history] {
        assert!(!said.stdout.contains(canary) && !said.stderr.contains(canary), "{said:?}");
    }
    // The key as it lies in its file, and its secret half as bytes; the public half is there, so the search finds things.
    let nowhere = Vec::<PathBuf>::new();
    assert_eq!(bench.kept(canary.as_bytes()), nowhere);
    let (secret, public) = halves(&bench, "key");
    assert_eq!(bench.kept(&secret), nowhere);
    assert_ne!(bench.kept(&public), nowhere, "a step has written it");
}

/// Both halves of an ed25519 key.
fn halves(bench: &Bench, key: &str) -> (Vec<u8>, Vec<u8>) {
    let decoded = |base64: &str| {
        fs::write(bench.path("base64"), base64).expect("a file");
        bench.command("base64").args(["-d", "base64"]).output().expect("runs").stdout
    };
    let line = bench.read(&format!("{key}.pub"));
    let public = decoded(line.split(' ').nth(1).expect("the public half"));
    let public = &public[public.len() - 32..];
    let private: String = bench.read(key).lines().filter(|line| !line.starts_with('-')).collect();
    let private = decoded(&private);
    // The seed lies right before the third place the public half is at.
    let at = memchr::memmem::rfind(&private, public).expect("the public half");
    (private[at - 32..at].to_vec(), public.to_vec())
}

#[test]
fn what_is_no_key_is_refused_before_anything_is_built() {
    let Some(bench) = Bench::start() else { return };
    bench.key("key", &["-t", "ed25519"]);
    succeed(bench.command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "passphrase", "-f", "locked"]));
    for (ssh, words) in [
        ("default=c/data", "failed to parse c/data: ssh: no key found"),
        (
            "default=key,locked",
            "failed to parse locked: ssh: this private key is passphrase protected: add it to an agent with ssh-add and \
             give the agent's socket",
        ),
        ("default=gone", "stat gone: no such file or directory"),
    ] {
        let refused = bench.build(&["--ssh", ssh]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
        assert_eq!(refused.stderr.trim_end(), format!("ERROR: {words}"));
    }
    let twice = bench.build(&["--ssh", "a=key", "--ssh", "a=key"]);
    assert_eq!((twice.code, twice.stderr.trim_end()), (1, "ERROR: invalid duplicate ID a"));
}

/// An agent that goes with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn row_20_no_step_takes_an_agent_s_keys_away() {
    let Some(bench) = Bench::start() else { return };
    let first = bench.key("key", &["-t", "ed25519"]);
    fs::copy(bench.path("key.pub"), bench.path("c/key.pub")).expect("a copy");
    let _agent = Agent(
        bench.command("ssh-agent").args(["-D", "-a", "agent"]).stdout(Stdio::null()).spawn().expect("starts"),
    );
    let late = std::time::Instant::now() + testkit::patience(20);
    while !bench.path("agent").exists() {
        assert!(std::time::Instant::now() < late, "the agent does not listen");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let agent =
        |arguments: &[&str]| succeed(bench.command("ssh-add").args(arguments).env("SSH_AUTH_SOCK", "agent"));
    agent(&["-q", "key"]);
    let built = bench.build(&["--ssh", "default=agent", "--ssh", "other=agent", "-o", "out"]);
    assert_eq!(built.code, 0, "{built:?}");
    for list in ["list", "after", "other"] {
        assert_eq!(fingerprint(&bench.read(&format!("out/{list}"))), first);
    }
    assert!(bench.is_signed_by("key", "what is signed\n"));
    assert_eq!(fingerprint(&agent(&["-l"])), first, "it has its key still");
}
