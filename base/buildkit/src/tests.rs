//! Messages against bytes written by hand from the format's rules.

use std::collections::BTreeMap;

use prost::Message;

use crate::control::{HistoryEvent, SolveRequest, StatusResponse, Vertex};
use crate::fsutil::{Packet, PacketType, Stat, mode};
use crate::gateway::{BuildResult, Built, Ref, RefMap, ReturnRequest};

fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M, wire: &[u8]) {
    assert_eq!(message.encode_to_vec(), wire);
    assert_eq!(&M::decode(wire).expect("decodes"), message);
}

#[test]
fn packets() {
    check(&Packet::default(), b"");
    let data = Packet { r#type: PacketType::Data as i32, stat: None, id: 300, data: b"ab".to_vec() };
    check(&data, b"\x08\x02\x18\xac\x02\x22\x02ab");
    let stat = Stat { path: "a".into(), mode: mode::DIR | 0o755, size: -1, ..Stat::default() };
    check(
        &Packet { stat: Some(stat), ..Packet::default() },
        b"\x12\x14\x0a\x01a\x10\xed\x83\x80\x80\x08\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    );
}

#[test]
fn maps_and_nested_messages() {
    let request = SolveRequest {
        reference: "r".into(),
        frontend_attrs: BTreeMap::from([("k".into(), "v".into()), ("l".into(), String::new())]),
        internal: true,
        ..SolveRequest::default()
    };
    check(&request, b"\x0a\x01r\x3a\x06\x0a\x01k\x12\x01v\x3a\x03\x0a\x01l\x58\x01");
    let news = StatusResponse {
        vertexes: vec![Vertex {
            digest: "d".into(),
            inputs: vec!["i".into()],
            cached: true,
            ..Vertex::default()
        }],
        ..StatusResponse::default()
    };
    check(&news, b"\x0a\x08\x0a\x01d\x12\x01i\x20\x01");
}

#[test]
fn results_have_one_of_their_forms() {
    let one = Built::One(Ref { id: "x".into(), def: None });
    check(&BuildResult { built: Some(one), ..BuildResult::default() }, b"\x1a\x03\x0a\x01x");
    let many = Built::Many(RefMap { refs: BTreeMap::from([("p".into(), Ref::default())]) });
    let result = BuildResult { built: Some(many), ..BuildResult::default() };
    check(&ReturnRequest { result: Some(result), error: None }, b"\x0a\x07\x22\x05\x0a\x03\x0a\x01p");
    check(&BuildResult { built: Some(Built::OldOne("o".into())), ..BuildResult::default() }, b"\x0a\x01o");
}

#[test]
fn fields_nobody_knows_are_skipped_and_torn_messages_refused() {
    let request = SolveRequest::decode(&b"\x0a\x01r\xfa\x07\x01x\xf0\x07\x05"[..]).expect("decodes");
    assert_eq!(request.reference, "r");
    for torn in [&b"\x0a\x05r"[..], b"\x0a", b"\xff", b"\x3a\x06\x0a\x01k\x12\x05v", b"\x08\x01"] {
        assert!(SolveRequest::decode(torn).is_err(), "{torn:?}");
    }
    let unknown = Packet { r#type: 6, ..Packet::default() };
    assert!(PacketType::try_from(unknown.r#type).is_err());
    assert_eq!(HistoryEvent::try_from(2), Ok(HistoryEvent::Deleted));
}
