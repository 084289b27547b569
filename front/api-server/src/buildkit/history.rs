//! Builds of the past, between their protocol's form and the engine's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buildkit::control::{BuildHistoryRecord, Exporter};
use buildkit::time::Timestamp;
use engine::build::{PastBuild, PastError, PastSteps};
use grpc::status::{Any, RpcStatus};

/// A record as the engine keeps it.
pub(super) fn past(record: BuildHistoryRecord) -> PastBuild {
    let count = |number: i32| usize::try_from(number).unwrap_or_default();
    let error = record.error.map(|error| PastError {
        code: error.code,
        message: error.message,
        details: error.details.into_iter().map(|detail| (detail.type_url, detail.value)).collect(),
    });
    PastBuild {
        reference: record.reference,
        frontend: record.frontend,
        attributes: record.frontend_attrs,
        exporters: record.exporters.into_iter().map(|exporter| (exporter.r#type, exporter.attrs)).collect(),
        created: record.created_at.map(engine_time),
        completed: record.completed_at.map(engine_time),
        error,
        response: record.exporter_response,
        steps: PastSteps {
            total: count(record.num_total_steps),
            cached: count(record.num_cached_steps),
            completed: count(record.num_completed_steps),
            warnings: count(record.num_warnings),
        },
        pinned: record.pinned,
        log_size: 0,
    }
}

/// A record as clients read it.
pub(super) fn record(past: PastBuild) -> BuildHistoryRecord {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let detail = |(type_url, value)| Any { type_url, value };
    let error = past.error.map(|error| RpcStatus {
        code: error.code,
        message: error.message,
        details: error.details.into_iter().map(detail).collect(),
    });
    let exporter = |(kind, attrs)| Exporter { r#type: kind, attrs };
    BuildHistoryRecord {
        reference: past.reference,
        frontend: past.frontend,
        frontend_attrs: past.attributes,
        exporters: past.exporters.into_iter().map(exporter).collect(),
        error,
        created_at: past.created.map(wire_time),
        completed_at: past.completed.map(wire_time),
        exporter_response: past.response,
        pinned: past.pinned,
        num_total_steps: number(past.steps.total),
        num_cached_steps: number(past.steps.cached),
        num_completed_steps: number(past.steps.completed),
        num_warnings: number(past.steps.warnings),
        ..BuildHistoryRecord::default()
    }
}

fn engine_time(time: Timestamp) -> model::Timestamp {
    model::Timestamp::from_unix(time.seconds, time.nanos)
}

fn wire_time(time: model::Timestamp) -> Timestamp {
    let seconds = u64::try_from(time.seconds()).unwrap_or_default();
    let nanos = u32::try_from(time.subsecond_nanoseconds()).unwrap_or_default();
    let time: SystemTime = UNIX_EPOCH + Duration::new(seconds, nanos);
    time.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let words = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let kept = BuildHistoryRecord {
            reference: "r".into(),
            frontend: "dockerfile.v0".into(),
            frontend_attrs: words.clone(),
            exporters: vec![Exporter { r#type: "moby".into(), attrs: words.clone() }],
            error: Some(RpcStatus {
                code: 2,
                message: "failed".into(),
                details: vec![Any { type_url: "t".into(), value: vec![1] }],
            }),
            created_at: at(5, 7),
            completed_at: at(6, 0),
            exporter_response: words,
            pinned: true,
            num_total_steps: 4,
            num_cached_steps: 1,
            num_completed_steps: 3,
            num_warnings: 2,
            ..BuildHistoryRecord::default()
        };
        assert_eq!(record(past(kept.clone())), kept);
    }
}
