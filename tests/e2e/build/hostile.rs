//! Dockerfiles, contexts and images that mean ill: nothing of the host is read, written or reached (security rows 1, 2, 5, 6,
//! 8, 20, 21).

use std::path::Path;
use std::process::Command;

use testkit::{Engine, census, http};

use super::support::{Build, Files, context, has_git, pack};

/// What only the host has.
const CANARY: &str = "host-canary-5b1e";

fn build(engine: &Engine, name: &str, files: Files<'_>) -> Build {
    Build::run(engine, &format!("t={name}"), &context(engine, name, files))
}

/// A file of the host that nothing may read or change.
fn canary(engine: &Engine) -> String {
    let path = engine.root().join("canary");
    std::fs::write(&path, CANARY).expect("a file");
    path.to_string_lossy().into_owned()
}

#[test]
fn row_20_links_in_a_context_lead_nowhere() {
    let engine = Engine::with_busybox();
    let canary = canary(&engine);
    let folder = engine.root().join("links");
    std::fs::create_dir_all(folder.join("dir")).expect("folders");
    std::fs::write(
        folder.join("Dockerfile"),
        "FROM busybox\nCOPY dir /dir/\nRUN --mount=target=/m,source=dir ls /m >/seen\n",
    )
    .expect("a file");
    std::os::unix::fs::symlink(&canary, folder.join("dir/file")).expect("a link");
    std::os::unix::fs::symlink("/", folder.join("dir/root")).expect("a link");
    std::os::unix::fs::symlink("../../../..", folder.join("up")).expect("a link");
    Build::run(&engine, "t=links", &pack(&folder)).ok();
    let kept = engine.wharf(&[
        "run",
        "--rm",
        "links",
        "sh",
        "-c",
        "readlink /dir/file; readlink /dir/root; cat /dir/file 2>&1; cat /seen",
    ]);
    assert!(kept.stdout.starts_with(&format!("{canary}\n/\n")) && !kept.stdout.contains(CANARY), "{kept:?}");
    // Named themselves they are followed, but only inside of the context.
    for (line, what) in [
        ("COPY dir/file /f", "stat dir/file"),
        ("COPY up/etc/passwd /f", "stat up/etc/passwd"),
        ("COPY ../../../../../../etc/passwd /f", "stat etc/passwd"),
        ("RUN --mount=source=up/etc,target=/m cat /m/passwd", "stat up/etc"),
    ] {
        std::fs::write(folder.join("Dockerfile"), format!("FROM busybox\n{line}\n")).expect("a file");
        let failed = Build::run(&engine, "", &pack(&folder));
        assert!(
            failed.error().contains("file not found in build context") && failed.error().contains(what),
            "{line}: {failed:?}"
        );
    }
}

#[test]
fn row_20_links_in_an_image_stay_in_the_image() {
    let engine = Engine::with_busybox();
    let canary = canary(&engine);
    let folder = Path::new(&canary).parent().expect("a folder").to_string_lossy().into_owned();
    let dockerfile = format!(
        "FROM busybox\nRUN ln -s {folder} /out && ln -s /../../../../{folder} /climb && ln -s / /self\n\
         COPY f /out/canary\nCOPY f /climb/other\nADD f /self/self/self/g\nWORKDIR /out/work\nCOPY f .\n"
    );
    build(&engine, "image", &[("Dockerfile", &dockerfile), ("f", "from the build")]).ok();
    assert_eq!(std::fs::read_to_string(&canary).expect("the canary"), CANARY);
    assert!(!engine.root().join("other").exists() && !engine.root().join("work").exists());
    let script = format!("cat {folder}/canary {folder}/other /g; ls {folder}/work");
    assert_eq!(
        engine.wharf(&["run", "--rm", "image", "sh", "-c", &script]).ok(),
        "from the buildfrom the buildfrom the buildf"
    );
}

#[test]
fn row_20_mounts_of_commands_stay_inside() {
    let engine = Engine::with_busybox();
    let canary = canary(&engine);
    let before = census::of(&engine);
    let folder = Path::new(&canary).parent().expect("a folder").to_string_lossy().into_owned();
    // A cache whose content is a link, a target that is a link, a stage whose folder is a link.
    let dockerfile = format!(
        "FROM busybox AS stage\nRUN ln -s {folder} /evil && mkdir /good && echo good >/good/f && ln -s {folder} /target\n\
         FROM stage\n\
         RUN --mount=type=cache,target=/c ln -sfn {folder} /c/link; ls /c/link/canary 2>&1 | grep -q 'No such'\n\
         RUN --mount=type=cache,target=/target/below,id=t echo x >/target/below/x\n\
         RUN --mount=from=stage,source=/good,target=/m,rw echo changed >/m/f && cat /m/f >/seen\n\
         COPY --from=stage /good/f /good2\n"
    );
    build(&engine, "mounts", &[("Dockerfile", &dockerfile)]).ok();
    assert!(!engine.root().join("below").exists(), "a target that is a link was followed out");
    let script = "cat /seen /good2; ls -d /m /c 2>/dev/null; true";
    assert_eq!(
        engine.wharf(&["run", "--rm", "mounts", "sh", "-c", script]).ok(),
        "changed\ngood",
        "a stage is never changed"
    );
    let failed = build(
        &engine,
        "evil",
        &[(
            "Dockerfile",
            "FROM busybox AS s\nRUN ln -s /nowhere /evil\nFROM busybox\nRUN --mount=from=s,source=/evil,target=/m ls /m\n",
        )],
    );
    assert!(failed.error().contains("not found"), "{failed:?}");
    engine.wharf(&["rmi", "mounts"]).ok();
    http::request(&engine.socket_path(), "POST", "/build/prune?all=1", &[], b"").expect("an answer");
    census::assert_returns_to(&engine, &before);
}

#[test]
fn row_20_no_command_leaves_its_sandbox() {
    let engine = Engine::with_busybox();
    let insecure =
        build(&engine, "insecure", &[("Dockerfile", "FROM busybox\nRUN --security=insecure true\n")]);
    assert!(insecure.error().contains("security.insecure is not allowed"), "{insecure:?}");
    // The same policy as `run`: capabilities, seccomp and masks are those of any container.
    let status = "grep -E '^(Cap(Bnd|Eff|Amb)|Seccomp|NoNewPrivs):' /proc/self/status; wc -c </proc/kcore 2>&1; ls /sys/firmware";
    let dockerfile = format!("FROM busybox\nRUN ({status}) >/status 2>&1\n");
    build(&engine, "policy", &[("Dockerfile", &dockerfile)]).ok();
    let of_build = engine.wharf(&["run", "--rm", "policy", "cat", "/status"]).ok().to_owned();
    let of_run = engine
        .wharf(&["run", "--rm", "busybox", "/bin/sh", "-c", &format!("({status}) 2>&1")])
        .ok()
        .to_owned();
    assert_eq!(of_build, of_run);
    assert!(of_build.contains("Seccomp:\t2"), "{of_build}");
}

#[test]
fn row_01_a_build_s_program_of_the_host_is_not_reached() {
    let engine = Engine::with_busybox();
    let binaries = testkit::engine::binary_dir();
    let hashes = || {
        let sums = Command::new("sha256sum")
            .args(["wharfd", "wharf-shim", "wharf"].map(|name| binaries.join(name)))
            .output();
        sums.expect("sha256sum runs").stdout
    };
    let before = hashes();
    // The command is whatever /proc/self/exe is when it is executed: the shim, if anything of the host were there.
    build(
        &engine,
        "exe",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN ln -sf /proc/self/exe /exe\nRUN [\"/exe\", \"sh\", \"-c\", \"true\"]\n",
        )],
    );
    build(
        &engine,
        "write",
        &[("Dockerfile", "FROM busybox\nRUN for p in /proc/[0-9]*/exe; do echo x >>$p; done; true\n")],
    )
    .ok();
    assert_eq!(hashes(), before);
}

#[test]
fn row_02_no_folder_of_the_host_is_a_working_directory() {
    let engine = Engine::with_busybox();
    for number in 3..12 {
        let dockerfile = format!(
            "FROM busybox\nWORKDIR /proc/self/fd/{number}\nRUN pwd; ls ..; cat ../../../../etc/hostname\n"
        );
        let told = build(&engine, "cwd", &[("Dockerfile", &dockerfile)]);
        assert!(!told.error().is_empty(), "{told:?}");
        assert!(!told.text().contains("wharf-test"), "{told:?}");
    }
    build(&engine, "fds", &[("Dockerfile", "FROM busybox\nRUN ls -l /proc/self/fd >/fds\n")]).ok();
    let listed = engine.wharf(&["run", "--rm", "fds", "cat", "/fds"]);
    assert_eq!(listed.ok().lines().filter(|line| line.contains("->")).count(), 3, "{listed:?}");
}

#[test]
fn row_06_archives_of_a_context_cannot_climb_out() {
    let engine = Engine::with_busybox();
    let before = std::fs::read_dir(engine.root()).expect("a folder").count();
    let mut evil = Vec::new();
    let entry = |name: &str, kind: u8, link: &str, content: &str| {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        let size = format!("{:011o}", content.len());
        header[124..135].copy_from_slice(size.as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    evil.extend(entry("Dockerfile", b'0', "", "FROM busybox\nADD evil.tar /a/\n"));
    evil.extend(entry("link", b'2', "../../..", ""));
    evil.extend(entry("link/climbed", b'0', "", "x"));
    evil.extend(entry("hard", b'1', "../../../../etc/passwd", ""));
    evil.resize(evil.len() + 1024, 0);
    let told = Build::run(&engine, "", &evil);
    assert!(told.status >= 400 || !told.error().is_empty(), "{told:?}");
    assert!(!engine.root().join("climbed").exists() && !engine.data_root().join("climbed").exists());
    // The same in an archive that ADD unpacks.
    let mut inner = entry("up", b'2', "/", "");
    inner.extend(entry("up/climbed", b'0', "", "inside"));
    inner.extend(entry("../../../climbed", b'0', "", "x"));
    inner.resize(inner.len() + 1024, 0);
    let folder = engine.root().join("added");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("Dockerfile"), "FROM busybox\nADD evil.tar /a/b/c/\n").expect("a file");
    std::fs::write(folder.join("evil.tar"), inner).expect("a file");
    let told = Build::run(&engine, "t=added", &pack(&folder));
    assert!(told.error().contains("climbed") || told.error().is_empty(), "{told:?}");
    assert!(!Path::new("/climbed").exists() && !engine.data_root().join("climbed").exists());
    assert_eq!(std::fs::read_dir(engine.data_root().join("tmp")).expect("a folder").count(), 0);
    assert_eq!(
        std::fs::read_dir(engine.root()).expect("a folder").count(),
        before + 1,
        "only the folder of this test is new"
    );
}

#[test]
fn row_08_owners_are_taken_strictly() {
    let engine = Engine::with_busybox();
    let passwd = "FROM busybox\nRUN echo '2147483648:x:0:0::/:/bin/sh' >>/etc/passwd; echo '007:x:0:0::/:/bin/sh' >>/etc/passwd\n";
    for (owner, expected) in [
        ("0", Some("0 0")),
        ("1:2", Some("1 2")),
        ("007", Some("7 7")),
        ("root", Some("0 0")),
        ("2147483648", None),
        ("4294967296", None),
        ("-1", None),
        ("nobody-here", None),
        ("0:nogroup-here", None),
    ] {
        let dockerfile = format!("{passwd}COPY --chown={owner} f /f\n");
        let told = build(&engine, "owner", &[("Dockerfile", &dockerfile), ("f", owner)]);
        match expected {
            Some(ids) => {
                told.ok();
                assert_eq!(
                    engine.wharf(&["run", "--rm", "owner", "stat", "-c", "%u %g", "/f"]).ok(),
                    ids,
                    "{owner}"
                );
            }
            None => {
                assert!(
                    told.error().starts_with("unable to convert uid/gid chown string"),
                    "{owner}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn row_21_git_speaks_to_servers_only() {
    if !has_git() {
        return;
    }
    let engine = Engine::with_busybox();
    let repository = engine.root().join("repo.git");
    let made =
        Command::new("git").args(["init", "-q", "--bare"]).arg(&repository).output().expect("git runs");
    assert!(made.status.success());
    let marker = engine.root().join("executed");
    let told = |address: &str| {
        let address: String = address.bytes().map(|byte| format!("%{byte:02x}")).collect();
        Build::run(&engine, &format!("remote={address}"), b"").error().to_owned()
    };
    for address in [
        format!("git://127.0.0.1:1/x.git#--upload-pack=touch {}", marker.display()),
        format!("git@-oProxyCommand=touch {}:x.git", marker.display()),
        format!("ext::sh -c touch% {}#.git", marker.display()),
        format!("file://{}", repository.display()),
        format!("{}", repository.display()),
        "http://127.0.0.1:1/x.git#a:../../..".to_owned(),
    ] {
        assert!(!told(&address).is_empty(), "{address}");
        assert!(!marker.exists(), "{address}");
    }
    assert_eq!(std::fs::read_dir(engine.data_root().join("tmp")).expect("a folder").count(), 0);
}
