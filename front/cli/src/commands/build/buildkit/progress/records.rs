//! The news of a build as JSON, a line for each message, in the words of BuildKit's `rawjson`.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildkit::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};
use buildkit::time::Timestamp;
use serde_json::{Map, Value as Json, json};

/// Writes one message.
pub(super) fn write(news: &StatusResponse, out: &mut dyn Write) -> io::Result<()> {
    let mut fields = Map::new();
    let lists = [
        ("vertexes", news.vertexes.iter().map(vertex).collect::<Vec<Json>>()),
        ("statuses", news.statuses.iter().map(status).collect()),
        ("logs", news.logs.iter().map(log).collect()),
        ("warnings", news.warnings.iter().map(warning).collect()),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            fields.insert(name.to_owned(), Json::Array(list));
        }
    }
    writeln!(out, "{}", crate::json::go_compact(&Json::Object(fields)))
}

/// An object of those fields that say something.
fn object(fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let says = |value: &Json| match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty(),
        _ => true,
    };
    Json::Object(
        fields
            .into_iter()
            .filter(|(_, value)| says(value))
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn time(time: Option<&Timestamp>) -> Json {
    time.map_or(Json::Null, |time| model::Timestamp::from_unix(time.seconds, time.nanos).to_string().into())
}

fn number(number: i64) -> Json {
    if number == 0 { Json::Null } else { number.into() }
}

fn vertex(vertex: &Vertex) -> Json {
    object([
        ("digest", vertex.digest.as_str().into()),
        ("inputs", vertex.inputs.clone().into()),
        ("name", vertex.name.as_str().into()),
        ("started", time(vertex.started.as_ref())),
        ("completed", time(vertex.completed.as_ref())),
        ("cached", vertex.cached.into()),
        ("error", vertex.error.as_str().into()),
    ])
}

fn status(status: &VertexStatus) -> Json {
    object([
        ("id", status.id.as_str().into()),
        ("vertex", status.vertex.as_str().into()),
        ("name", status.name.as_str().into()),
        ("total", number(status.total)),
        ("current", status.current.into()),
        ("timestamp", time(status.timestamp.as_ref())),
        ("started", time(status.started.as_ref())),
        ("completed", time(status.completed.as_ref())),
    ])
}

fn log(log: &VertexLog) -> Json {
    object([
        ("vertex", log.vertex.as_str().into()),
        ("stream", number(log.stream)),
        ("data", STANDARD.encode(&log.msg).into()),
        ("timestamp", time(log.timestamp.as_ref())),
    ])
}

fn warning(warning: &VertexWarning) -> Json {
    let ranges: Vec<Json> = warning
        .ranges
        .iter()
        .map(|range| {
            let point = |position: Option<&buildkit::ops::Position>| {
                json!({ "line": position.map_or(0, |position| position.line) })
            };
            json!({ "start": point(range.start.as_ref()), "end": point(range.end.as_ref()) })
        })
        .collect();
    object([
        ("vertex", warning.vertex.as_str().into()),
        ("level", number(warning.level)),
        ("short", STANDARD.encode(&warning.short).into()),
        ("detail", warning.detail.iter().map(|detail| STANDARD.encode(detail)).collect::<Vec<_>>().into()),
        ("url", warning.url.as_str().into()),
        ("range", ranges.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_worded_as_buildkit_does() {
        let time = |seconds| Some(Timestamp { seconds, nanos: 500_000_000 });
        let news = StatusResponse {
            vertexes: vec![Vertex {
                digest: "sha256:a".into(),
                name: "x <y>".into(),
                started: time(0),
                cached: true,
                ..Vertex::default()
            }],
            statuses: vec![VertexStatus {
                id: "s".into(),
                vertex: "sha256:a".into(),
                timestamp: time(1),
                ..VertexStatus::default()
            }],
            logs: vec![VertexLog {
                vertex: "sha256:a".into(),
                timestamp: time(2),
                stream: 1,
                msg: b"hi\n".to_vec(),
            }],
            warnings: Vec::new(),
        };
        let mut out = Vec::new();
        write(&news, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"vertexes":[{"digest":"sha256:a","name":"x \u003cy\u003e","#,
                r#""started":"1970-01-01T00:00:00.5Z","cached":true}],"#,
                r#""statuses":[{"id":"s","vertex":"sha256:a","current":0,"timestamp":"1970-01-01T00:00:01.5Z"}],"#,
                r#""logs":[{"vertex":"sha256:a","stream":1,"data":"aGkK","timestamp":"1970-01-01T00:00:02.5Z"}]}"#,
                "\n"
            )
        );
    }
}
