//! Puts the images that were built into their registries, as a step of the build.

use std::time::SystemTime;

use api_client::query::path_escape;
use api_client::record::Records;
use api_client::{Body, Query};
use buildkit::control::{StatusResponse, Vertex, VertexStatus};
use serde_json::Value as Json;

use super::progress::Display;
use crate::commands::image::reference::{self, Reference};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Pushes all of these names; the first that fails ends it.
///
/// # Errors
/// When the engine cannot be reached, or the registry refuses.
pub(super) fn all(session: &Session, names: &[String], display: &mut Display) -> Outcome {
    names.iter().try_for_each(|name| {
        let wanted = reference::parse(name)?.with_latest();
        let tag = wanted.tag.clone().unwrap_or_default();
        let full = format!("{}:{tag}", wanted.full_name());
        let vertex = Vertex {
            digest: format!("push:{full}"),
            name: format!("pushing {full} with docker"),
            started: Some(SystemTime::now().into()),
            ..Vertex::default()
        };
        display.news(&of_vertex(vertex.clone()))?;
        let pushed = push(session, &wanted, &tag, &vertex, display);
        let error = pushed.as_ref().err().map(Failure::message).unwrap_or_default();
        let completed = Some(SystemTime::now().into());
        display.news(&of_vertex(Vertex { completed, error, ..vertex }))?;
        pushed
            .map_err(|failure| Failure::text(format!("ERROR: failed to push {name}: {}", failure.message())))
    })
}

fn push(session: &Session, wanted: &Reference, tag: &str, vertex: &Vertex, display: &mut Display) -> Outcome {
    let header = credentials::header_if_any(session, &wanted.domain);
    let headers = [("X-Registry-Auth", header.as_str())];
    let path = format!("/images/{}/push", path_escape(&wanted.familiar_name()));
    let query = Query::new().text("tag", tag);
    let answer = session.client()?.send("POST", &path, &query, &headers, Body::Empty)?;
    for record in Records::<_, Json>::new(answer.body) {
        let record = record?;
        if let Some(failure) = crate::progress::fault_in(&record) {
            return Err(failure);
        }
        if let Some(status) = part(&record, vertex) {
            display.news(&StatusResponse { statuses: vec![status], ..StatusResponse::default() })?;
        }
    }
    Ok(())
}

/// What a record says about a layer.
fn part(record: &Json, vertex: &Vertex) -> Option<VertexStatus> {
    let id = record.get("id").and_then(Json::as_str).filter(|id| !id.is_empty())?;
    let status = record.get("status").and_then(Json::as_str).unwrap_or_default();
    let number = |name: &str| {
        let number = record.pointer(&format!("/progressDetail/{name}")).and_then(Json::as_i64);
        number.unwrap_or_default()
    };
    let now = Some(SystemTime::now().into());
    let is_over =
        ["Pushed", "Layer already exists", "Mounted from"].iter().any(|end| status.starts_with(end));
    Some(VertexStatus {
        id: format!("pushing layer {id}"),
        vertex: vertex.digest.clone(),
        current: number("current"),
        total: number("total"),
        timestamp: now.clone(),
        started: vertex.started.clone(),
        completed: now.filter(|_| is_over),
        ..VertexStatus::default()
    })
}

fn of_vertex(vertex: Vertex) -> StatusResponse {
    StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }
}
