//! Which events a reader wants: Docker's event filters.

use model::Filters;

use super::{Event, EventType};
use crate::Result;

const KEYS: [&str; 13] = [
    "type",
    "event",
    "scope",
    "label",
    "daemon",
    "container",
    "plugin",
    "volume",
    "network",
    "service",
    "node",
    "image",
    "builder",
];
const SWARM_KEYS: [&str; 2] = ["secret", "config"];

/// A checked set of event filters.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    filters: Filters,
}

impl EventFilter {
    /// Checks the keys.
    ///
    /// # Errors
    /// For keys that do not exist.
    pub fn new(filters: Filters) -> Result<Self> {
        let known: Vec<&str> = KEYS.iter().chain(&SWARM_KEYS).copied().collect();
        filters.allow_only(&known).map_err(crate::Error::from_kinded)?;
        Ok(Self { filters })
    }

    /// Whether the reader wants this event.
    pub fn takes(&self, event: &Event) -> bool {
        let filters = &self.filters;
        if filters.is_empty() {
            return true;
        }
        let base_action = event.action.split(':').next().unwrap_or("");
        filters.any("event", |wanted| wanted == event.action || wanted == base_action)
            && filters.any("type", |wanted| wanted == event.kind.name())
            && filters.any("scope", |wanted| wanted == "local")
            && self.takes_names(event)
            && self.takes_image(event)
            && self.takes_labels(event)
    }

    fn takes_names(&self, event: &Event) -> bool {
        let named = |key: &str, kind: Option<EventType>| {
            self.filters.any(key, |wanted| {
                kind == Some(event.kind)
                    && (event.id.starts_with(wanted)
                        || event.attributes.get("name").is_some_and(|name| name.starts_with(wanted)))
            })
        };
        named("daemon", Some(EventType::Daemon))
            && named("container", Some(EventType::Container))
            && named("volume", Some(EventType::Volume))
            && named("network", Some(EventType::Network))
            && ["plugin", "service", "node", "secret", "config"].iter().all(|key| named(key, None))
    }

    fn takes_image(&self, event: &Event) -> bool {
        let attribute = if event.kind == EventType::Image { "name" } else { "image" };
        let name = event.attributes.get(attribute).map_or("", String::as_str);
        self.filters.any("image", |wanted| {
            [event.id.as_str(), name].iter().any(|held| *held == wanted || strip_tag(held) == wanted)
        })
    }

    fn takes_labels(&self, event: &Event) -> bool {
        self.filters.get("label").all(|wanted| model::label::matches(&event.attributes, wanted))
    }
}

fn strip_tag(name: &str) -> &str {
    let without_digest = name.split('@').next().unwrap_or(name);
    match without_digest.rfind(':') {
        Some(colon) if !without_digest[colon..].contains('/') => &without_digest[..colon],
        _ => without_digest,
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn check(filters: &str) -> bool {
        let attributes = [("name", "web"), ("image", "host:5000/nginx:1"), ("a", "b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let event = Event {
            kind: EventType::Container,
            action: "exec_start: sh -c x".to_owned(),
            id: "abcdef".to_owned(),
            attributes,
            time: Timestamp::from_unix(0, 0),
        };
        EventFilter::new(Filters::parse(filters).unwrap()).unwrap().takes(&event)
    }

    #[test]
    fn filters_are_docker_s() {
        for (filters, taken) in [
            (r#"{}"#, true),
            (r#"{"event":["exec_start"]}"#, true),
            (r#"{"event":["start"]}"#, false),
            (r#"{"container":["abc"]}"#, true),
            (r#"{"container":["we"]}"#, true),
            (r#"{"container":["x"]}"#, false),
            (r#"{"type":["image"]}"#, false),
            (r#"{"image":["host:5000/nginx"]}"#, true),
            (r#"{"image":["nginx"]}"#, false),
            (r#"{"label":["a=b"]}"#, true),
            (r#"{"label":["a=b","c"]}"#, false),
            (r#"{"network":["web"]}"#, false),
        ] {
            assert_eq!(check(filters), taken, "{filters}");
        }
        assert!(EventFilter::new(Filters::parse(r#"{"nope":["x"]}"#).unwrap()).is_err());
    }
}
