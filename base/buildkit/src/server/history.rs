//! The history of builds, as long as it is remembered: those that run and the last ones that ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use grpc::{Call, Code, Status};

use super::builds::Build;
use super::{Backend, Doors};
use crate::control::{
    BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, HistoryEvent, UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse,
};

impl<B: Backend> Doors<B> {
    /// Tells which builds there are, and what becomes of them until the client goes.
    pub(super) fn listen(&self, call: &mut Call) -> Result<(), Status> {
        let request: BuildHistoryRequest = call.request()?;
        let builds = Arc::clone(&self.builds);
        let _hook = call.cancellation.on_cancel(move || builds.nudge());
        let mut told = Vec::new();
        loop {
            let (builds, version) = self.builds.all();
            let records = builds.iter().filter(|build| !build.request.internal).map(record);
            let records = records.filter(|record| {
                (request.reference.is_empty() || record.reference == request.reference)
                    && (!request.active_only || record.completed_at.is_none())
            });
            for event in news(&mut told, records.collect()) {
                call.outbound.send(&event)?;
            }
            if request.early_exit || !self.builds.wait(version, &call.cancellation) {
                return Ok(());
            }
        }
    }

    /// Removes a record; nothing else can be changed about one.
    pub(super) fn update(
        &self,
        request: &UpdateBuildHistoryRequest,
    ) -> Result<UpdateBuildHistoryResponse, Status> {
        if request.delete && !self.builds.forget(&request.reference) {
            return Err(Status::new(Code::NotFound, format!("build {} not found", request.reference)));
        }
        Ok(UpdateBuildHistoryResponse {})
    }
}

/// A build that was told of: its name and whether it had ended.
type Told = (String, bool);

/// What is new among the records.
fn news(told: &mut Vec<Told>, records: Vec<BuildHistoryRecord>) -> Vec<BuildHistoryEvent> {
    let event = |kind: HistoryEvent, record| BuildHistoryEvent { r#type: kind as i32, record: Some(record) };
    let mut events = Vec::new();
    let (there, gone): (Vec<Told>, Vec<Told>) =
        told.drain(..).partition(|(name, _)| records.iter().any(|record| record.reference == *name));
    for (reference, _) in gone {
        let record = BuildHistoryRecord { reference, ..BuildHistoryRecord::default() };
        events.push(event(HistoryEvent::Deleted, record));
    }
    for record in records {
        let now = (record.reference.clone(), record.completed_at.is_some());
        told.push(now.clone());
        if !there.contains(&now) {
            events.push(event(if now.1 { HistoryEvent::Complete } else { HistoryEvent::Started }, record));
        }
    }
    events
}

fn record<R>(build: &Arc<Build<R>>) -> BuildHistoryRecord {
    let (total, cached, completed) = build.job.progress.steps();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let end = build.end();
    let (error, response) = match end.as_ref().map(|end| &end.outcome) {
        Some(Err(status)) => (Some(status.to_message()), BTreeMap::new()),
        Some(Ok(said)) => (None, said.clone()),
        None => (None, BTreeMap::new()),
    };
    BuildHistoryRecord {
        reference: build.job.reference.clone(),
        frontend: build.request.frontend.clone(),
        frontend_attrs: build.request.frontend_attrs.clone(),
        exporters: build.request.exporters.clone(),
        error,
        created_at: Some(build.created.into()),
        completed_at: end.map(|end| end.at.into()),
        exporter_response: response,
        num_total_steps: number(total),
        num_cached_steps: number(cached),
        num_completed_steps: number(completed),
        ..BuildHistoryRecord::default()
    }
}
