//! The engine with real containers: life, streams, failures, restarts of the engine.

mod fixture;

use std::time::Duration;

use engine::container::parameters::{LogParameters, RemoveParameters, StopParameters};
use fixture::{Fixture, message, wait_for};

#[test]
fn a_container_runs_and_tells_its_end() {
    let fixture = Fixture::new();
    let (code, output) = fixture.run("echo hello; echo there >&2; exit 3", "{}");
    assert_eq!(code, 3);
    assert_eq!(output, "hello\nthere\n");
}

#[test]
fn the_life_of_a_container() {
    let fixture = Fixture::new();
    let containers = fixture.engine().containers();
    let id = fixture.create_named(Some("web"), r#"{"Cmd":["sh","-c","echo up; sleep 1000"]}"#).unwrap();
    containers.start("web").unwrap();
    let inspect = containers.inspect("web", true).unwrap();
    assert!(inspect.state.running);
    assert_eq!(inspect.name, "/web");
    assert!(!inspect.network_settings.ip_address.is_empty());
    let error = containers.start("web").unwrap_err();
    assert_eq!(model::Kinded::kind(&error), model::ErrorKind::NotModified);
    assert_eq!(fixture.exec("web", "echo in; exit 4"), (4, "in\n".to_owned()));
    let (code, text) = fixture.exec("web", "hostname -i");
    assert_eq!((code, text.trim()), (0, inspect.network_settings.ip_address.as_str()));
    assert!(!containers.top("web", "").unwrap().processes.is_empty());
    containers.pause("web").unwrap();
    assert_eq!(containers.inspect("web", false).unwrap().state.status, "paused");
    assert!(message(containers.pause("web")).contains("is already paused"));
    containers.unpause("web").unwrap();
    containers.rename("web", "site").unwrap();
    let stats = containers.stats("site", true, false).unwrap().next().unwrap();
    assert!(stats.memory_stats.usage > 0);
    let stop = StopParameters { timeout: Some(0), signal: None };
    containers.stop(&id, &stop).unwrap();
    let state = containers.inspect("site", false).unwrap().state;
    assert_eq!((state.status.as_str(), state.exit_code), ("exited", 137));
    let mut log = Vec::new();
    let parameters = LogParameters { stdout: true, stderr: true, ..LogParameters::default() };
    containers.logs("site", parameters).unwrap().write_to(&mut log, None).unwrap();
    assert_eq!(&log[8..], b"up\n");
    containers.restart("site", &stop).unwrap();
    assert!(
        message(containers.remove("site", RemoveParameters::default()))
            .starts_with("cannot remove container \"/site\": container is running")
    );
    containers.remove("site", RemoveParameters { force: true, ..RemoveParameters::default() }).unwrap();
    assert_eq!(message(containers.inspect("site", false)), "No such container: site");
}

#[test]
fn a_missing_program_has_docker_s_words() {
    let fixture = Fixture::new();
    let id = fixture.create(r#"{"Cmd":["nosuch"]}"#).unwrap();
    assert_eq!(
        message(fixture.engine().containers().start(&id)),
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown"
    );
    let state = fixture.engine().containers().inspect(&id, false).unwrap().state;
    assert_eq!((state.status.as_str(), state.exit_code), ("created", 127));
}

#[test]
fn automatic_removal_tells_the_waiter_and_leaves_nothing() {
    let fixture = Fixture::new();
    let before = fixture.census();
    let containers = fixture.engine().containers();
    let id = fixture
        .create(r#"{"Cmd":["sh","-c","exit 5"],"HostConfig":{"AutoRemove":true},"Volumes":{"/data":{}}}"#)
        .unwrap();
    let waiting = containers.wait(&id, Some("removed")).unwrap();
    containers.start(&id).unwrap();
    assert_eq!(waiting.wait(None).unwrap().status_code, 5);
    assert!(containers.inspect(&id, false).is_err());
    wait_for("nothing is left", || fixture.census() == before);
}

#[test]
fn every_injected_failure_leaves_nothing() {
    let fixture = Fixture::new();
    let before = fixture.census();
    let body = r#"{"Cmd":["sleep","100"],"Volumes":{"/data":{}}}"#;
    for step in ["create.snapshot", "create.volumes", "create.directory", "create.record"] {
        fixture.fail_at(step);
        assert_eq!(message(fixture.create_named(Some("x1"), body)), format!("injected failure at {step}"));
        assert_eq!(fixture.census(), before, "{step}");
    }
    fixture.fail_at("");
    let id = fixture.create_named(Some("x1"), body).unwrap();
    let created = fixture.census();
    for step in ["start.mounts", "start.network", "start.files", "start.shim", "start.record"] {
        fixture.fail_at(step);
        assert_eq!(message(fixture.engine().containers().start(&id)), format!("injected failure at {step}"));
        let files = |list: &[String]| {
            list.iter().filter(|path| !path.contains("data/containers")).cloned().collect::<Vec<_>>()
        };
        wait_for(step, || files(&fixture.census()) == files(&created));
        assert!(!fixture.engine().containers().inspect(&id, false).unwrap().state.running);
    }
    fixture.fail_at("");
    fixture.engine().containers().start(&id).unwrap();
    for step in ["exec.process", "exec.shim"] {
        fixture.fail_at(step);
        assert!(fixture.exec(&id, "true").1.starts_with("injected failure"), "{step}");
    }
    fixture.fail_at("stop.signal");
    let parameters = StopParameters { timeout: Some(0), signal: None };
    let stopped = fixture.engine().containers().stop(&id, &parameters);
    assert!(message(stopped).ends_with("injected failure at stop.signal"));
    assert!(fixture.engine().containers().inspect(&id, false).unwrap().state.running);
    for step in ["remove.network", "remove.volumes", "remove.root", "remove.directory"] {
        fixture.fail_at(step);
        let parameters = RemoveParameters { force: true, volumes: true, link: false };
        assert_eq!(
            message(fixture.engine().containers().remove(&id, parameters)),
            format!("injected failure at {step}")
        );
    }
    fixture.fail_at("");
    fixture.remove(&id);
    wait_for("nothing is left", || fixture.census() == before);
}

#[test]
fn restart_policies_start_again_until_somebody_stops_it() {
    let fixture = Fixture::new();
    let containers = fixture.engine().containers();
    let id = fixture.create(r#"{"Cmd":["sh","-c","exit 1"],"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}}"#).unwrap();
    containers.start(&id).unwrap();
    wait_for("both retries", || {
        let inspect = containers.inspect(&id, false).unwrap();
        inspect.restart_count == 2 && inspect.state.status == "exited"
    });
    let id = fixture
        .create(r#"{"Cmd":["sleep","1000"],"HostConfig":{"RestartPolicy":{"Name":"always"}}}"#)
        .unwrap();
    containers.start(&id).unwrap();
    let first = containers.inspect(&id, false).unwrap().state.pid;
    fixture.exec(&id, "kill -9 1; kill -9 -1");
    containers.stop(&id, &StopParameters { timeout: Some(0), signal: None }).unwrap();
    assert_eq!(containers.inspect(&id, false).unwrap().state.status, "exited");
    assert_ne!(first, 0);
}

#[test]
fn a_new_engine_adopts_what_runs_and_learns_what_ended() {
    let mut fixture = Fixture::new();
    let stays = fixture.create_named(Some("stays"), r#"{"Cmd":["sleep","1000"]}"#).unwrap();
    let ends = fixture.create_named(Some("ends"), r#"{"Cmd":["sh","-c","sleep 0.5; exit 7"]}"#).unwrap();
    let vanishes = fixture
        .create_named(Some("vanishes"), r#"{"Cmd":["sleep","0.5"],"HostConfig":{"AutoRemove":true}}"#)
        .unwrap();
    let pid = {
        let containers = fixture.engine().containers();
        for id in [&stays, &ends, &vanishes] {
            containers.start(id).unwrap_or_else(|error| panic!("{error}"));
        }
        containers.inspect(&stays, false).unwrap().state.pid
    };
    fixture.crash();
    std::thread::sleep(Duration::from_millis(1000));
    fixture.open();
    let containers = fixture.engine().containers();
    let state = containers.inspect(&stays, false).unwrap().state;
    assert_eq!((state.running, state.pid), (true, pid));
    assert_eq!(fixture.exec(&stays, "echo alive"), (0, "alive\n".to_owned()));
    let state = containers.inspect(&ends, false).unwrap().state;
    assert_eq!((state.status.as_str(), state.exit_code), ("exited", 7));
    wait_for("--rm is finished", || containers.inspect(&vanishes, false).is_err());
}

#[test]
fn volumes_are_filled_and_shared() {
    let fixture = Fixture::new();
    let binds = r#"{"Binds":["shared:/etc"]}"#;
    assert_eq!(fixture.run("cat /etc/passwd | wc -l; echo x > /etc/new", binds), (0, "2\n".to_owned()));
    assert_eq!(fixture.run("cat /m/new", r#"{"Binds":["shared:/m:ro"]}"#), (0, "x\n".to_owned()));
    let (code, output) = fixture.run("echo y > /m/new", r#"{"Binds":["shared:/m:ro"]}"#);
    assert_eq!(code, 1, "{output}");
    assert_eq!(fixture.run("mount | grep ' /t '; touch /t/x", r#"{"Tmpfs":{"/t":"size=1m"}}"#).0, 0);
    fixture.engine().volumes().remove("shared", false).unwrap();
}

#[test]
fn limits_users_and_privileges_apply() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run("grep CapEff /proc/self/status", "{}").1, "CapEff:\t00000000a80425fb\n");
    assert_eq!(
        fixture.run("grep CapEff /proc/self/status", r#"{"CapDrop":["ALL"]}"#).1,
        "CapEff:\t0000000000000000\n"
    );
    assert_eq!(fixture.run("grep Seccomp: /proc/self/status", "{}").1, "Seccomp:\t2\n");
    assert_eq!(
        fixture.run("grep Seccomp: /proc/self/status", r#"{"SecurityOpt":["seccomp=unconfined"]}"#).1,
        "Seccomp:\t0\n"
    );
    assert_eq!(fixture.run("ulimit -n", r#"{"Ulimits":[{"Name":"nofile","Soft":77,"Hard":88}]}"#).1, "77\n");
    assert_eq!(
        fixture.run("cat /sys/fs/cgroup/memory/memory.limit_in_bytes", r#"{"Memory":33554432}"#).1,
        "33554432\n"
    );
    assert_eq!(fixture.run("touch /x", r#"{"ReadonlyRootfs":true}"#).0, 1);
    let id = fixture.create(r#"{"Cmd":["id"],"User":"nobody"}"#).unwrap();
    assert_eq!(fixture.run_created(&id).1, "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n");
    let id = fixture.create(r#"{"Cmd":["true"],"User":"nosuch"}"#).unwrap();
    assert_eq!(
        message(fixture.engine().containers().start(&id)),
        "unable to find user nosuch: no matching entries in passwd file"
    );
}

#[test]
fn changes_export_commit_and_archives() {
    let fixture = Fixture::new();
    let containers = fixture.engine().containers();
    let id = fixture.create(r#"{"Cmd":["sh","-c","echo v > /new; rm /etc/group"]}"#).unwrap();
    assert_eq!(fixture.run_created(&id).0, 0);
    let changes: Vec<String> = containers
        .changes(&id)
        .unwrap()
        .iter()
        .map(|change| format!("{}{}", u8::from(change.kind), change.path))
        .collect();
    assert_eq!(changes, ["0/etc", "2/etc/group", "1/new"]);
    let mut tar = Vec::new();
    containers.export(&id).unwrap().write_to(&mut tar).unwrap();
    assert!(tar.windows(3).any(|part| part == b"new"));
    let stat = containers.archive_stat(&id, "/etc").unwrap();
    assert_eq!((stat.name.as_str(), stat.mode >> 31), ("etc", 1));
    let mut tar = Vec::new();
    containers.archive_get(&id, "/new").unwrap().1.write_to(&mut tar).unwrap();
    let put =
        engine::container::parameters::ArchivePutParameters { path: "/tmp".to_owned(), ..Default::default() };
    containers.archive_put(&id, &put, &mut tar.as_slice()).unwrap();
    assert_eq!(containers.archive_stat(&id, "/tmp/new").unwrap().size, 2);
    assert_eq!(
        message(containers.archive_stat(&id, "/nosuch")),
        format!("Could not find the file /nosuch in container {id}")
    );
    let commit = engine::container::parameters::CommitParameters {
        container: id.clone(),
        repository: "made".to_owned(),
        changes: vec!["CMD [\"cat\",\"/new\"]".to_owned()],
        ..Default::default()
    };
    let image = containers.commit(commit).unwrap();
    assert_eq!(
        fixture
            .engine()
            .images()
            .inspect("made", &engine::image::ImageInspectParameters::default())
            .unwrap()
            .id,
        image
    );
    let made = fixture.create(r#"{"Image":"made"}"#).unwrap();
    assert_eq!(fixture.run_created(&made), (0, "v\n".to_owned()));
    let images = fixture.engine().images();
    assert!(message(images.remove("made", false, false)).contains("container"));
    fixture.remove(&made);
    let mut archive = Vec::new();
    images.save(&["made".to_owned()], &[]).unwrap().write_to(fixture.engine(), &mut archive).unwrap();
    // The name, the image, and the layer nobody else stands on.
    let steps = images.remove("made", false, false).unwrap();
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert_eq!((steps[0].untagged.as_str(), &steps[1].deleted), ("made:latest", &image));
    let mut lines = Vec::new();
    images.load(&mut archive.as_slice(), &[], &mut |line| lines.push(line.stream)).unwrap();
    assert_eq!(lines, ["Loaded image: made:latest\n"]);
    assert_eq!(images.inspect("made", &engine::image::ImageInspectParameters::default()).unwrap().id, image);
}

#[test]
fn health_checks_and_events() {
    let fixture = Fixture::new();
    let containers = fixture.engine().containers();
    let events = fixture.engine().events().subscribe(engine::event::EventFilter::default(), None).unwrap();
    let id = fixture
        .create(r#"{"Cmd":["sleep","1000"],"Healthcheck":{"Test":["CMD-SHELL","echo fine"],"Interval":50000000}}"#)
        .unwrap();
    containers.start(&id).unwrap();
    wait_for("it is healthy", || {
        containers.inspect(&id, false).unwrap().state.health.is_some_and(|health| health.status == "healthy")
    });
    let health = containers.inspect(&id, false).unwrap().state.health.unwrap();
    assert_eq!(health.log.unwrap()[0].output, "fine\n");
    fixture.remove(&id);
    let actions: Vec<String> = std::iter::from_fn(|| events.try_next())
        .map(|event| event.action.clone())
        .filter(|action| !action.starts_with("exec_"))
        .collect();
    let expected =
        ["create", "connect", "start", "health_status: healthy", "kill", "disconnect", "die", "destroy"];
    assert_eq!(actions, expected);
}

#[test]
fn modes_of_joining_namespaces() {
    let fixture = Fixture::new();
    let containers = fixture.engine().containers();
    let donor = fixture
        .create_named(Some("donor"), r#"{"Cmd":["sleep","1000"],"HostConfig":{"IpcMode":"shareable"}}"#)
        .unwrap();
    containers.start(&donor).unwrap();
    let address = containers.inspect(&donor, false).unwrap().network_settings.ip_address;
    let joined =
        r#"{"NetworkMode":"container:donor","IpcMode":"container:donor","PidMode":"container:donor"}"#;
    let (code, output) = fixture.run("ip -4 addr show eth0 | grep inet; ps | grep -c 'sleep 1000'", joined);
    assert_eq!(code, 0);
    assert!(output.contains(&address), "{output}");
    assert_eq!(fixture.run("ls /sys/class/net", r#"{"NetworkMode":"none"}"#).1, "lo\n");
    assert!(fixture.run("ls /sys/class/net", r#"{"NetworkMode":"host"}"#).1.contains(&fixture.slot.bridge()));
    let id = fixture.create(r#"{"Cmd":["true"],"HostConfig":{"NetworkMode":"bogus"}}"#).unwrap();
    assert_eq!(message(containers.start(&id)), "network bogus not found");
}

#[test]
fn a_pull_that_is_stopped_does_not_wait_for_a_silent_registry() {
    let fixture = Fixture::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    // Silent from the beginning, silent when asked for the tag, silent in the middle of a document.
    let part = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    for answers in [&[][..], &[head], &[head, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", part]] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let image = format!("{}/some/thing", listener.local_addr().unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        let answers: Vec<&str> = answers.to_vec();
        let registry = std::thread::spawn(move || {
            // TLS is tried first.
            let mut stream = loop {
                let (stream, _) = listener.accept().unwrap();
                let mut first = [0];
                if answers.is_empty() || (stream.peek(&mut first).unwrap() == 1 && first != [0x16]) {
                    break stream;
                }
            };
            let mut asked = [0; 4096];
            for answer in answers {
                assert!(std::io::Read::read(&mut stream, &mut asked).unwrap() > 0);
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
            let _ = tell.send(());
            // Until the engine hangs up, or the request that is not waited for any more gives up.
            let _ = told_end(&mut stream);
        });
        let stop = registry_client::Stop::default();
        let parameters = engine::image::PullParameters { image, tag: "1".to_owned(), ..Default::default() };
        let images = fixture.engine().images();
        std::thread::scope(|scope| {
            let pull = scope.spawn(|| images.pull(&parameters, &mut |_| {}, &stop));
            told.recv().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let begin = std::time::Instant::now();
            stop.stop();
            let ended = pull.join().unwrap();
            assert!(begin.elapsed() < Duration::from_secs(2), "it took {:?}", begin.elapsed());
            assert!(ended.is_err());
        });
        drop(registry);
    }
}

/// Reads until the other end is gone.
fn told_end(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    while std::io::Read::read(stream, &mut [0; 4096])? > 0 {}
    Ok(())
}
