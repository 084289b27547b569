//! Facts about a failed build, as details of a status: which step, which lines of which Dockerfile.
//!
//! BuildKit's clients know the types by these addresses and read their values as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grpc::status::{Any, Status};
use serde_json::{Map, Value, json};

use crate::ops::{Range, SourceInfo};

/// The step that failed.
pub fn vertex(digest: &str) -> Any {
    pack("Vertex", &json!({ "digest": digest }))
}

/// The lines of a file at fault; clients print them with a marker.
pub fn source(info: &SourceInfo, ranges: &[Range]) -> Any {
    let mut file = Map::new();
    file.insert("filename".into(), info.filename.clone().into());
    file.insert("data".into(), STANDARD.encode(&info.data).into());
    if !info.language.is_empty() {
        file.insert("language".into(), info.language.clone().into());
    }
    let ranges: Vec<Value> = ranges.iter().map(range).collect();
    pack("Source", &json!({ "info": file, "ranges": ranges }))
}

/// A subrequest nobody answers.
pub fn subrequest(name: &str) -> Any {
    pack("Subrequest", &json!({ "name": name }))
}

/// An ability a Dockerfile asks for and nobody has.
pub fn frontend_cap(name: &str) -> Any {
    pack("FrontendCap", &json!({ "name": name }))
}

/// The build that failed, as its history has it.
pub fn build(reference: &str) -> Any {
    pack("Build", &json!({ "Ref": reference }))
}

/// The value of a detail of this type in a status.
pub fn find(status: &Status, name: &str) -> Option<Value> {
    let address = address(name);
    let detail = status.details.iter().find(|detail| detail.type_url == address)?;
    serde_json::from_slice(&detail.value).ok()
}

fn range(range: &Range) -> Value {
    let point = |position: Option<&crate::ops::Position>| {
        let position = position.cloned().unwrap_or_default();
        json!({ "line": position.line, "character": position.character })
    };
    json!({ "start": point(range.start.as_ref()), "end": point(range.end.as_ref()) })
}

fn pack(name: &str, value: &Value) -> Any {
    Any { type_url: address(name), value: value.to_string().into_bytes() }
}

fn address(name: &str) -> String {
    format!("github.com/moby/buildkit/errdefs.{name}+json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Position;
    use grpc::Code;

    #[test]
    fn the_lines_at_fault_are_json_as_clients_read_it() {
        let info = SourceInfo {
            filename: "Dockerfile".into(),
            data: b"FROM scratch\nRUN false\n".to_vec(),
            ..SourceInfo::default()
        };
        let at = |line| Some(Position { line, character: 0 });
        let status = Status::new(Code::Unknown, "failed")
            .with_detail(vertex("sha256:ab"))
            .with_detail(source(&info, &[Range { start: at(2), end: at(3) }]));
        assert_eq!(status.details[1].type_url, "github.com/moby/buildkit/errdefs.Source+json");
        assert_eq!(find(&status, "Vertex"), Some(json!({ "digest": "sha256:ab" })));
        assert_eq!(
            find(&status, "Source"),
            Some(json!({
                "info": { "filename": "Dockerfile", "data": "RlJPTSBzY3JhdGNoClJVTiBmYWxzZQo=" },
                "ranges": [{ "start": { "line": 2, "character": 0 }, "end": { "line": 3, "character": 0 } }],
            }))
        );
        assert_eq!(find(&status, "Subrequest"), None);
    }
}
