//! The order in which `run` talks to an engine, and what it does with the answers.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

/// An engine that answers from a script and remembers what it was asked.
struct Mock {
    path: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Default)]
struct Started(Mutex<bool>, Condvar);

impl Mock {
    fn start(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-mock-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let started = Arc::new(Started::default());
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, started) = (Arc::clone(&seen), Arc::clone(&started));
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &started));
            }
        });
        Self { path, asked }
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let output = Command::new(wharf())
            .args(words)
            .env("DOCKER_HOST", format!("unix://{}", self.path.display()))
            .env("DOCKER_CONFIG", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The program beside this test in the target folder.
fn wharf() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("wharf")
}

fn serve(mut stream: UnixStream, seen: &Mutex<Vec<String>>, started: &Started) {
    while let Some(line) = request(&mut stream) {
        let short: String = line.split(' ').take(2).collect::<Vec<_>>().join(" ").replace("/v1.45", "");
        let short = short.split('?').next().unwrap().to_owned();
        seen.lock().unwrap().push(short.clone());
        let json = |status: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let answer = match short.as_str() {
            "HEAD /_ping" => "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "POST /containers/create" => json("201 Created", r#"{"Id":"abc","Warnings":["mind the gap"]}"#),
            "POST /containers/abc/attach" => {
                let head = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                let mut flag = started.0.lock().unwrap();
                while !*flag {
                    flag = started.1.wait(flag).unwrap();
                }
                stream.write_all(b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\x04oh!\n").unwrap();
                return;
            }
            "POST /containers/abc/wait" => {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                let mut flag = started.0.lock().unwrap();
                while !*flag {
                    flag = started.1.wait(flag).unwrap();
                }
                "11\r\n{\"StatusCode\":42}\r\n0\r\n\r\n".to_owned()
            }
            "POST /containers/abc/start" => {
                *started.0.lock().unwrap() = true;
                started.1.notify_all();
                "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
            }
            _ => json("404 Not Found", r#"{"message":"page not found"}"#),
        };
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// The first line of a request whose body has been read too.
fn request(stream: &mut UnixStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    head.lines().next().map(str::to_owned)
}

#[test]
fn attach_comes_before_wait_and_wait_before_start() {
    if !wharf().exists() {
        eprintln!("skipped: the program is not built");
        return;
    }
    let mock = Mock::start("run");
    let (code, out, err) = mock.run(&["run", "--rm", "img", "cmd"]);
    assert_eq!((code, out.as_str(), err.as_str()), (42, "hi\n", "WARNING: mind the gap\noh!\n"));
    assert_eq!(
        mock.asked(),
        [
            "HEAD /_ping",
            "POST /containers/create",
            "POST /containers/abc/attach",
            "POST /containers/abc/wait",
            "POST /containers/abc/start"
        ]
    );
}

#[test]
fn detached_runs_only_create_and_start() {
    if !wharf().exists() {
        return;
    }
    let mock = Mock::start("detached");
    let (code, out, _) = mock.run(&["run", "-d", "img"]);
    assert_eq!((code, out.as_str()), (0, "abc\n"));
    assert_eq!(mock.asked(), ["HEAD /_ping", "POST /containers/create", "POST /containers/abc/start"]);
}
