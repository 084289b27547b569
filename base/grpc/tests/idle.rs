//! An idle connection costs no processor time: alone in its process, so that its threads are the only ones.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use grpc::{Call, Client, Limits, Metadata, Service, Status, serve};

struct Echo;

impl Service for Echo {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        while let Some(message) = call.inbound.recv::<grpc::status::Any>()? {
            call.outbound.send(&message)?;
        }
        Ok(())
    }
}

#[test]
fn nothing_wakes_while_nothing_happens() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let server = thread::spawn(move || serve(theirs.into(), Vec::new(), Arc::new(Echo), Limits::DEFAULT));
    let client = Client::new(ours.into(), Vec::new(), Limits::DEFAULT).expect("a client");
    let message = grpc::status::Any { type_url: "x".into(), value: vec![1] };
    let mut call = client.start("/e/Echo", Metadata::new(), None);
    call.outbound.send(&message).expect("sent");
    assert_eq!(call.inbound.recv(), Ok(Some(message.clone())));
    thread::sleep(Duration::from_millis(200));
    let before = switches();
    assert!(before.len() >= 4, "server, client, handler and this one: {before:?}");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(switches(), before, "a thread woke up");
    call.outbound.send(&message).expect("sent");
    assert_eq!(call.inbound.recv(), Ok(Some(message)));
    drop((call, client));
    server.join().expect("no panic").expect("a clean end");
}

/// How often each other thread of this process went to sleep.
fn switches() -> Vec<(String, String)> {
    let mut counts: Vec<_> = std::fs::read_dir("/proc/self/task")
        .expect("procfs")
        .flatten()
        .filter(|task| {
            std::fs::read_link("/proc/thread-self").is_ok_and(|own| !own.ends_with(task.file_name()))
        })
        .filter_map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            Some((task.file_name().display().to_string(), line.to_owned()))
        })
        .collect();
    counts.sort();
    counts
}
