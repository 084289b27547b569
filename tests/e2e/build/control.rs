//! BuildKit's services as programs call them that are no buildx: results looked into, graphs, the history of builds.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use buildkit::control::{
    self, BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, SolveRequest, SolveResponse,
    StatusRequest, StatusResponse, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse,
};
use buildkit::gateway::{self, BuildResult, Built, ReturnRequest, ReturnResponse};
use buildkit::ops::Definition;
use grpc::{Client, Code, Limits, Metadata, Status};
use prost::Message;
use testkit::Engine;
use testkit::lying::{Registry, Reply, Request};

/// How long a build may wait for its client.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that speaks HTTP/2 from its first byte.
fn connect(engine: &Engine) -> Client {
    let socket = UnixStream::connect(engine.socket_path()).expect("connects");
    Client::new(socket.into(), Vec::new(), Limits::DEFAULT).expect("a client")
}

fn bridge<A: Message + Default>(client: &Client, path: &str, request: &impl Message) -> Result<A, Status> {
    client.unary(path, Metadata::new().with(gateway::method::BUILD_ID, "driven"), None, request)
}

/// Builds with `drive` as the client that drives it.
fn driven(engine: &Engine, drive: impl FnOnce(&Client)) {
    let client = connect(engine);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| -> Result<SolveResponse, Status> {
            let request = SolveRequest { reference: "driven".into(), ..SolveRequest::default() };
            // What fails below must not be waited for without end.
            connect(engine).unary(control::method::SOLVE, Metadata::new(), Some(PATIENCE), &request)
        });
        drive(&client);
        let nothing = ReturnRequest { result: Some(BuildResult::default()), error: None };
        bridge::<ReturnResponse>(&client, gateway::method::RETURN, &nothing).expect("taken");
        waiting.join().expect("no panic").expect("ends well");
    });
}

/// Builds a graph; the name of its result.
fn solve(client: &Client, definition: Definition) -> Result<String, Status> {
    let request = gateway::SolveRequest {
        definition: Some(definition),
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    };
    let answer: gateway::SolveResponse = bridge(client, gateway::method::SOLVE, &request)?;
    match answer.result.and_then(|result| result.built) {
        Some(Built::One(one)) => Ok(one.id),
        other => panic!("one result: {other:?}"),
    }
}

#[test]
fn results_are_looked_into() {
    let engine = Engine::with_busybox();
    let source = Definition::of_source("docker-image://docker.io/library/busybox:latest", BTreeMap::new());
    driven(&engine, |client| {
        let reference = solve(client, source).expect("is there");
        let read = |path: &str, range| {
            let request =
                gateway::ReadFileRequest { reference: reference.clone(), file_path: path.into(), range };
            bridge::<gateway::ReadFileResponse>(client, gateway::method::READ_FILE, &request)
        };
        let whole = read("/etc/passwd", None).expect("read").data;
        assert!(whole.starts_with(b"root:"), "{}", String::from_utf8_lossy(&whole));
        let part = read("etc/passwd", Some(gateway::FileRange { offset: 1, length: 3 })).expect("read").data;
        assert_eq!(part, whole[1..4]);
        let gone = read("/nowhere", None).expect_err("is not there");
        assert_eq!(
            (gone.code, gone.message.as_str()),
            (Code::NotFound, "open /nowhere: no such file or directory")
        );
        // What leads out of the result leads into it.
        assert!(read("/../../../../etc/shadow-of-the-host", None).is_err());

        let list = |path: &str, pattern: &str| {
            let request = gateway::ReadDirRequest {
                reference: reference.clone(),
                dir_path: path.into(),
                include_pattern: pattern.into(),
            };
            let answer: Result<gateway::ReadDirResponse, _> =
                bridge(client, gateway::method::READ_DIR, &request);
            answer.map(|answer| answer.entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>())
        };
        assert!(list("/", "").expect("listed").iter().any(|name| name == "bin"));
        assert_eq!(list("/", "et?").expect("listed"), ["etc"]);
        assert!(list("/etc/passwd", "").is_err());

        let look = |path: &str| {
            let request = gateway::StatFileRequest { reference: reference.clone(), path: path.into() };
            bridge::<gateway::StatFileResponse>(client, gateway::method::STAT_FILE, &request)
        };
        let file = look("/etc/passwd").expect("looked at").stat.expect("a file");
        assert_eq!((file.path.as_str(), file.size), ("passwd", i64::try_from(whole.len()).expect("small")));
        assert!(
            look(".").expect("looked at").stat.expect("a folder").mode & buildkit::fsutil::mode::DIR != 0
        );
    });
    assert_eq!(engine.wharf(&["images", "-qa"]).ok().lines().count(), 1, "only busybox has stayed");
}

#[test]
fn graphs_of_one_source_are_built_and_others_refused() {
    let engine = Engine::with_busybox();
    let site = Registry::start(|request: &Request| match request.path.as_str() {
        "/data" => Reply::new(200, "fetched\n"),
        _ => Reply::new(404, ""),
    });
    let address = format!("http://{}/data", site.address());
    driven(&engine, |client| {
        let named = |name: &str| BTreeMap::from([("http.filename".to_owned(), name.to_owned())]);
        let reference = solve(client, Definition::of_source(&address, named("called"))).expect("is fetched");
        let request = gateway::ReadFileRequest { reference, file_path: "/called".into(), range: None };
        let read: gateway::ReadFileResponse =
            bridge(client, gateway::method::READ_FILE, &request).expect("read");
        assert_eq!(read.data, b"fetched\n");
        let mut wrong = named("called");
        wrong.insert("http.checksum".into(), format!("sha256:{}", "0".repeat(64)));
        let refused = solve(client, Definition::of_source(&address, wrong)).expect_err("other bytes");
        assert!(refused.message.contains("digest mismatch"), "{refused}");
        solve(client, Definition::of_source(&address, named("../x"))).expect_err("no name of a file");
        let refused = solve(client, Definition::of_source("oci-layout://x", BTreeMap::new()));
        assert_eq!(refused.expect_err("refused").code, Code::Unimplemented);
    });
}

fn history(client: &Client, request: BuildHistoryRequest) -> Vec<BuildHistoryRecord> {
    let call = client.start(control::method::LISTEN_BUILD_HISTORY, Metadata::new(), None);
    call.outbound.send(&BuildHistoryRequest { early_exit: true, ..request }).expect("sent");
    let mut inbound = call.finish();
    let mut records = Vec::new();
    while let Some(event) = inbound.recv::<BuildHistoryEvent>().expect("an event") {
        records.extend(event.record);
    }
    records
}

fn said(client: &Client, reference: &str) -> Result<StatusResponse, Status> {
    let call = client.start(control::method::STATUS, Metadata::new(), None);
    call.outbound.send(&StatusRequest { reference: reference.into() })?;
    let mut inbound = call.finish();
    let mut all = StatusResponse::default();
    while let Some(news) = inbound.recv::<StatusResponse>()? {
        all.vertexes.extend(news.vertexes);
        all.logs.extend(news.logs);
    }
    Ok(all)
}

#[test]
fn the_history_outlives_the_engine() {
    let mut engine = Engine::with_busybox();
    let folder = engine.root().join("history");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("Dockerfile"), "FROM busybox\nRUN echo remembered\nMAINTAINER x\n")
        .expect("written");
    let client = connect(&engine);
    let build = |reference: &str, target: &str| -> Result<SolveResponse, Status> {
        let frontend_attrs = BTreeMap::from([
            ("context".to_owned(), "http://127.0.0.1:1/nowhere".to_owned()),
            ("target".to_owned(), target.to_owned()),
        ]);
        let request = SolveRequest {
            reference: reference.into(),
            frontend: "dockerfile.v0".into(),
            frontend_attrs,
            ..SolveRequest::default()
        };
        client.unary(control::method::SOLVE, Metadata::new(), None, &request)
    };
    build("failing", "t").expect_err("there is no such server");
    let Some(buildx) = testkit::peers::docker_plugin("buildx") else { return };
    let mut command = std::process::Command::new(buildx);
    command.args(["build", "--progress=plain"]).arg(&folder);
    command.env("DOCKER_HOST", engine.host()).env("DOCKER_CONFIG", engine.root().join("config"));
    let output = testkit::engine::run(&mut command, None);
    assert_eq!(output.code, 0, "{output:?}");

    let check = |client: &Client| {
        let failing = history(client, BuildHistoryRequest { reference: "failing".into(), ..<_>::default() });
        let [failing] = failing.as_slice() else { panic!("one record: {failing:?}") };
        assert_eq!(failing.frontend_attrs["target"], "t");
        assert!(failing.error.is_some() && failing.completed_at.is_some());
        let all = history(client, BuildHistoryRequest::default());
        let good: Vec<_> = all.iter().filter(|record| record.error.is_none()).collect();
        let [good] = good.as_slice() else { panic!("one record: {all:?}") };
        assert_eq!((good.num_warnings, good.num_cached_steps < good.num_total_steps), (1, true));
        assert_eq!(good.num_completed_steps, good.num_total_steps);
        let said = said(client, &good.reference).expect("remembered");
        assert!(said.logs.iter().any(|log| log.msg == b"remembered\n"), "{said:?}");
        assert!(said.vertexes.iter().any(|vertex| vertex.name == "[2/2] RUN echo remembered"));
        good.reference.clone()
    };
    check(&client);
    drop(client);
    // The last one is on disk a moment after its end.
    let at = engine.data_root().join("build-history");
    super::classic::wait_until("the records are written", || {
        std::fs::read_dir(&at).is_ok_and(|entries| entries.count() == 2)
    });
    engine.stop_daemon();
    engine.start_daemon();
    let client = connect(&engine);
    let reference = check(&client);
    let remove = || -> Result<UpdateBuildHistoryResponse, Status> {
        let request =
            UpdateBuildHistoryRequest { reference: reference.clone(), delete: true, ..<_>::default() };
        client.unary(control::method::UPDATE_BUILD_HISTORY, Metadata::new(), None, &request)
    };
    remove().expect("removed");
    assert_eq!(remove().expect_err("is gone").code, Code::NotFound);
    assert_eq!(history(&client, BuildHistoryRequest::default()).len(), 1);
    assert_eq!(std::fs::read_dir(&at).expect("there").count(), 1, "what it said goes with it");
}
