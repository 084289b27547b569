//! A registry's whole story as people are told it (MISSION rows 114 to 119), with both command lines.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::engine::run;
use testkit::registry::{Program, Registry};

#[test]
fn with_wharfs_own_command_line() {
    tell(&|engine, arguments| engine.wharf_command(arguments));
}

#[test]
fn with_dockers_command_line() {
    if !testkit::engine::has_docker_cli() {
        eprintln!("skipped: there is no docker command here");
        return;
    }
    tell(&|engine, arguments| {
        let mut command = engine.docker_command(arguments);
        command.env("DOCKER_BUILDKIT", "0");
        command
    });
}

fn tell(command: &dyn Fn(&Engine, &[&str]) -> Command) {
    let place = Engine::prepare(&[]);
    let hub = Registry::start(Program::Wharf, place.root(), false);
    let mirror = format!("http://{}", hub.address());
    let engine = Engine::start_with(&["--registry-mirror", &mirror]);
    publish(&engine, &format!("{}/library/registry:latest", hub.address()));
    let say = |arguments: &[&str]| run(&mut command(&engine, arguments), None).ok().to_owned();

    let pulled = say(&["image", "pull", "registry"]);
    assert!(
        pulled.starts_with("Using default tag: latest\nlatest: Pulling from library/registry\n"),
        "{pulled}"
    );
    assert!(pulled.ends_with("\ndocker.io/library/registry:latest"), "{pulled}");
    say(&["container", "run", "-d", "-p", "127.0.0.1::5000", "--name", "preregistry", "registry"]);
    let address = say(&["container", "port", "preregistry", "5000"]);
    wait_for(&address);
    let name = format!("localhost:{}/helloimg", address.rsplit_once(':').expect("a port").1);

    let folder = engine.root().join("hello");
    std::fs::create_dir_all(&folder).expect("make the folder");
    std::fs::copy(testkit::image::busybox_program(), folder.join("busybox")).expect("copy the program");
    let dockerfile = "FROM scratch\nCOPY busybox /busybox\nCMD [\"/busybox\", \"echo\", \"Hello\"]\n";
    std::fs::write(folder.join("Dockerfile"), dockerfile).expect("write the Dockerfile");
    let mut build = command(&engine, &["build", "-t", "hello", "."]);
    run(build.current_dir(&folder), None).ok();

    say(&["image", "tag", "hello", &name]);
    let pushed = say(&["image", "push", &name]);
    assert!(pushed.contains(&format!("The push refers to repository [{name}]\n")), "{pushed}");
    let last = pushed.lines().last().expect("a last line");
    let digest =
        last.strip_prefix("latest: digest: ").and_then(|rest| rest.split(' ').next()).expect("a digest");

    say(&["image", "rm", "hello"]);
    say(&["image", "rm", &name]);
    assert_eq!(say(&["images", "-q", &name]), "");
    let pulled = say(&["image", "pull", &name]);
    assert!(
        pulled.contains(&format!("Digest: {digest}\nStatus: Downloaded newer image for {name}:latest\n")),
        "{pulled}"
    );
    assert_eq!(say(&["run", "--rm", &name]), "Hello");
    let known = say(&["image", "inspect", "-f", "{{join .RepoDigests \" \"}}", &name]);
    assert_eq!(known, format!("{name}@{digest}"));
    say(&["container", "rm", "-f", "preregistry"]);
}

/// Makes the registry's program an image, and pushes it where everybody finds it.
fn publish(engine: &Engine, name: &str) {
    let program = testkit::engine::binary_dir().join("wharf-registry");
    let image = Command::new(program).arg("image").output().expect("write the registry's image");
    engine.wharf_with_input(&["load"], &image.stdout).ok();
    engine.wharf(&["tag", "registry", name]).ok();
    engine.wharf(&["push", name]).ok();
    engine.wharf(&["rmi", name, "registry"]).ok();
}

/// Until the registry in its container answers.
fn wait_for(address: &str) {
    let begin = Instant::now();
    let answers = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(
            format!("GET /v2/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text.starts_with("HTTP/1.1 200"))
    };
    while !answers().unwrap_or(false) {
        assert!(begin.elapsed() < testkit::patience(20), "the registry in its container does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}
