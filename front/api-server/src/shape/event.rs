//! Events by version and by what the client accepts.

use std::collections::BTreeMap;

use api::ApiVersion;
use api::event::{Actor, Event};

/// An event as a version shows it; `None` hides it.
pub(crate) fn event(found: &engine::event::Event, version: ApiVersion) -> Option<Event> {
    let kind = found.kind.name();
    if kind == "image" && found.action == "create" && version.below(46) {
        return None;
    }
    let mut document = Event {
        kind: kind.to_owned(),
        action: found.action.clone(),
        actor: Actor { id: found.id.clone(), attributes: found.attributes.clone() },
        scope: "local".to_owned(),
        time: found.time.seconds(),
        time_nano: found.time.nanoseconds(),
        ..Event::default()
    };
    if version.below(52) && matches!(kind, "container" | "image") {
        add_older_fields(&mut document, &found.attributes);
    }
    Some(document)
}

fn add_older_fields(document: &mut Event, attributes: &BTreeMap<String, String>) {
    document.status.clone_from(&document.action);
    document.id.clone_from(&document.actor.id);
    if document.kind == "container" {
        document.from = attributes.get("image").cloned().unwrap_or_default();
    }
}

/// The stream's content type, and whether a record separator goes before each record.
pub(crate) fn content_type(accept: Option<&str>, version: ApiVersion) -> (&'static str, bool) {
    if version.below(52) {
        return (api::stream::JSON, false);
    }
    let accepts = |wanted: &str| {
        let kinds = accept.unwrap_or_default().split(',');
        kinds
            .into_iter()
            .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted))
    };
    if accepts(api::stream::JSON_SEQUENCE) {
        (api::stream::JSON_SEQUENCE, true)
    } else if accepts(api::stream::NDJSON) {
        (api::stream::NDJSON, false)
    } else {
        (api::stream::JSON_LINES, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_follows_version_and_wish() {
        for (accept, minor, expected) in [
            (None, 51, (api::stream::JSON, false)),
            (Some("application/json-seq"), 51, (api::stream::JSON, false)),
            (None, 52, (api::stream::JSON_LINES, false)),
            (Some("application/x-ndjson"), 52, (api::stream::NDJSON, false)),
            (Some("text/html, application/json-seq;q=1"), 55, (api::stream::JSON_SEQUENCE, true)),
        ] {
            assert_eq!(content_type(accept, ApiVersion::new(minor)), expected);
        }
    }

    #[test]
    fn older_clients_see_the_older_fields() {
        let found = engine::event::Event {
            kind: engine::event::EventType::Container,
            action: "start".to_owned(),
            id: "abc".to_owned(),
            attributes: BTreeMap::from([("image".to_owned(), "busybox".to_owned())]),
            time: model::Timestamp::from_unix(5, 7),
        };
        let old = event(&found, ApiVersion::new(51)).unwrap();
        assert_eq!((old.status.as_str(), old.id.as_str(), old.from.as_str()), ("start", "abc", "busybox"));
        let new = event(&found, ApiVersion::new(52)).unwrap();
        assert_eq!((new.status.as_str(), new.time, new.time_nano), ("", 5, 5_000_000_007));
        let image = engine::event::Event {
            kind: engine::event::EventType::Image,
            action: "create".to_owned(),
            ..found
        };
        assert!(event(&image, ApiVersion::new(45)).is_none());
        assert!(event(&image, ApiVersion::new(46)).is_some());
    }
}
