//! BuildKit's protocol: messages, packets of a folder against a directory, calls on a connection.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use buildkit::server::{Progress, Wish};
use buildkit::session::sync::{SyncLimits, receive_packets};
use buildkit::{control, fsutil, gateway, ops, services};
use linux::root::RootDir;
use prost::Message;

/// Messages: the first byte says which one the rest is.
pub fn build_message(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which % 10 {
        0 => round_trip::<control::SolveRequest>(rest),
        1 => round_trip::<control::StatusResponse>(rest),
        2 => round_trip::<control::BuildHistoryRecord>(rest),
        3 => round_trip::<gateway::SolveRequest>(rest),
        4 => round_trip::<gateway::ReturnRequest>(rest),
        5 => {
            round_trip::<ops::Definition>(rest);
            graph(rest);
        }
        6 => round_trip::<fsutil::Packet>(rest),
        7 => round_trip::<services::FetchTokenRequest>(rest),
        8 => options(rest),
        // What was kept of a build ends with what cannot be read.
        _ => assert!(Progress::kept(rest).skip_while(Result::is_ok).count() <= 1),
    }
}

/// A graph as something to build: what it names never gets into other lines of a Dockerfile.
fn graph(data: &[u8]) {
    let Ok(definition) = ops::Definition::decode(data) else { return };
    if let Ok(wish) = Wish::of_source(&definition) {
        let text = wish.text.expect("a source has a text");
        let lines: Vec<&str> = text.lines().collect();
        assert!(matches!(lines.as_slice(), ["FROM scratch", "COPY . /"]) || lines.len() == 1, "{text:?}");
    }
}

/// Options of a frontend, each in a line.
fn options(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let options = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for frontend in ["dockerfile.v0", "gateway.v0"] {
        let _ = Wish::read(frontend, &options);
    }
}

fn round_trip<M: Message + Default + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(message) = M::decode(data) {
        let again = M::decode(message.encode_to_vec().as_slice()).expect("what was written is read");
        assert_eq!(again, message);
    }
}

/// Packets of a client's folder, each with its length before it, against a directory beside which nothing may appear.
pub fn build_context_packets(data: &[u8]) {
    let place = std::env::temp_dir().join(format!("wharf-fuzz-packets-{}", std::process::id()));
    let inside = place.join("a/b");
    std::fs::create_dir_all(&inside).expect("a directory");
    let root = RootDir::open(&inside).expect("opens");
    let limits = SyncLimits { entries: 200, bytes: 1 << 16, depth: 16 };
    let mut rest = data;
    let packets = std::iter::from_fn(|| fsutil::Packet::decode_length_delimited(&mut rest).ok());
    // Devices are left out: a fuzzer's ones could be anybody's.
    let packets = packets
        .filter(|packet| packet.stat.as_ref().is_none_or(|stat| stat.mode & fsutil::mode::DEVICE == 0));
    let _ = receive_packets(&root, limits, packets);
    assert_eq!(names(&place), ["a"], "something was written outside");
    assert_eq!(names(&place.join("a")), ["b"], "something was written outside");
    std::fs::remove_dir_all(&inside).expect("removed");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("read").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Bytes of a connection on which calls come.
pub fn build_connection(data: &[u8]) {
    struct Reader;
    impl grpc::Service for Reader {
        fn call(&self, mut call: grpc::Call) -> Result<(), grpc::Status> {
            while let Some(request) = call.inbound.recv::<control::StatusRequest>()? {
                call.outbound.send(&request)?;
            }
            Ok(())
        }
    }
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let limits = grpc::Limits { message: 1 << 16, ..grpc::Limits::DEFAULT };
    let server = std::thread::spawn(move || grpc::serve(theirs.into(), Vec::new(), Arc::new(Reader), limits));
    // The server may have hung up before it read all.
    let _ = ours.write_all(data);
    let _ = ours.shutdown(std::net::Shutdown::Write);
    let _ = std::io::copy(&mut ours, &mut std::io::sink());
    let _ = server.join().expect("no panic");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{damage, damage_so_often};

    #[test]
    fn build_messages() {
        let definition = ops::Definition {
            def: vec![b"\x1a\x05\x0a\x03abc".to_vec()],
            metadata: [("sha256:ab".to_owned(), ops::OpMetadata::default())].into(),
            source: None,
        };
        let solve = control::SolveRequest {
            reference: "r".into(),
            definition: Some(definition.clone()),
            frontend_attrs: [("filename".to_owned(), "Dockerfile".to_owned())].into(),
            exporters: vec![control::Exporter {
                r#type: "moby".into(),
                attrs: [("a".into(), "b".into())].into(),
            }],
            ..control::SolveRequest::default()
        };
        let status = control::StatusResponse {
            vertexes: vec![control::Vertex {
                digest: "d".into(),
                started: Some(<_>::default()),
                ..<_>::default()
            }],
            logs: vec![control::VertexLog { vertex: "d".into(), msg: b"x\n".to_vec(), ..<_>::default() }],
            ..control::StatusResponse::default()
        };
        let result = gateway::BuildResult {
            built: Some(gateway::Built::One(gateway::Ref { id: "x".into(), def: Some(definition.clone()) })),
            ..gateway::BuildResult::default()
        };
        let returned = gateway::ReturnRequest { result: Some(result), error: Some(<_>::default()) };
        let seed = |which: u8, message: Vec<u8>| [vec![which], message].concat();
        let seeds = [
            seed(0, solve.encode_to_vec()),
            seed(1, status.encode_to_vec()),
            seed(4, returned.encode_to_vec()),
            seed(5, definition.encode_to_vec()),
            seed(5, ops::Definition::of_source("docker-image://a/b:1", <_>::default()).encode_to_vec()),
            seed(5, ops::Definition::of_source("git://a/b#c:d", <_>::default()).encode_to_vec()),
            seed(8, b"context:a=docker-image://b\nadd-hosts=a=1.2.3.4\nshm-size=1\nno-cache=a,b\n".to_vec()),
            seed(
                8,
                b"cache-imports=[{\"Type\":\"local\",\"Attrs\":{\"src\":\"x\"}}]\nsource=docker/dockerfile:1"
                    .to_vec(),
            ),
            seed(
                9,
                [status.encode_length_delimited_to_vec(), status.encode_length_delimited_to_vec()].concat(),
            ),
        ];
        damage(&seeds.each_ref().map(Vec::as_slice), build_message);
    }

    #[test]
    fn packets_of_a_folder() {
        let stat = |path: &str, mode: u32, link: &str| fsutil::Packet {
            stat: Some(fsutil::Stat { path: path.into(), mode, linkname: link.into(), ..<_>::default() }),
            ..<_>::default()
        };
        let data = |id, data: &[u8]| fsutil::Packet { r#type: 2, id, data: data.to_vec(), stat: None };
        let packets = [
            stat("a", 0o644, ""),
            stat("b", fsutil::mode::DIR | 0o755, ""),
            stat("b/c", 0o644, "a"),
            stat("b/d", fsutil::mode::SYMLINK | 0o777, "../a"),
            data(0, b"bytes"),
            data(0, b""),
            fsutil::Packet::default(),
            fsutil::Packet { r#type: 3, ..<_>::default() },
        ];
        let seed: Vec<u8> = packets.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        damage_so_often(1_000, &[&seed], build_context_packets);
    }

    #[test]
    fn connections() {
        let mut seed = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/moby.buildkit.v1.Control/Status"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "1S"),
        ];
        let mut head = Vec::new();
        for (name, value) in fields {
            head.extend_from_slice(&[0, name.len() as u8]);
            head.extend_from_slice(name.as_bytes());
            head.push(value.len() as u8);
            head.extend_from_slice(value.as_bytes());
        }
        seed.extend_from_slice(&[0, 0, head.len() as u8, 1, 4, 0, 0, 0, 1]);
        seed.extend_from_slice(&head);
        seed.extend_from_slice(b"\0\0\x08\0\x01\0\0\0\x01\0\0\0\0\x03\x0a\x01r");
        damage_so_often(500, &[&seed], build_connection);
    }
}
