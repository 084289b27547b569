//! Docker's buildx and compose drive the engine over `/grpc` and `/session`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use testkit::engine::run;
use testkit::lying::{Registry, Reply, Request};
use testkit::{Engine, Output, census, http, peers};

use super::classic::wait_until;

/// An engine, and a folder for contexts.
pub(super) struct Bench {
    pub(super) engine: Engine,
    program: PathBuf,
}

impl Bench {
    pub(super) fn new() -> Option<Self> {
        let program = peers::docker_plugin("buildx")?;
        Some(Self { engine: Engine::with_busybox(), program })
    }

    pub(super) fn folder(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.engine.root().join(name);
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(&path, text).expect("a file");
        }
        folder
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command.env("DOCKER_HOST", self.engine.host());
        command.env("DOCKER_CONFIG", self.engine.root().join("config"));
        command
    }

    pub(super) fn buildx(&self, arguments: &[&str]) -> Output {
        let output = run(&mut self.command(arguments), None);
        Output { stderr: testkit::one_wording(&output.stderr), ..output }
    }

    /// Builds a folder; what people read.
    #[track_caller]
    pub(super) fn build(&self, folder: &Path, arguments: &[&str]) -> String {
        let folder = folder.display().to_string();
        let output = self.buildx(&[&["build", "--progress=plain"], arguments, &[folder.as_str()]].concat());
        assert_eq!(output.code, 0, "{output:?}");
        output.stderr
    }

    pub(super) fn image_id(&self, name: &str) -> String {
        self.engine.wharf(&["image", "inspect", "-f", "{{.Id}}", name]).ok().trim().to_owned()
    }
}

/// A step's lines, by a part of its name.
pub(super) fn step<'o>(output: &'o str, name: &str) -> Vec<&'o str> {
    let first = output.lines().find(|line| line.contains(name));
    let number = first.and_then(|line| line.split_whitespace().next()).unwrap_or("#?");
    output.lines().filter(|line| line.split_whitespace().next() == Some(number)).collect()
}

const TWO_STAGES: &str = "FROM busybox AS base
RUN echo to-stdout; echo to-stderr >&2; echo data > /x
FROM busybox
COPY --from=base /x /y
COPY f /f
RUN --mount=type=secret,id=s wc -c < /run/secrets/s > /size
";

#[test]
fn two_stages_and_a_secret_are_built_once() {
    let Some(bench) = Bench::new() else { return };
    let folder =
        bench.folder("two", &[("Dockerfile", TWO_STAGES), ("f", "file\n"), ("secret", "canary-5ee\n")]);
    fs::write(folder.join(".dockerignore"), "secret\n").expect("written");
    let secret = format!("id=s,src={}", folder.join("secret").display());
    let iid = folder.join("iid").display().to_string();
    let first = bench.build(&folder, &["-t", "two:1", "--secret", &secret, "--iidfile", &iid]);
    for name in [
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load build context",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[base 1/2] FROM docker.io/library/busybox:latest",
        "[base 2/2] RUN echo to-stdout",
        "[stage-1 2/4] COPY --from=base /x /y",
        "[stage-1 3/4] COPY f /f",
        "[stage-1 4/4] RUN --mount=type=secret",
        "naming to docker.io/library/two:1",
    ] {
        assert!(first.contains(name), "no {name:?} in {first}");
    }
    let run_step = step(&first, "[base 2/2]").join("\n");
    assert!(run_step.contains("to-stdout") && run_step.contains("to-stderr"), "{run_step}");
    let id = bench.image_id("two:1");
    assert_eq!(fs::read_to_string(&iid).expect("written"), id);
    let shown = bench.engine.wharf(&["run", "--rm", "two:1", "cat", "/y", "/f", "/size"]);
    assert_eq!(shown.ok(), "data\nfile\n11");

    let second = bench.build(&folder, &["-t", "two:2", "--secret", &secret]);
    for name in ["[base 2/2]", "[stage-1 2/4]", "[stage-1 3/4]", "[stage-1 4/4]"] {
        assert!(step(&second, name).iter().any(|line| line.ends_with("CACHED")), "{name} ran: {second}");
    }
    assert_eq!(bench.image_id("two:2"), id);

    // The secret is nowhere below the engine's folders.
    let found = run(Command::new("grep").args(["-rl", "canary-5ee"]).arg(bench.engine.data_root()), None);
    assert_eq!(found.stdout, "");
}

#[test]
fn a_failing_step_is_shown_with_its_line() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder(
        "bad",
        &[
            ("Dockerfile", "FROM busybox\nRUN echo before; exit 3\nRUN echo never\n"),
            ("unknown", "FROM busybox\nFOO bar\n"),
            ("missing", "FROM busybox\nCOPY nothing /\n"),
            ("none", "FROM 127.0.0.1:1/none\n"),
        ],
    );
    let build = |file: &str| {
        let (file, folder) = (folder.join(file).display().to_string(), folder.display().to_string());
        let output = bench.buildx(&["build", "--progress=plain", "-f", &file, &folder]);
        assert_eq!(output.code, 1, "{output:?}");
        output.stderr
    };
    let said = build("Dockerfile");
    for part in [
        "before\n",
        ">>> RUN echo before; exit 3",
        "ERROR: failed to solve: process \"/bin/sh -c echo before; exit 3\" did not complete successfully: exit code: 3",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("echo never\n#"), "{said}");
    let said = build("unknown");
    assert!(said.contains(">>> FOO bar"), "{said}");
    assert!(
        said.contains("ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: FOO"),
        "{said}"
    );
    let said = build("missing");
    assert!(said.contains(">>> COPY nothing /"), "{said}");
    let said = build("none");
    assert!(said.contains(">>> FROM 127.0.0.1:1/none"), "{said}");
    assert_eq!(bench.engine.wharf(&["ps", "-aq"]).ok(), "");
    assert_eq!(bench.engine.wharf(&["images", "-qf", "dangling=true"]).ok(), "");
}

#[test]
fn only_what_changed_and_what_is_needed_is_sent() {
    let Some(bench) = Bench::new() else { return };
    let big = "0123456789abcdef".repeat(1 << 17);
    let folder = bench.folder(
        "sent",
        &[
            ("Dockerfile", "FROM busybox\nCOPY a b /\n"),
            ("a", &big),
            ("b", "one\n"),
            ("unneeded", &big),
            ("hidden", &big),
            (".dockerignore", "hidden\n"),
        ],
    );
    let sent = |output: &str| {
        let lines = step(output, "[internal] load build context").join("\n");
        (lines.contains("2.10MB"), lines)
    };
    let first = sent(&bench.build(&folder, &["-t", "sent"]));
    assert!(first.0, "{}", first.1);
    fs::write(folder.join("b"), "two\n").expect("written");
    let output = bench.build(&folder, &["-t", "sent"]);
    let second = sent(&output);
    assert!(second.1.contains("transferring context: 4B"), "{}", second.1);
    assert_eq!(bench.engine.wharf(&["run", "--rm", "sent", "cat", "/b"]).ok(), "two");
    let left: Vec<_> = walk(&bench.engine.data_root().join("build-contexts"));
    assert!(left.iter().any(|path| path.ends_with("/a")), "{left:?}");
    assert!(!left.iter().any(|path| path.ends_with("hidden") || path.ends_with("unneeded")), "{left:?}");
}

fn walk(folder: &Path) -> Vec<String> {
    let listed = run(Command::new("find").arg(folder), None);
    listed.ok().lines().map(str::to_owned).collect()
}

#[test]
fn results_come_as_folders_and_archives() {
    let Some(bench) = Bench::new() else { return };
    let other = bench.folder("other", &[("o", "other\n")]);
    let folder = bench.folder(
        "out",
        &[("Dockerfile", "FROM scratch\nCOPY --from=oth o /o\nCOPY sub /sub\n"), ("sub/f", "f\n")],
    );
    std::os::unix::fs::symlink("f", folder.join("sub/link")).expect("linked");
    let context = format!("oth={}", other.display());
    let target = bench.engine.root().join("target");
    let local = format!("type=local,dest={}", target.display());
    bench.build(&folder, &["--build-context", &context, "-o", &local]);
    assert_eq!(fs::read_to_string(target.join("o")).expect("there"), "other\n");
    assert_eq!(fs::read_to_string(target.join("sub/link")).expect("there"), "f\n");
    let tar = bench.engine.root().join("out.tar");
    let archive = format!("type=tar,dest={}", tar.display());
    bench.build(&folder, &["--build-context", &context, "-o", &archive]);
    let listed = run(Command::new("tar").arg("-tf").arg(&tar), None);
    let names: Vec<&str> = listed.ok().lines().map(|name| name.trim_start_matches("./")).collect();
    for name in ["o", "sub/f", "sub/link"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    assert_eq!(bench.engine.wharf(&["images", "-qa"]).ok().lines().count(), 1, "only busybox has stayed");
}

#[test]
fn contexts_come_from_stdin() {
    let Some(bench) = Bench::new() else { return };
    let build = |input: &[u8], arguments: &[&str]| {
        let arguments = [&["build", "--progress=plain"], arguments, &["-"]].concat();
        let output = run(&mut bench.command(&arguments), Some(input));
        assert_eq!(output.code, 0, "{output:?}");
    };
    build(b"FROM busybox\nRUN echo one > /one\n", &["-t", "text"]);
    // An image without a name stays, as with Docker.
    build(b"FROM busybox\nRUN echo nameless\n", &[]);
    assert_eq!(bench.engine.wharf(&["images", "-qf", "dangling=true"]).ok().lines().count(), 1);
    assert_eq!(bench.engine.wharf(&["run", "--rm", "text", "cat", "/one"]).ok(), "one");
    let folder = bench.folder("packed", &[("Other", "FROM busybox\nCOPY f /two\n"), ("f", "two\n")]);
    build(&super::support::pack(&folder), &["-f", "Other", "-t", "packed"]);
    assert_eq!(bench.engine.wharf(&["run", "--rm", "packed", "cat", "/two"]).ok(), "two");
}

#[test]
fn a_step_sees_the_clients_agent() {
    let Some(bench) = Bench::new() else { return };
    let dockerfile = "FROM busybox\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo agent > /seen\n";
    let folder = bench.folder("ssh", &[("Dockerfile", dockerfile)]);
    let socket = bench.engine.root().join("agent");
    let _agent = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let agent = format!("default={}", socket.display());
    bench.build(&folder, &["--ssh", &agent, "-t", "ssh"]);
    assert_eq!(bench.engine.wharf(&["run", "--rm", "ssh", "cat", "/seen"]).ok(), "agent");
}

#[test]
fn a_build_ends_with_its_buildx() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder("long", &[("Dockerfile", "FROM busybox\nRUN echo started; sleep 1000\n")]);
    bench.buildx(&["version"]);
    let before = census::of(&bench.engine);
    let mut command = bench.command(&["build", "--progress=plain"]);
    command.arg(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("starts");
    wait_until("the step runs", || bench.engine.wharf(&["ps", "-q"]).ok().lines().count() == 1);
    let left = Instant::now();
    child.kill().expect("killed");
    child.wait().expect("waited");
    wait_until("the step ends", || bench.engine.wharf(&["ps", "-aq"]).ok().is_empty());
    assert!(left.elapsed() < testkit::patience(5), "{:?}", left.elapsed());
    census::assert_returns_to(&bench.engine, &before);
}

#[test]
fn the_cache_is_listed_and_pruned_by_buildx() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder("cache", &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")]);
    bench.build(&folder, &[]);
    let listed = bench.buildx(&["du", "--verbose"]);
    assert!(listed.ok().contains("RUN echo x > /x"), "{listed:?}");
    let pruned = bench.buildx(&["prune", "-af"]);
    assert!(pruned.ok().contains("Total:"), "{pruned:?}");
    let again = bench.build(&folder, &[]);
    assert!(!step(&again, "[2/2]").iter().any(|line| line.ends_with("CACHED")), "{again}");
    assert!(bench.buildx(&["ls"]).ok().contains("running"));
}

#[test]
fn stages_and_parameters_are_told() {
    let Some(bench) = Bench::new() else { return };
    let text = "# V is a version\nARG V=1\nFROM busybox AS base\nARG V\nFROM base\nRUN --mount=type=secret,id=k,required true\n";
    let folder = bench.folder("asked", &[("Dockerfile", text)]).display().to_string();
    let ask = |what: &str| {
        let mut command = bench.command(&["build", "--progress=plain", &format!("--print={what}"), &folder]);
        run(command.env("BUILDX_EXPERIMENTAL", "1"), None)
    };
    assert_eq!(ask("targets").ok(), "TARGET    DESCRIPTION\nbase      \n(default)");
    let outline = ask("outline");
    assert!(
        outline.ok().starts_with("BUILD ARG   VALUE   DESCRIPTION\nV           1       is a version"),
        "{outline:?}"
    );
    assert!(outline.ok().contains("SECRET   REQUIRED\nk        true"), "{outline:?}");
    assert!(
        ask("subrequests.describe").ok().contains("frontend.")
            || ask("subrequests.describe").ok().contains("outline ")
    );
    let unknown = ask("nonsense");
    assert_ne!(unknown.code, 0);
    assert!(unknown.stderr.contains("unsupported request frontend.nonsense"), "{unknown:?}");
    assert_eq!(bench.engine.wharf(&["images", "-qf", "dangling=true"]).ok(), "", "nothing was built");
}

#[test]
fn checks_warn_beside_a_build_and_answer_instead_of_one() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder("warned", &[("Dockerfile", "FROM busybox\nMAINTAINER me\nCMD echo\n")]);
    let said = bench.build(&folder, &["-t", "warned"]);
    assert!(said.contains("2 warnings found"), "{said}");
    let at = folder.display().to_string();
    let mut command = bench.command(&["build", "--progress=plain", &at]);
    let shown = run(command.env("DEBUG", "1"), None).stderr;
    for line in
        ["MaintainerDeprecated: Maintainer instruction is deprecated", "(line 2)", ">>> MAINTAINER me"]
    {
        assert!(shown.contains(line), "no {line:?} in {shown}");
    }
    let ask = |file: &str| {
        let folder = bench.folder("warned", &[("Asked", file)]);
        let at = folder.join("Asked").display().to_string();
        let folder = folder.display().to_string();
        let mut command = bench.command(&["build", "--progress=plain", "--print=lint", "-f", &at, &folder]);
        run(command.env("BUILDX_EXPERIMENTAL", "1"), None)
    };
    let found = ask("FROM 127.0.0.1:1/nowhere\nMAINTAINER me\n");
    let expected =
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n";
    assert!(found.ok().contains(expected), "{found:?}");
    assert!(found.ok().contains("   2 | >>> MAINTAINER me"), "{found:?}");
    assert!(!ask("FROM scratch\nCOPY . /\n").stdout.contains("WARNING"));
}

#[test]
fn bake_builds_targets_from_targets() {
    let Some(bench) = Bench::new() else { return };
    let file = r#"
group "default" { targets = ["app"] }
target "base" {
  dockerfile-inline = "FROM busybox\nENV A=of-base\nRUN echo base > /base"
}
target "app" {
  contexts = { below = "target:base", files = "./files" }
  dockerfile-inline = "FROM below\nRUN cat /base > /seen && echo $A >> /seen\nCOPY --from=files f /f\nCOPY --from=below /base /copied"
  tags = ["baked:1"]
}
"#;
    let folder = bench.folder("baked", &[("docker-bake.hcl", file), ("files/f", "file\n")]);
    let mut command = bench.command(&["bake", "--progress=plain"]);
    let output = run(command.current_dir(&folder), None);
    assert_eq!(output.code, 0, "{output:?}");
    // Variables are shown as they are, and numbers as with BuildKit.
    assert!(
        output.stderr.contains("[app stage-0 1/4] RUN cat /base > /seen && echo of-base >> /seen"),
        "{output:?}"
    );
    let shown = bench.engine.wharf(&["run", "--rm", "baked:1", "cat", "/seen", "/f", "/copied"]);
    assert_eq!(shown.ok(), "base\nof-base\nfile\nbase");
}

#[test]
fn contexts_come_from_addresses() {
    let Some(bench) = Bench::new() else { return };
    let remote = bench.folder(
        "remote",
        &[("Dockerfile", "FROM busybox\nCOPY f /f\nCOPY --from=other data /data\n"), ("f", "remote\n")],
    );
    let archive = super::support::pack(&remote);
    let site = Registry::start(move |request: &Request| match request.path.as_str() {
        "/context.tar" => Reply::new(200, archive.clone()),
        "/data" => Reply::new(200, "by http\n"),
        _ => Reply::new(404, ""),
    });
    let context = format!("other=http://{}/data", site.address());
    let main = format!("http://{}/context.tar", site.address());
    let output =
        bench.buildx(&["build", "--progress=plain", "--build-context", &context, "-t", "remote", &main]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("[internal] load remote build context"), "{output:?}");
    assert!(output.stderr.contains("[context other] http://"), "{output:?}");
    assert_eq!(bench.engine.wharf(&["run", "--rm", "remote", "cat", "/f", "/data"]).ok(), "remote\nby http");
}

#[test]
fn a_remote_driver_speaks_http2_from_the_first_byte() {
    let Some(bench) = Bench::new() else { return };
    let folder =
        bench.folder("direct", &[("Dockerfile", "FROM busybox\nCOPY f /f\nRUN cat /f\n"), ("f", "direct\n")]);
    let address = format!("unix://{}", bench.engine.socket_path().display());
    let made = bench.buildx(&["create", "--driver", "remote", "--name", "far", &address]);
    assert_eq!(made.code, 0, "{made:?}");
    let target = bench.engine.root().join("far");
    let output = format!("type=local,dest={}", target.display());
    let said = bench.build(&folder, &["--builder", "far", "-o", &output]);
    assert!(step(&said, "[3/3] RUN cat /f").iter().any(|line| line.ends_with(" direct")), "{said}");
    assert_eq!(fs::read_to_string(target.join("f")).expect("there"), "direct\n");
    assert!(bench.buildx(&["inspect", "far"]).ok().contains("running"));
    assert!(bench.buildx(&["du", "--builder", "far"]).ok().contains("Total:"));
}

#[test]
fn commands_run_as_the_client_says() {
    let Some(bench) = Bench::new() else { return };
    let text = "FROM busybox\nRUN echo files $(ulimit -n); df -k /dev/shm | tail -1; cat /etc/hosts; hostname; cat /proc/self/cgroup\n";
    let parent = format!("{}/steps", bench.engine.slot().cgroup_parent());
    let folder = bench.folder("limits", &[("Dockerfile", text)]);
    let said = bench.build(
        &folder,
        &[
            "--ulimit=nofile=100:200",
            "--shm-size=8m",
            &format!("--cgroup-parent={parent}"),
            "--add-host=a:1.2.3.4",
            "--add-host=gw:host-gateway",
        ],
    );
    let lines = step(&said, "[2/2] RUN").join("\n");
    for part in ["files 100", " 8192 ", "1.2.3.4\ta", "\tgw", "buildkitsandbox", &format!(":{parent}/")] {
        assert!(lines.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn only_what_is_allowed_is_granted() {
    let Some(bench) = Bench::new() else { return };
    let folder =
        bench.folder("host", &[("Dockerfile", "FROM busybox\nRUN --network=host ls /sys/class/net\n")]);
    let at = folder.display().to_string();
    let refused = |arguments: &[&str], error: &str| {
        let output = bench.buildx(&[&["build", "--progress=plain"], arguments, &[at.as_str()]].concat());
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(error), "no {error:?} in {output:?}");
    };
    refused(&[], "ERROR: failed to solve: failed to load LLB: network.host is not allowed");
    refused(
        &["--allow=security.insecure"],
        "ERROR: failed to solve: granting entitlement security.insecure is not allowed by build daemon configuration",
    );
    bench.build(&folder, &["--allow=network.host"]);
    let plain = bench.folder("plain", &[("Dockerfile", "FROM busybox\nRUN ls /sys/class/net | wc -l\n")]);
    bench.build(&plain, &["--network=host"]);
    let none = bench.build(&plain, &["--network=none"]);
    assert!(step(&none, "[2/2] RUN").iter().any(|line| line.ends_with(" 1")), "{none}");
}

#[test]
fn the_cache_is_passed_over_where_that_is_wanted() {
    let Some(bench) = Bench::new() else { return };
    let text = "FROM busybox AS one\nRUN date +%N > /one\nFROM busybox AS two\nRUN date +%N > /two\nFROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n";
    let folder = bench.folder("filter", &[("Dockerfile", text)]);
    bench.build(&folder, &[]);
    let cached = |said: &str, name: &str| step(said, name).iter().any(|line| line.ends_with("CACHED"));
    let again = bench.build(&folder, &["--no-cache-filter=ONE"]);
    assert!(!cached(&again, "[one 2/2]") && cached(&again, "[two 2/2]"), "{again}");
    let none = bench.build(&folder, &["--no-cache"]);
    assert!(!cached(&none, "[one 2/2]") && !cached(&none, "[two 2/2]"), "{none}");
}

#[test]
fn secrets_come_from_variables_and_files() {
    let Some(bench) = Bench::new() else { return };
    let text = "FROM busybox\nRUN --mount=type=secret,id=v,env=V --mount=type=secret,id=f,target=/f,mode=0440 echo $V $(cat /f) $(stat -c %a /f) | md5sum > /sum\n";
    let folder = bench.folder("secrets", &[("Dockerfile", text), ("f", "of-file")]);
    let file = format!("id=f,src={}", folder.join("f").display());
    let at = folder.display().to_string();
    let mut command = bench.command(&[
        "build",
        "--secret",
        "id=v,env=DOOR_SECRET",
        "--secret",
        &file,
        "-t",
        "secrets",
        &at,
    ]);
    let output = run(command.env("DOOR_SECRET", "of-variable"), None);
    assert_eq!(output.code, 0, "{output:?}");
    let expected = run(Command::new("sh").args(["-c", "echo of-variable of-file 440 | md5sum"]), None);
    assert_eq!(bench.engine.wharf(&["run", "--rm", "secrets", "cat", "/sum"]).ok(), expected.ok());
    let required = "FROM busybox\nRUN --mount=type=secret,id=none,required true\n";
    let folder = bench.folder("required", &[("Dockerfile", required)]).display().to_string();
    let output = bench.buildx(&["build", &folder]);
    assert!(output.stderr.contains("none: not found"), "{output:?}");
}

#[test]
fn bake_reads_its_file_from_an_address() {
    let Some(bench) = Bench::new() else { return };
    let file = "target \"default\" {\n  dockerfile-inline = \"FROM busybox\\nRUN echo far > /far\"\n  tags = [\"far:1\"]\n}\n";
    let site = Registry::start(move |request: &Request| match request.path.as_str() {
        "/docker-bake.hcl" => Reply::new(200, file),
        _ => Reply::new(404, ""),
    });
    let output =
        bench.buildx(&["bake", "--progress=plain", &format!("http://{}/docker-bake.hcl", site.address())]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(bench.engine.wharf(&["run", "--rm", "far:1", "cat", "/far"]).ok(), "far");
}

#[test]
fn a_stage_begins_with_a_folder() {
    let Some(bench) = Bench::new() else { return };
    let base = bench.folder("base", &[("f", "base\n"), (".dockerignore", "g\n"), ("g", "hidden\n")]);
    let folder = bench.folder(
        "above",
        &[("Dockerfile", "FROM below\nCOPY own /own\nFROM busybox:latest\nCOPY --from=0 / /all/\nCOPY --from=alpine:latest /f /named\n"), ("own", "own\n")],
    );
    let below = format!("below={}", base.display());
    let named = format!("alpine={}", base.display());
    bench.build(&folder, &["--build-context", &below, "--build-context", &named, "-t", "above"]);
    let script = "cat /all/f /all/own /named; ls /all";
    let shown = bench.engine.wharf(&["run", "--rm", "above", "sh", "-c", script]);
    assert_eq!(shown.ok(), "base\nown\nbase\nf\nown");
}

#[test]
fn an_image_is_lent_out_of_a_folder_in_oci_layout() {
    let Some(bench) = Bench::new() else { return };
    let base =
        bench.folder("lent-base", &[("Dockerfile", "FROM busybox\nENV LENT=1\nRUN echo lent > /lent\n")]);
    bench.build(&base, &["-t", "lent-base"]);
    let layout = bench.engine.root().join("layout");
    let tar = bench.engine.root().join("layout.tar").display().to_string();
    bench.engine.wharf(&["save", "-o", &tar, "lent-base"]).ok();
    bench.engine.wharf(&["rmi", "lent-base"]).ok();
    fs::create_dir_all(&layout).expect("made");
    let unpacked = run(Command::new("tar").args(["-xf", &tar, "-C"]).arg(&layout), None);
    assert_eq!(unpacked.code, 0, "{unpacked:?}");
    let index = fs::read(layout.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("json");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let folder =
        bench.folder("lent", &[("Dockerfile", "FROM below\nRUN cat /lent > /seen; echo $LENT >> /seen\n")]);
    let images = bench.engine.wharf(&["images", "-qa"]).ok().lines().count();
    let context = format!("below=oci-layout://{}@{digest}", layout.display());
    let said = bench.build(&folder, &["--build-context", &context, "-t", "lent"]);
    assert!(said.contains("[context below] OCI load from client"), "{said}");
    assert_eq!(bench.engine.wharf(&["run", "--rm", "lent", "cat", "/seen"]).ok(), "lent\n1");
    assert_eq!(
        bench.engine.wharf(&["images", "-qa"]).ok().lines().count(),
        images + 1,
        "what was lent is not kept"
    );
    // Bytes that are not what their digest says are no image.
    let blob = layout.join("blobs").join(digest.replace(':', "/"));
    let broken = fs::read_to_string(&blob).expect("a manifest").replace("schemaVersion", "schemaVersioN");
    fs::write(&blob, broken).expect("written");
    let at = folder.display().to_string();
    let output = bench.buildx(&["build", "--progress=plain", "--build-context", &context, &at]);
    assert!(output.stderr.contains("the client lent something else"), "{output:?}");
}

#[test]
fn compose_builds_its_services() {
    let Some(bench) = Bench::new() else { return };
    let Some(compose) = peers::docker_plugin("compose") else { return };
    let file = "services:\n  a:\n    build: ./a\n    image: composed-a\n  b:\n    build: ./b\n    image: composed-b\n";
    let folder = bench.folder(
        "composed",
        &[
            ("compose.yaml", file),
            ("a/Dockerfile", "FROM busybox\nCOPY f /f\n"),
            ("a/f", "a\n"),
            ("b/Dockerfile", "FROM busybox\nRUN echo b > /f\n"),
        ],
    );
    let mut command = Command::new(compose);
    command.args(["--progress=plain", "build"]).current_dir(&folder);
    command.env("DOCKER_HOST", bench.engine.host()).env("DOCKER_CONFIG", bench.engine.root().join("config"));
    let output = run(&mut command, None);
    assert_eq!(output.code, 0, "{output:?}");
    for (image, text) in [("composed-a", "a"), ("composed-b", "b")] {
        assert_eq!(bench.engine.wharf(&["run", "--rm", image, "cat", "/f"]).ok(), text);
    }
}

#[test]
fn the_doors_want_their_upgrade() {
    let engine = Engine::start();
    for path in ["/grpc", "/session"] {
        for headers in [&[][..], &[("Connection", "Upgrade"), ("Upgrade", "tcp")]] {
            let answer = http::request(&engine.socket_path(), "POST", path, headers, b"").expect("an answer");
            assert_eq!(answer.status, 400, "{path} {headers:?}: {}", answer.text());
        }
    }
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "h2c")];
    let answer = http::request(&engine.socket_path(), "POST", "/session", &upgrade, b"").expect("an answer");
    assert_eq!(answer.status, 400, "a session without an id: {}", answer.text());
    // A client that upgrades and then speaks no HTTP/2 harms nobody.
    let mut socket = std::os::unix::net::UnixStream::connect(engine.socket_path()).expect("connects");
    let head = b"POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nnoise noise noise noise\r\n\r\n";
    socket.write_all(head).expect("written");
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut socket, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(
        http::request(&engine.socket_path(), "GET", "/_ping", &[], b"").expect("an answer").status,
        200
    );
}
