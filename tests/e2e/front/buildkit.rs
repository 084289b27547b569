//! `build` through BuildKit's protocol, against an engine that only keeps what it is asked.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buildkit::control::{
    InfoResponse, SolveRequest, SolveResponse, StatusRequest, StatusResponse, Vertex, VertexLog, method,
};
use buildkit::errdefs;
use buildkit::ops::{Position, Range, SourceInfo};
use buildkit::session::send::Branch;
use buildkit::session::sync::{SyncLimits, Wanted};
use buildkit::session::{Session, SessionInfo, Sessions, info};
use buildkit::time::Timestamp;
use grpc::{Call, Cancellation, Code, Limits, Service, Status};
use linux::root::RootDir;
use testkit::Output;
use testkit::engine::run;

use super::folder::Folder;

/// What a build asked for, and what its session gave.
#[derive(Debug, Clone, Default)]
struct Asked {
    request: SolveRequest,
    methods: Vec<String>,
    /// What the folders hold, by their names.
    folders: BTreeMap<String, Vec<String>>,
    dockerfile: String,
    secret: Option<Vec<u8>>,
    upload: String,
    credentials: String,
}

/// An engine whose builder builds nothing.
struct Keeper {
    host: String,
    asked: Arc<Mutex<Option<Asked>>>,
}

/// The builder; it fails where the Dockerfile says so.
struct Builder {
    sessions: Arc<Sessions>,
    asked: Arc<Mutex<Option<Asked>>>,
    folder: std::path::PathBuf,
}

impl Keeper {
    fn start(folder: &Folder) -> Self {
        let path = folder.file("keeper.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        let builder = Arc::new(Builder {
            sessions: Arc::default(),
            asked: Arc::default(),
            folder: folder.path().join("received"),
        });
        let asked = Arc::clone(&builder.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let builder = Arc::clone(&builder);
                std::thread::spawn(move || serve(stream, &builder));
            }
        });
        Self { host: format!("unix://{path}"), asked }
    }

    fn build(&self, folder: &Folder, arguments: &[&str], input: Option<&[u8]>) -> Output {
        let mut command = folder.client(&testkit::engine::binary_dir().join("wharf"), &["build"]);
        command.args(arguments).current_dir(folder.path()).env("DOCKER_HOST", &self.host);
        command.env("FROM_OUTSIDE", "yes").env("SOURCE_DATE_EPOCH", "7").env_remove("DOCKER_BUILDKIT");
        run(&mut command, input)
    }

    /// What one command asked for.
    #[track_caller]
    fn asked(&self, folder: &Folder, arguments: &[&str], input: Option<&[u8]>) -> Asked {
        self.asked.lock().expect("held").take();
        let output = self.build(folder, arguments, input);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        let asked = self.asked.lock().expect("held").take();
        asked.unwrap_or_else(|| panic!("{arguments:?} asked for nothing: {output:?}"))
    }
}

/// One connection of the client.
fn serve(stream: UnixStream, builder: &Arc<Builder>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    loop {
        let Some(lines) = super::head(&mut reader) else { return };
        let answer = |text: &str| (&stream).write_all(text.as_bytes()).expect("answer");
        let switched = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        let early = reader.buffer().to_vec();
        if lines[0].starts_with("POST /grpc ") {
            answer(switched);
            let service = Arc::clone(builder);
            let _ = grpc::serve(stream.into(), early, service, Limits::DEFAULT);
            return;
        } else if lines[0].starts_with("POST /session ") {
            answer(switched);
            let headers = lines.iter().filter_map(|line| line.split_once(": "));
            let headers = headers
                .filter(|(name, _)| info::HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)));
            let info = SessionInfo::read(headers).expect("a session");
            let session = Session::new(info, stream.into(), early).expect("a session");
            builder.sessions.add(session).wait();
            return;
        } else if lines[0].contains("/_ping") {
            answer(
                "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nBuilder-Version: 2\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n",
            );
        } else {
            answer("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
        }
    }
}

impl Service for Builder {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        match call.path.clone().as_str() {
            method::INFO => call.unary(|_, _: buildkit::control::InfoRequest| Ok(InfoResponse::default())),
            method::SOLVE => call.unary(|_, request| self.solve(request)),
            method::STATUS => {
                let _: StatusRequest = call.request()?;
                news().iter().try_for_each(|news| call.outbound.send(news))
            }
            path => Err(Status::unimplemented(path)),
        }
    }
}

impl Builder {
    fn solve(&self, request: SolveRequest) -> Result<SolveResponse, Status> {
        let session = self
            .sessions
            .get(&request.session, Duration::from_secs(5))
            .ok_or_else(|| Status::new(Code::NotFound, "no session"))?;
        let until = Cancellation::new();
        let mut asked = Asked { methods: session.info().methods.clone(), ..Asked::default() };
        let filename = request.frontend_attrs.get("filename").cloned().unwrap_or_default();
        let named = request.frontend_attrs.values().filter_map(|value| value.strip_prefix("local:"));
        for name in ["context", "dockerfile"].into_iter().chain(named) {
            let into = self.folder.join(name);
            std::fs::create_dir_all(&into).expect("a folder");
            let root = RootDir::open(&into).expect("opens");
            let wanted = Wanted { name: name.into(), ..Wanted::default() };
            if session.sync(&wanted, &root, SyncLimits::default(), &until, &mut |_| {}).is_ok() {
                asked.folders.insert(name.to_owned(), list(&into));
            }
        }
        asked.dockerfile =
            std::fs::read_to_string(self.folder.join("dockerfile").join(filename)).unwrap_or_default();
        asked.secret = session.secret("a").ok().flatten().map(|secret| secret.bytes().to_vec());
        if let Some(id) =
            request.frontend_attrs.get("context").and_then(|at| at.strip_prefix("http://buildkit-session"))
        {
            let _ = session.upload(id, &until).map(|mut upload| upload.read_to_string(&mut asked.upload));
        }
        if let Ok(Some(found)) = session.credentials("r.example:5000") {
            asked.credentials = format!("{}:{}", found.username, found.secret);
        }
        for (number, exporter) in request.exporters.iter().enumerate() {
            match exporter.r#type.as_str() {
                "local" => {
                    let root = RootDir::open(&self.folder.join("context")).expect("opens");
                    session.send_tree(number, &[Branch::whole(&root)], None, &until).expect("sent");
                }
                "tar" | "oci" => {
                    let mut archive = session.send_archive(number, &[], &until)?;
                    archive.write_all(format!("{} {number}", exporter.r#type).as_bytes()).expect("sent");
                    archive.finish()?;
                }
                _ => {}
            }
        }
        asked.request = request;
        let fails = asked.dockerfile.contains("FAIL");
        *self.asked.lock().expect("held") = Some(asked);
        if fails {
            let info = SourceInfo {
                filename: "Dockerfile".into(),
                data: b"FROM x\nRUN FAIL\n".to_vec(),
                ..SourceInfo::default()
            };
            let at = Some(Position { line: 2, character: 0 });
            return Err(Status::new(
                Code::Unknown,
                "process \"FAIL\" did not complete successfully: exit code: 3",
            )
            .with_detail(errdefs::source(&info, &[Range { start: at.clone(), end: at }])));
        }
        let said = [("containerimage.digest", "sha256:ab"), ("image.name", "docker.io/library/a:latest")];
        let said = said.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Ok(SolveResponse { exporter_response: said.into() })
    }
}

/// Files below a folder, sorted.
fn list(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).expect("reads").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                all.push(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    all.sort();
    all
}

fn news() -> Vec<StatusResponse> {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let vertex = |digest: &str, name: &str, error: &str| Vertex {
        digest: digest.into(),
        name: name.into(),
        started: at(1),
        completed: at(3),
        error: error.into(),
        ..Vertex::default()
    };
    let log = VertexLog { vertex: "b".into(), timestamp: at(2), stream: 1, msg: b"said\n".to_vec() };
    vec![
        StatusResponse {
            vertexes: vec![Vertex { cached: true, ..vertex("a", "[1/2] FROM x", "") }],
            ..StatusResponse::default()
        },
        StatusResponse {
            vertexes: vec![vertex("b", "[2/2] RUN y", "exit code: 3")],
            logs: vec![log],
            ..StatusResponse::default()
        },
    ]
}

/// A folder of the test with a context `c`.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.file("c/d")).expect("make folders");
    let write = |name: &str, text: &str| std::fs::write(folder.file(name), text).expect("write a file");
    write("config.json", r#"{"auths":{"r.example:5000":{"auth":"dTpw"}}}"#);
    write("c/Dockerfile", "FROM x\n");
    write("c/d/f", "1");
    write("outside.Dockerfile", "FROM y\n");
    write("secret", "hush");
    folder
}

fn attributes(asked: &Asked) -> Vec<String> {
    asked.request.frontend_attrs.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn exporters(asked: &Asked) -> Vec<String> {
    let exporters = asked.request.exporters.iter();
    exporters.map(|exporter| format!("{} {:?}", exporter.r#type, exporter.attrs)).collect()
}

#[test]
fn flags_travel_as_buildx_sends_them() {
    let folder = folder();
    let keeper = Keeper::start(&folder);
    let asked = keeper.asked(&folder, &["c"], None);
    assert_eq!(attributes(&asked), ["build-arg:SOURCE_DATE_EPOCH=7", "filename=Dockerfile"]);
    assert_eq!(exporters(&asked), ["moby {}"]);
    assert_eq!((asked.request.frontend.as_str(), asked.credentials.as_str()), ("dockerfile.v0", "u:p"));
    assert_eq!(asked.request.exporter_deprecated, "moby");
    assert_eq!(asked.folders["context"], ["Dockerfile", "d/f"]);
    assert_eq!(asked.dockerfile, "FROM x\n");
    let flags = "-t a -t b:1 --build-arg A=b+c --build-arg FROM_OUTSIDE --build-arg NOT_THERE --label q=1 --label z \
        --add-host one:1.2.3.4 --add-host two=::1 --network host --ulimit nofile=1:2 --ulimit core=3 --shm-size 1m \
        --cgroup-parent g --cache-from x,y --cache-from type=registry,ref=z --cache-to type=inline \
        --platform linux/AMD64,linux/arm64 --pull --no-cache-filter s,t --target stage --allow security.insecure \
        --provenance mode=max --sbom=true --annotation k=v --secret id=a,src=secret --build-context more=c/d \
        --build-context base=docker-image://alpine -f outside.Dockerfile c";
    let asked = keeper.asked(&folder, &flags.split_whitespace().collect::<Vec<_>>(), None);
    assert_eq!(
        attributes(&asked),
        [
            "add-hosts=one=1.2.3.4,two=::1",
            "attest:provenance=mode=max",
            "attest:sbom=",
            "build-arg:A=b+c",
            "build-arg:FROM_OUTSIDE=yes",
            "build-arg:SOURCE_DATE_EPOCH=7",
            r#"cache-imports=[{"Type":"registry","Attrs":{"ref":"x"}},{"Type":"registry","Attrs":{"ref":"y"}},{"Type":"registry","Attrs":{"ref":"z"}}]"#,
            "cgroup-parent=g",
            "context:base=docker-image://alpine",
            "context:more=local:more",
            "filename=outside.Dockerfile",
            "force-network-mode=host",
            "image-resolve-mode=pull",
            "label:q=1",
            "label:z=",
            "no-cache=s,t",
            "platform=linux/amd64,linux/arm64",
            "shm-size=1048576",
            "target=stage",
            "ulimit=nofile=1:2,core=3:3",
        ]
    );
    assert_eq!(exporters(&asked), [r#"moby {"annotation.k": "v", "name": "a,b:1"}"#]);
    assert_eq!(asked.request.entitlements, ["security.insecure", "network.host"]);
    assert_eq!(asked.request.cache.as_ref().map(|cache| cache.exports[0].r#type.as_str()), Some("inline"));
    assert_eq!(asked.secret.as_deref(), Some(&b"hush"[..]));
    assert_eq!(asked.dockerfile, "FROM y\n");
    assert_eq!(asked.folders["more"], ["f"]);
    assert!(asked.methods.iter().any(|method| method.ends_with("Secrets/GetSecret")), "{:?}", asked.methods);
}

#[test]
fn contexts_come_from_everywhere() {
    let folder = folder();
    let keeper = Keeper::start(&folder);
    let asked = keeper.asked(&folder, &["-f", "-", "c"], Some(b"FROM stdin\n"));
    assert_eq!((asked.dockerfile.as_str(), asked.folders["context"].len()), ("FROM stdin\n", 2));
    let asked = keeper.asked(&folder, &["-"], Some(b"FROM alone\n"));
    assert_eq!(
        (asked.dockerfile.as_str(), &asked.folders["context"]),
        ("FROM alone\n", &vec!["Dockerfile".to_owned()])
    );
    let tar = std::process::Command::new("tar")
        .args(["-C", &folder.file("c"), "-c", "."])
        .output()
        .expect("tar runs");
    let asked = keeper.asked(&folder, &["-f", "d/f", "-"], Some(&tar.stdout));
    assert_eq!(asked.upload.len(), tar.stdout.len());
    assert_eq!(asked.request.frontend_attrs["filename"], "d/f");
    let asked = keeper.asked(&folder, &["-f", "x/Dockerfile", "https://h.example/x.git#main:d"], None);
    assert_eq!(asked.request.frontend_attrs["context"], "https://h.example/x.git#main:d");
    assert_eq!(asked.request.frontend_attrs["filename"], "x/Dockerfile");
    let asked = keeper.asked(&folder, &["-f", "-", "git@h.example:x.git"], Some(b"FROM mixed\n"));
    assert_eq!(asked.request.frontend_attrs["dockerfilekey"], "dockerfile");
    assert_eq!(asked.dockerfile, "FROM mixed\n");
}

#[test]
fn results_come_to_their_places() {
    let folder = folder();
    let keeper = Keeper::start(&folder);
    let arguments = "-t a -o out/deep -o type=tar,dest=x.tar -o type=oci,dest=new/y.tar --load --iidfile id \
        --metadata-file about.json c";
    let asked = keeper.asked(&folder, &arguments.split_whitespace().collect::<Vec<_>>(), None);
    assert_eq!(exporters(&asked), ["local {}", "tar {}", r#"oci {"name": "a"}"#, r#"moby {"name": "a"}"#]);
    let read = |name: &str| std::fs::read_to_string(folder.file(name)).expect("is there");
    assert_eq!((read("x.tar").as_str(), read("new/y.tar").as_str()), ("tar 1", "oci 2"));
    assert_eq!(read("out/deep/d/f"), "1");
    assert_eq!(read("id"), "sha256:ab");
    let about: serde_json::Value = serde_json::from_str(&read("about.json")).expect("JSON");
    assert_eq!(about["containerimage.digest"], "sha256:ab");
    let piped = keeper.build(&folder, &["-o", "-", "c"], None);
    assert_eq!((piped.code, piped.stdout.as_str()), (0, "tar 0"));
    let quiet = keeper.build(&folder, &["-q", "c"], None);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.contains("#1")), ("sha256:ab\n", false));
}

#[test]
fn what_goes_on_and_what_goes_wrong_is_told_as_docker_does() {
    let folder = folder();
    let keeper = Keeper::start(&folder);
    std::fs::write(folder.file("c/Dockerfile"), "FROM x\nRUN FAIL\n").expect("write a Dockerfile");
    let failed = "------\n > [2/2] RUN y:\n1.000 said\n------\n";
    let end = "Dockerfile:2\n--------------------\n   1 |     FROM x\n   2 | >>> RUN FAIL\n   3 |     \n\
        --------------------\nERROR: failed to solve: process \"FAIL\" did not complete successfully: exit code: 3\n";
    let output = keeper.build(&folder, &["c"], None);
    let steps = "#0 building with \"default\" instance using docker driver\n\n#1 [1/2] FROM x\n#1 CACHED\n\n\
        #2 [2/2] RUN y\n#2 1.000 said\n#2 ERROR: exit code: 3\n";
    assert_eq!((output.code, output.stderr), (1, format!("{steps}{failed}{end}")));
    let output = keeper.build(&folder, &["-q", "c"], None);
    assert_eq!((output.code, output.stderr), (1, format!("{failed}{end}")));
    let output = keeper.build(&folder, &["--progress=rawjson", "c"], None);
    let first = output.stderr.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        r#"{"vertexes":[{"digest":"a","name":"[1/2] FROM x","started":"1970-01-01T00:00:01Z","completed":"1970-01-01T00:00:03Z","cached":true}]}"#
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_built() {
    let folder = folder();
    let keeper = Keeper::start(&folder);
    for (arguments, told) in [
        ("--push c", "tag is needed when pushing to registry"),
        ("--builder other c", "ERROR: no builder \"other\" found"),
        ("--secret id=a,src=nowhere c", "ERROR: failed to stat nowhere"),
        ("--build-context a c", "invalid context value"),
        ("-o type=local c", "dest is required for local exporter"),
        ("--memory 64m --secret id=a,src=secret c", "--secret needs BuildKit's protocol"),
        ("nowhere", "unable to prepare context"),
    ] {
        let output = keeper.build(&folder, &arguments.split(' ').collect::<Vec<_>>(), None);
        assert!(output.code == 1 && output.stderr.starts_with(told), "{arguments}: {output:?}");
        assert!(keeper.asked.lock().expect("held").is_none(), "{arguments}");
    }
}
