//! The history of builds: those that run, and those that ended and whose records the backend keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use grpc::{Call, Code, Status};

use super::builds::Build;
use super::{Backend, Doors, Progress};
use crate::control::{
    BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, HistoryEvent, UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse,
};

impl<B: Backend> Doors<B> {
    /// Tells which builds there are, and what becomes of them until the client goes.
    pub(super) fn listen(&self, call: &mut Call) -> Result<(), Status> {
        let request: BuildHistoryRequest = call.request()?;
        let wanted = Wanted::read(&request)?;
        let builds = Arc::clone(&self.builds);
        let _hook = call.cancellation.on_cancel(move || builds.nudge());
        let mut told = Vec::new();
        loop {
            let (builds, version) = self.builds.all();
            let running = builds.iter().filter(|build| !build.request.internal).map(record);
            let mut records: Vec<_> = running.collect();
            let past = self.backend.past().into_iter();
            let past = past.filter(|past| records.iter().all(|record| record.reference != past.reference));
            let past: Vec<_> = past.collect();
            records.extend(past);
            records.retain(|record| wanted.has(record));
            if request.limit > 0 {
                records.sort_by_key(|record| std::cmp::Reverse(began(record)));
                records.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
            }
            for event in news(&mut told, records) {
                call.outbound.send(&event)?;
            }
            if request.early_exit || !self.builds.wait(version, &call.cancellation) {
                return Ok(());
            }
        }
    }

    /// Removes a record, or makes it stay.
    pub(super) fn update(
        &self,
        request: &UpdateBuildHistoryRequest,
    ) -> Result<UpdateBuildHistoryResponse, Status> {
        let reference = &request.reference;
        let found = if request.delete {
            // Both, in any case.
            let here = self.builds.forget(reference);
            self.backend.forget(reference)? || here
        } else if request.finalize {
            // Nothing is written later than the record.
            self.builds.all().0.iter().any(|build| build.job.reference == *reference)
                || self.backend.past().iter().any(|record| record.reference == *reference)
        } else {
            self.backend.pin(reference, request.pinned)?
        };
        if !found {
            return Err(Status::new(Code::NotFound, format!("build {reference} not found")));
        }
        self.builds.touch();
        Ok(UpdateBuildHistoryResponse {})
    }

    /// Has the record of a build kept that has just ended.
    pub(super) fn remember(&self, build: &Arc<Build<B::Built>>) {
        if !build.request.internal {
            self.backend.remember(record(build), build.job.progress.keep(LOG));
        }
    }

    /// Tells once more what a build said that has ended; whether it is remembered.
    pub(super) fn replay(&self, call: &mut Call, reference: &str) -> Result<bool, Status> {
        let Some(log) = self.backend.past_log(reference)? else { return Ok(false) };
        for news in Progress::kept(&log) {
            let news = news.map_err(|error| Status::new(Code::DataLoss, format!("{reference}: {error}")))?;
            call.outbound.send(&news)?;
        }
        Ok(true)
    }
}

/// Bytes of output kept of one build.
const LOG: usize = 8 << 20;

/// Which records a listener wants.
struct Wanted {
    active_only: bool,
    reference: String,
    filters: Vec<Filter>,
}

/// One condition: a field, whether it is to be equal, and to what.
struct Filter {
    field: Field,
    equal: bool,
    value: String,
}

#[derive(Clone, Copy)]
enum Field {
    Reference,
    Status,
    Repository,
}

impl Wanted {
    fn read(request: &BuildHistoryRequest) -> Result<Self, Status> {
        let filters = request.filter.iter().flat_map(|text| text.split(',')).map(Filter::read);
        Ok(Self {
            active_only: request.active_only,
            reference: request.reference.clone(),
            filters: filters.collect::<Result<_, _>>()?,
        })
    }

    fn has(&self, record: &BuildHistoryRecord) -> bool {
        (self.reference.is_empty() || record.reference == self.reference)
            && (!self.active_only || record.completed_at.is_none())
            && self.filters.iter().all(|filter| filter.has(record))
    }
}

impl Filter {
    /// Reads `field==value`, `field=value` or `field!=value`.
    fn read(text: &str) -> Result<Self, Status> {
        let wrong = || Status::new(Code::InvalidArgument, format!("invalid filter {text:?}"));
        let (field, value) = text.split_once('=').ok_or_else(wrong)?;
        let (field, equal) = field.strip_suffix('!').map_or((field, true), |field| (field, false));
        let field = match field.trim() {
            "ref" => Field::Reference,
            "status" => Field::Status,
            "repository" => Field::Repository,
            _ => return Err(wrong()),
        };
        let value = value.strip_prefix('=').unwrap_or(value).trim().trim_matches('"').to_owned();
        Ok(Self { field, equal, value })
    }

    fn has(&self, record: &BuildHistoryRecord) -> bool {
        let found = match self.field {
            Field::Reference => record.reference == self.value,
            Field::Status => status(record) == self.value,
            Field::Repository => {
                let names = ["vcs:source", "context", "input:context"];
                names.iter().filter_map(|name| record.frontend_attrs.get(*name)).any(|at| *at == self.value)
            }
        };
        found == self.equal
    }
}

/// How a build is, or ended, in a word.
fn status(record: &BuildHistoryRecord) -> &'static str {
    match (&record.completed_at, &record.error) {
        (None, _) => "running",
        (Some(_), None) => "completed",
        (Some(_), Some(error)) if error.code == Code::Cancelled as i32 => "canceled",
        (Some(_), Some(_)) => "error",
    }
}

/// When a build began, to put it in order.
fn began(record: &BuildHistoryRecord) -> (i64, i32) {
    record.created_at.as_ref().map_or((0, 0), |time| (time.seconds, time.nanos))
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
        num_warnings: number(build.job.progress.warnings()),
        ..BuildHistoryRecord::default()
    }
}
