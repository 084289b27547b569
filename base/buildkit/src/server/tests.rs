//! The doors over a backend that stands in for an engine, driven by calls as clients make them.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use grpc::{Call, Client, Code, Limits, Metadata, Service, Status};

use super::{Backend, Doors, Export, Job, Wish};
use crate::control::*;
use crate::gateway::{
    self as bridge, BuildResult, Built, Ref, RefMap, ResolveImageConfigRequest, ResolveImageConfigResponse,
    ReturnRequest, ReturnResponse,
};
use crate::services::{BytesMessage, GetSecretRequest, GetSecretResponse, method as offered};
use crate::session::{Sessions, tunnel};
use crate::worker::{BuildkitVersion, WorkerRecord};
use crate::{errdefs, ops};

const PATIENCE: Duration = Duration::from_secs(20);

/// Builds by the stage's name: `fail`, `wait`, `secret`, anything else works.
struct Stand {
    told: Mutex<Sender<String>>,
    past: Mutex<Vec<(BuildHistoryRecord, Vec<u8>)>>,
    last: Mutex<std::sync::Weak<String>>,
}

impl Stand {
    fn tell(&self, text: impl Into<String>) {
        let _ = self.told.lock().expect("not poisoned").send(text.into());
    }
}

impl Backend for Stand {
    type Built = Arc<String>;

    fn build(&self, wish: &Wish, job: &Job) -> Result<Self::Built, Status> {
        let step = |done: bool| Vertex {
            digest: "sha256:1".into(),
            name: "[1/1] RUN x".into(),
            completed: done.then(<_>::default),
            ..Vertex::default()
        };
        job.progress.vertex(step(false));
        match wish.target.as_deref().unwrap_or_default() {
            "fail" => {
                let info = ops::SourceInfo { filename: "Dockerfile".into(), ..<_>::default() };
                Err(Status::new(Code::Unknown, "process \"/bin/sh -c x\" did not complete")
                    .with_detail(errdefs::source(&info, &[])))
            }
            "wait" => {
                let (sender, receiver) = channel();
                let _hook = job.cancellation.on_cancel(move || sender.send(()).expect("heard"));
                self.tell("waiting");
                receiver.recv_timeout(PATIENCE).expect("cancelled in time");
                self.tell("cancelled");
                Err(Status::new(Code::Cancelled, "context canceled"))
            }
            "secret" => {
                let secret = job.session()?.secret("s")?.expect("there is one");
                Ok(Arc::new(String::from_utf8_lossy(secret.bytes()).into_owned()))
            }
            target => {
                job.progress.log("sha256:1", 1, b"hello\n");
                job.progress.vertex(step(true));
                let built = Arc::new(target.to_owned());
                *self.last.lock().expect("not poisoned") = Arc::downgrade(&built);
                Ok(built)
            }
        }
    }

    fn answer(&self, wish: &Wish, _: &Job) -> Result<BTreeMap<String, Vec<u8>>, Status> {
        match wish.subrequest.as_deref() {
            Some("frontend.targets") => Ok(BTreeMap::from([("result.txt".into(), b"all".to_vec())])),
            other => Err(Status::new(Code::Unimplemented, format!("unsupported request {other:?}"))),
        }
    }

    fn definition(&self, built: &Self::Built) -> ops::Definition {
        ops::Definition::of_source(&format!("built://{built}"), BTreeMap::new())
    }

    fn facts(&self, built: &Self::Built) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("containerimage.config".into(), built.as_bytes().to_vec())])
    }

    fn export(
        &self,
        built: &Self::Built,
        export: &Export,
        _job: &Job,
    ) -> Result<BTreeMap<String, String>, Status> {
        if export.kind == "bad" {
            return Err(Status::new(Code::NotFound, "exporter \"bad\" could not be found"));
        }
        let name = export.options.get("name").cloned().unwrap_or_default();
        self.tell(format!("{} {} {built} {name}", export.number, export.kind));
        Ok(BTreeMap::from([("image.name".into(), name)]))
    }

    fn usage(&self, _request: &DiskUsageRequest) -> Result<Vec<UsageRecord>, Status> {
        Ok(vec![UsageRecord { id: "one".into(), size: 5, ..UsageRecord::default() }])
    }

    fn prune(&self, request: &PruneRequest) -> Result<Vec<UsageRecord>, Status> {
        self.tell(format!("prune {}", request.all));
        self.usage(&DiskUsageRequest::default())
    }

    fn remember(&self, record: BuildHistoryRecord, log: Vec<u8>) {
        self.past.lock().expect("not poisoned").push((record, log));
    }

    fn past(&self) -> Vec<BuildHistoryRecord> {
        self.past.lock().expect("not poisoned").iter().map(|(record, _)| record.clone()).collect()
    }

    fn past_log(&self, reference: &str) -> Result<Option<Vec<u8>>, Status> {
        let past = self.past.lock().expect("not poisoned");
        Ok(past.iter().rfind(|(record, _)| record.reference == reference).map(|(_, log)| log.clone()))
    }

    fn forget(&self, reference: &str) -> Result<bool, Status> {
        let mut past = self.past.lock().expect("not poisoned");
        let before = past.len();
        past.retain(|(record, _)| record.reference != reference);
        Ok(past.len() < before)
    }

    fn pin(&self, reference: &str, pinned: bool) -> Result<bool, Status> {
        let mut past = self.past.lock().expect("not poisoned");
        let found = past.iter_mut().find(|(record, _)| record.reference == reference);
        Ok(found.map(|(record, _)| record.pinned = pinned).is_some())
    }

    fn workers(&self) -> Vec<WorkerRecord> {
        vec![WorkerRecord { id: "worker".into(), ..WorkerRecord::default() }]
    }

    fn version(&self) -> BuildkitVersion {
        BuildkitVersion { version: "v1".into(), ..BuildkitVersion::default() }
    }

    fn image_config(
        &self,
        request: &ResolveImageConfigRequest,
        _: &Job,
    ) -> Result<ResolveImageConfigResponse, Status> {
        let digest = "sha256:ab".into();
        Ok(ResolveImageConfigResponse {
            digest,
            config: b"{}".to_vec(),
            reference: request.reference.clone(),
        })
    }
}

struct Bench {
    client: Client,
    doors: Arc<Doors<Stand>>,
    told: Receiver<String>,
}

impl Bench {
    fn new() -> Self {
        let (sender, told) = channel();
        let doors = Arc::new(Doors::new(
            Stand { told: Mutex::new(sender), past: Mutex::default(), last: Mutex::default() },
            Arc::new(Sessions::default()),
        ));
        Self { client: connect(&doors), doors, told }
    }

    /// How many hold the result that was given last, this one not counted.
    fn holders(&self) -> usize {
        self.doors.backend.last.lock().expect("not poisoned").strong_count()
    }

    fn solve(&self, request: &SolveRequest) -> Result<SolveResponse, Status> {
        self.client.unary(method::SOLVE, Metadata::new(), None, request)
    }

    fn bridge<A: prost::Message + Default>(
        &self,
        path: &str,
        request: &impl prost::Message,
    ) -> Result<A, Status> {
        self.client.unary(path, Metadata::new().with(bridge::method::BUILD_ID, "b"), None, request)
    }

    fn hear(&self, word: &str) {
        assert_eq!(self.told.recv_timeout(PATIENCE).as_deref(), Ok(word));
    }

    /// All news of a build until it ends.
    fn status(&self, reference: &str) -> Result<StatusResponse, Status> {
        let call = self.client.start(method::STATUS, Metadata::new(), None);
        call.outbound.send(&StatusRequest { reference: reference.into() })?;
        let mut inbound = call.finish();
        let mut all = StatusResponse::default();
        while let Some(news) = inbound.recv::<StatusResponse>()? {
            all.vertexes.extend(news.vertexes);
            all.logs.extend(news.logs);
            all.warnings.extend(news.warnings);
        }
        Ok(all)
    }

    fn history(&self, request: BuildHistoryRequest) -> Vec<(i32, String, bool)> {
        let call = self.client.start(method::LISTEN_BUILD_HISTORY, Metadata::new(), None);
        call.outbound.send(&request).expect("sent");
        let mut inbound = call.finish();
        let mut events = Vec::new();
        while let Some(event) = inbound.recv::<BuildHistoryEvent>().expect("events") {
            let record = event.record.expect("a record");
            events.push((event.r#type, record.reference, record.error.is_some()));
        }
        events
    }
}

fn connect(doors: &Arc<Doors<Stand>>) -> Client {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let served = Arc::clone(doors);
    thread::spawn(move || grpc::serve(theirs.into(), Vec::new(), served, Limits::DEFAULT));
    Client::new(ours.into(), Vec::new(), Limits::DEFAULT).expect("a client")
}

fn request(reference: &str, frontend: &str, target: &str) -> SolveRequest {
    SolveRequest {
        reference: reference.into(),
        frontend: frontend.into(),
        frontend_attrs: BTreeMap::from([("target".into(), target.into())]),
        exporters: vec![Exporter {
            r#type: "moby".into(),
            attrs: BTreeMap::from([("name".into(), "n:1".into())]),
        }],
        ..SolveRequest::default()
    }
}

fn direct(target: &str) -> SolveRequest {
    request("b", "dockerfile.v0", target)
}

#[test]
fn a_build_by_one_call() {
    let bench = Bench::new();
    let answer = bench.solve(&direct("t")).expect("builds");
    assert_eq!(answer.exporter_response["image.name"], "n:1");
    bench.hear("0 moby t n:1");
    // Whoever asks late is told everything.
    let news = bench.status("b").expect("known");
    assert_eq!(news.vertexes.len(), 2);
    assert!(news.vertexes[0].completed.is_none() && news.vertexes[1].completed.is_some());
    assert_eq!(news.logs[0].msg, b"hello\n");
    bench.solve(&direct("t")).expect("the name of what has ended is free");
}

#[test]
fn an_old_client_names_one_exporter() {
    let bench = Bench::new();
    let old = SolveRequest {
        exporter_deprecated: "image".into(),
        exporter_attrs_deprecated: BTreeMap::from([("name".into(), "o".into())]),
        exporters: Vec::new(),
        ..direct("t")
    };
    bench.solve(&old).expect("builds");
    bench.hear("0 image t o");
}

#[test]
fn a_failing_build_and_a_failing_export() {
    let bench = Bench::new();
    let status = bench.solve(&direct("fail")).expect_err("fails");
    assert!(status.message.starts_with("process"), "{status}");
    assert!(errdefs::find(&status, "Source").is_some());
    assert_eq!(bench.status("b").expect("known").vertexes.len(), 1);
    let exporters = vec![Exporter { r#type: "bad".into(), ..Exporter::default() }];
    let bad = SolveRequest { exporters, ..request("c", "dockerfile.v0", "t") };
    assert_eq!(bench.solve(&bad).expect_err("fails").code, Code::NotFound);
    assert_eq!(
        bench.solve(&request("", "dockerfile.v0", "t")).expect_err("no name").code,
        Code::InvalidArgument
    );
    assert_eq!(bench.solve(&request("d", "other", "t")).expect_err("no frontend").code, Code::NotFound);
}

#[test]
fn a_client_that_drives_its_build() {
    let bench = Bench::new();
    thread::scope(|scope| {
        let waiting = {
            let client = bench.client.clone();
            scope.spawn(move || -> Result<SolveResponse, Status> {
                client.unary(method::SOLVE, Metadata::new(), None, &request("b", "", ""))
            })
        };
        let pong: bridge::PongResponse =
            bench.bridge(bridge::method::PING, &bridge::PingRequest {}).expect("pong");
        assert!(pong.frontend_api_caps.iter().any(|cap| cap.id == "proto.refarray" && cap.enabled));
        assert_eq!(pong.workers[0].id, "worker");
        let wish = bridge::SolveRequest {
            frontend: "dockerfile.v0".into(),
            frontend_opt: BTreeMap::from([("target".into(), "t".into())]),
            allow_result_return: true,
            allow_result_array_ref: true,
            ..bridge::SolveRequest::default()
        };
        let built: bridge::SolveResponse = bench.bridge(bridge::method::SOLVE, &wish).expect("builds");
        let result = built.result.expect("a result");
        assert_eq!(result.metadata["containerimage.config"], b"t");
        let Some(Built::One(one)) = &result.built else { panic!("one result: {result:?}") };
        let graph = one.def.as_ref().expect("a graph");
        assert_eq!(graph.only_source().expect("a source").identifier, "built://t");
        let evaluate = bridge::EvaluateRequest { reference: one.id.clone() };
        bench.bridge::<bridge::EvaluateResponse>(bridge::method::EVALUATE, &evaluate).expect("is there");
        let read = bridge::ReadFileRequest { reference: one.id.clone(), ..<_>::default() };
        let read = bench.bridge::<bridge::ReadFileResponse>(bridge::method::READ_FILE, &read);
        assert_eq!(read.expect_err("not by this backend").code, Code::Unimplemented);
        let asked = bridge::ResolveSourceMetaRequest {
            source: Some(ops::SourceOp { identifier: "docker-image://a".into(), ..<_>::default() }),
            ..<_>::default()
        };
        let meta: bridge::ResolveSourceMetaResponse =
            bench.bridge(bridge::method::RESOLVE_SOURCE_META, &asked).expect("found");
        assert_eq!(meta.image.expect("an image").digest, "sha256:ab");
        let warn = bridge::WarnRequest { short: b"careful".to_vec(), ..<_>::default() };
        bench.bridge::<bridge::WarnResponse>(bridge::method::WARN, &warn).expect("noted");
        let back = ReturnRequest { result: Some(result), error: None };
        bench.bridge::<ReturnResponse>(bridge::method::RETURN, &back).expect("taken");
        let answer = waiting.join().expect("no panic").expect("builds");
        assert_eq!(answer.exporter_response["image.name"], "n:1");
    });
    bench.hear("0 moby t n:1");
    assert_eq!(bench.status("b").expect("known").warnings[0].short, b"careful");
    assert_eq!(bench.holders(), 0, "the history holds no results");
    let late = bench.bridge::<bridge::PongResponse>(bridge::method::PING, &bridge::PingRequest {});
    assert_eq!(late.expect_err("over").code, Code::NotFound);
}

#[test]
fn questions_are_answered_without_a_build() {
    let bench = Bench::new();
    let asked = |name: &str| {
        let mut request = request(name, "dockerfile.v0", "fail");
        request.frontend_attrs.insert("requestid".into(), name.into());
        request
    };
    let answer = bench.solve(&asked("frontend.targets")).expect("answered");
    assert_eq!(answer.exporter_response["result.txt"], "all");
    assert_eq!(bench.solve(&asked("other")).expect_err("unknown").code, Code::Unimplemented);
    let client = bench.client.clone();
    let waiting = thread::spawn(move || -> Result<SolveResponse, Status> {
        client.unary(method::SOLVE, Metadata::new(), None, &request("b", "", ""))
    });
    let wish = bridge::SolveRequest {
        frontend: "dockerfile.v0".into(),
        frontend_opt: BTreeMap::from([("requestid".into(), "frontend.targets".into())]),
        allow_result_return: true,
        ..bridge::SolveRequest::default()
    };
    let told: bridge::SolveResponse = bench.bridge(bridge::method::SOLVE, &wish).expect("answered");
    let result = told.result.expect("facts");
    assert_eq!((result.metadata["result.txt"].as_slice(), result.built), (&b"all"[..], None));
    bench.bridge::<ReturnResponse>(bridge::method::RETURN, &ReturnRequest::default()).expect("taken");
    assert_eq!(waiting.join().expect("no panic"), Ok(SolveResponse::default()));
}

/// Drives a build that ends with this.
fn returned(back: ReturnRequest) -> (Result<SolveResponse, Status>, Result<ReturnResponse, Status>) {
    let bench = Bench::new();
    let client = bench.client.clone();
    let waiting =
        thread::spawn(move || client.unary(method::SOLVE, Metadata::new(), None, &request("b", "", "")));
    let taken = bench.bridge(bridge::method::RETURN, &back);
    (waiting.join().expect("no panic"), taken)
}

#[test]
fn a_driven_build_ends_as_its_client_says() {
    let error = Status::new(Code::Unknown, "mine").with_detail(errdefs::vertex("sha256:1"));
    let (answer, taken) = returned(ReturnRequest { error: Some(error.to_message()), result: None });
    assert_eq!((answer, taken), (Err(error), Ok(ReturnResponse {})));

    let (answer, taken) = returned(ReturnRequest::default());
    assert_eq!(
        (answer, taken),
        (Ok(SolveResponse::default()), Ok(ReturnResponse {})),
        "nothing gives nothing"
    );

    let unknown = Built::One(Ref { id: "other".into(), def: None });
    let result = BuildResult { built: Some(unknown), ..BuildResult::default() };
    let (answer, taken) = returned(ReturnRequest { result: Some(result), error: None });
    assert_eq!(answer.expect_err("no such result").code, Code::NotFound);
    assert_eq!(taken.expect_err("no such result").code, Code::NotFound);

    let two = ["a", "b"].map(|name| (name.to_owned(), Ref { id: name.into(), def: None }));
    let result =
        BuildResult { built: Some(Built::Many(RefMap { refs: two.into() })), ..BuildResult::default() };
    let (answer, _) = returned(ReturnRequest { result: Some(result), error: None });
    assert_eq!(answer.expect_err("two results").code, Code::Unimplemented);
}

#[test]
fn graphs_are_refused_and_builds_without_name_unknown() {
    let bench = Bench::new();
    let definition = Some(ops::Definition { def: vec![vec![1]], ..<_>::default() });
    let graph = SolveRequest { definition, ..request("b", "", "") };
    assert_eq!(bench.solve(&graph).expect_err("refused").code, Code::Unimplemented);
    let ping = bridge::PingRequest {};
    let nameless: Result<bridge::PongResponse, _> =
        bench.client.unary(bridge::method::PING, Metadata::new(), None, &ping);
    assert_eq!(nameless.expect_err("refused").code, Code::InvalidArgument);
    let unknown: Result<InfoResponse, _> =
        bench.client.unary("/moby.buildkit.v1.Control/Nonsense", Metadata::new(), None, &InfoRequest {});
    assert_eq!(unknown.expect_err("refused").code, Code::Unimplemented);
}

#[test]
fn a_build_ends_with_its_client() {
    let bench = Bench::new();
    let call = bench.client.start(method::SOLVE, Metadata::new(), None);
    call.outbound.send(&direct("wait")).expect("sent");
    let call = call.finish();
    bench.hear("waiting");
    drop(call);
    bench.hear("cancelled");
    // A build that waits for its client's word ends with it as well, and its listeners are let go.
    let call = bench.client.start(method::SOLVE, Metadata::new(), None);
    call.outbound.send(&request("g", "", "")).expect("sent");
    let call = call.finish();
    let other = connect(&bench.doors);
    let listener = other.start(method::STATUS, Metadata::new(), None);
    listener.outbound.send(&StatusRequest { reference: "g".into() }).expect("sent");
    let mut news = listener.finish();
    // It has begun when it can be driven.
    let metadata = Metadata::new().with(bridge::method::BUILD_ID, "g");
    let pong: Result<bridge::PongResponse, _> =
        other.unary(bridge::method::PING, metadata, None, &bridge::PingRequest {});
    assert!(pong.is_ok(), "{pong:?}");
    drop(call);
    assert_eq!(news.recv::<StatusResponse>(), Ok(None));
}

#[test]
fn a_session_inside_the_connection() {
    struct Secrets;
    impl Service for Secrets {
        fn call(&self, mut call: Call) -> Result<(), Status> {
            call.unary(|_, _: GetSecretRequest| Ok(GetSecretResponse { data: b"inside".to_vec() }))
        }
    }
    let bench = Bench::new();
    let metadata = Metadata::new()
        .with("x-docker-expose-session-uuid", "s1")
        .with("x-docker-expose-session-grpc-method", offered::GET_SECRET);
    let call = bench.client.start(method::SESSION, metadata, None);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let serving =
        thread::spawn(move || grpc::serve(theirs.into(), Vec::new(), Arc::new(Secrets), Limits::DEFAULT));
    let closer = ours.try_clone().expect("a clone");
    let carrying = thread::spawn(move || tunnel::carry(ours, call.inbound, call.outbound));
    let wish = SolveRequest { session: "s1".into(), ..direct("secret") };
    bench.solve(&wish).expect("builds");
    bench.hear("0 moby inside n:1");
    assert!(bench.doors.sessions().get("s1", Duration::ZERO).is_some());
    // The client closes its session.
    closer.shutdown(std::net::Shutdown::Both).expect("shut down");
    let _ = carrying.join().expect("no panic");
    serving.join().expect("no panic").expect("a clean end");
}

#[test]
fn a_build_without_its_session_says_so() {
    let bench = Bench::new();
    let status = bench.solve(&direct("secret")).expect_err("no session");
    assert_eq!(status.message, "could not access local files without session");
    // Who reads files in place is built for at once; a session that is never asked for anything need not come.
    let mut wish = SolveRequest { session: "nobody".into(), ..direct("t") };
    wish.frontend_attrs.insert("wharf-context".into(), "/c".into());
    let begin = std::time::Instant::now();
    bench.solve(&wish).expect("builds");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn the_history_tells_of_builds_and_forgets_them() {
    let bench = Bench::new();
    let early = BuildHistoryRequest { early_exit: true, ..BuildHistoryRequest::default() };
    assert_eq!(bench.history(early.clone()), []);
    bench.solve(&direct("t")).expect("builds");
    bench.solve(&request("c", "dockerfile.v0", "fail")).expect_err("fails");
    let complete = HistoryEvent::Complete as i32;
    assert_eq!(bench.history(early.clone()), [(complete, "b".into(), false), (complete, "c".into(), true)]);
    let one = BuildHistoryRequest { reference: "c".into(), ..early.clone() };
    assert_eq!(bench.history(one), [(complete, "c".into(), true)]);
    let active = BuildHistoryRequest { active_only: true, ..early.clone() };
    assert_eq!(bench.history(active), []);
    let delete = |reference: &str| -> Result<UpdateBuildHistoryResponse, Status> {
        let request =
            UpdateBuildHistoryRequest { reference: reference.into(), delete: true, ..<_>::default() };
        bench.client.unary(method::UPDATE_BUILD_HISTORY, Metadata::new(), None, &request)
    };
    delete("b").expect("forgotten");
    assert_eq!(delete("b").expect_err("gone").code, Code::NotFound);
    assert_eq!(bench.history(early.clone()).len(), 1);
    for number in 0..30 {
        bench.solve(&request(&format!("n{number}"), "dockerfile.v0", "t")).expect("builds");
    }
    assert_eq!(bench.history(early.clone()).len(), 31, "the backend decides what is kept");
    let last = BuildHistoryRequest { limit: 2, ..early.clone() };
    let names: Vec<String> = bench.history(last).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["n29", "n28"]);
    let filtered = |filter: &str| {
        let request = BuildHistoryRequest { filter: vec![filter.into()], ..early.clone() };
        bench.history(request).len()
    };
    assert_eq!(
        (filtered("status=error"), filtered("status!=error"), filtered("ref==n3,status=running")),
        (1, 30, 0)
    );
    let call = bench.client.start(method::LISTEN_BUILD_HISTORY, Metadata::new(), None);
    let request = BuildHistoryRequest { filter: vec!["color=red".into()], ..BuildHistoryRequest::default() };
    call.outbound.send(&request).expect("sent");
    let refused = call.finish().recv::<BuildHistoryEvent>().expect_err("refused");
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[test]
fn what_a_build_said_is_told_again_long_after_its_end() {
    let bench = Bench::new();
    for name in ["first", "a", "b", "c", "d", "e"] {
        bench.solve(&request(name, "dockerfile.v0", "t")).expect("builds");
    }
    let news = bench.status("first").expect("remembered");
    assert_eq!(news.vertexes.len(), 2);
    assert_eq!(news.logs[0].msg, b"hello\n");
    let pin = |reference: &str| -> Result<UpdateBuildHistoryResponse, Status> {
        let request =
            UpdateBuildHistoryRequest { reference: reference.into(), pinned: true, ..<_>::default() };
        bench.client.unary(method::UPDATE_BUILD_HISTORY, Metadata::new(), None, &request)
    };
    pin("first").expect("pinned");
    assert!(bench.doors.backend.past()[0].pinned);
    assert_eq!(pin("other").expect_err("unknown").code, Code::NotFound);
    let internal = SolveRequest { internal: true, ..request("hidden", "dockerfile.v0", "t") };
    bench.solve(&internal).expect("builds");
    assert!(bench.doors.backend.past().iter().all(|record| record.reference != "hidden"));
}

#[test]
fn a_listener_of_the_history_is_told_while_it_listens() {
    let bench = Bench::new();
    let call = bench.client.start(method::LISTEN_BUILD_HISTORY, Metadata::new(), None);
    call.outbound.send(&BuildHistoryRequest::default()).expect("sent");
    let canceller = call.cancellation.clone();
    let mut inbound = call.finish();
    bench.solve(&direct("t")).expect("builds");
    let mut last = inbound.recv::<BuildHistoryEvent>().expect("an event").expect("not the end");
    while last.r#type == HistoryEvent::Started as i32 {
        last = inbound.recv().expect("an event").expect("not the end");
    }
    let record = last.record.expect("a record");
    assert_eq!((record.num_total_steps, record.num_completed_steps), (1, 1));
    canceller.cancel();
    assert_eq!(inbound.recv::<BuildHistoryEvent>().expect_err("cancelled").code, Code::Cancelled);
}

#[test]
fn cache_and_workers() {
    let bench = Bench::new();
    let usage: DiskUsageResponse = bench
        .client
        .unary(method::DISK_USAGE, Metadata::new(), None, &DiskUsageRequest::default())
        .expect("listed");
    assert_eq!(usage.record[0].size, 5);
    let call = bench.client.start(method::PRUNE, Metadata::new(), None);
    call.outbound.send(&PruneRequest { all: true, ..PruneRequest::default() }).expect("sent");
    let mut removed = call.finish();
    assert_eq!(removed.recv::<UsageRecord>().expect("removed").expect("one").id, "one");
    assert_eq!(removed.recv::<UsageRecord>(), Ok(None));
    bench.hear("prune true");
    let workers: ListWorkersResponse = bench
        .client
        .unary(method::LIST_WORKERS, Metadata::new(), None, &ListWorkersRequest::default())
        .expect("listed");
    assert_eq!(workers.record[0].id, "worker");
    let info: InfoResponse =
        bench.client.unary(method::INFO, Metadata::new(), None, &InfoRequest {}).expect("told");
    assert_eq!(info.buildkit_version.expect("a version").version, "v1");
    let traces: Result<BytesMessage, _> =
        bench.client.unary(super::TRACES, Metadata::new(), None, &InfoRequest {});
    assert_eq!(traces, Ok(BytesMessage::default()));
}
