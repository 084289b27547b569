//! The `filters` parameter of list and prune calls (surface.md, wire detail 21).

use std::collections::{BTreeMap, BTreeSet};

use crate::{ErrorKind, Kinded, Labels};

/// Wanted values by filter key: OR within a key, AND across keys, all labels have to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    fields: BTreeMap<String, BTreeSet<String>>,
}

/// A `filters` parameter that can't be taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// Not one of the two JSON forms.
    #[error("invalid filter")]
    Malformed,
    /// A key that this call does not know.
    #[error("invalid filter '{key}'")]
    UnknownKey {
        /// The key given.
        key: String,
    },
    /// A value that the key does not take.
    #[error("invalid filter '{key}={value}'")]
    BadValue {
        /// The key given.
        key: String,
        /// The value given.
        value: String,
    },
}

impl Kinded for FilterError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Filters {
    /// Parses `{"key":{"value":true}}` or the older `{"key":["value"]}`; the empty text is no filter.
    ///
    /// # Errors
    /// [`FilterError::Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let document: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|_| FilterError::Malformed)?;
        let mut filters = Self::default();
        for (key, values) in document {
            for value in Self::parse_values(values)? {
                filters.add(&key, &value);
            }
        }
        Ok(filters)
    }

    fn parse_values(values: serde_json::Value) -> Result<Vec<String>, FilterError> {
        match values {
            serde_json::Value::Null => Ok(Vec::new()),
            serde_json::Value::Object(map) => map
                .into_iter()
                .filter_map(|(value, on)| match on {
                    serde_json::Value::Bool(true) => Some(Ok(value)),
                    serde_json::Value::Bool(false) => None,
                    _ => Some(Err(FilterError::Malformed)),
                })
                .collect(),
            serde_json::Value::Array(list) => list
                .into_iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or(FilterError::Malformed))
                .collect(),
            _ => Err(FilterError::Malformed),
        }
    }

    /// The JSON form that clients send.
    pub fn to_json(&self) -> String {
        let map: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .fields
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(|value| (value.as_str(), true)).collect()))
            .collect();
        serde_json::to_string(&map).unwrap_or_default()
    }

    /// Adds one wanted value.
    pub fn add(&mut self, key: &str, value: &str) {
        self.fields.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether the key is filtered on.
    pub fn contains(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// The values wanted for a key, sorted.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.fields.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Refuses keys that are not in the list.
    ///
    /// # Errors
    /// [`FilterError::UnknownKey`] with the first unknown key.
    pub fn allow_only(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.fields.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError::UnknownKey { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Whether the key is not filtered on, or one of its values satisfies the test.
    pub fn any(&self, key: &str, test: impl FnMut(&str) -> bool) -> bool {
        !self.contains(key) || self.get(key).any(test)
    }

    /// Whether all `label` filters hold and no `label!` filter does.
    pub fn match_labels(&self, labels: &Labels) -> bool {
        self.get("label").all(|wanted| crate::label::matches(labels, wanted))
            && !self.get("label!").any(|unwanted| crate::label::matches(labels, unwanted))
    }

    /// The value of a true/false filter, if it is set.
    ///
    /// # Errors
    /// [`FilterError::BadValue`] unless it is one of true, 1, false, 0.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FilterError> {
        let mut result = None;
        for value in self.get(key) {
            let bad = || FilterError::BadValue { key: key.to_owned(), value: value.to_owned() };
            let flag = match value {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(bad()),
            };
            if result.replace(flag).is_some_and(|other| other != flag) {
                return Err(bad());
            }
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_parse_to_the_same() {
        let new = Filters::parse(r#"{"label":{"a=b":true,"c":false},"status":{"running":true}}"#).unwrap();
        let old = Filters::parse(r#"{"label":["a=b"],"status":["running"]}"#).unwrap();
        assert_eq!(new, old);
        assert_eq!(new.to_json(), r#"{"label":{"a=b":true},"status":{"running":true}}"#);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["x", "[]", "{\"a\":1}", "{\"a\":{\"b\":1}}", "{\"a\":[1]}"] {
            assert_eq!(Filters::parse(text), Err(FilterError::Malformed), "{text}");
        }
        let filters = Filters::parse(r#"{"nope":["x"]}"#).unwrap();
        assert_eq!(filters.allow_only(&["label"]).unwrap_err().to_string(), "invalid filter 'nope'");
    }

    #[test]
    fn labels_all_have_to_match() {
        let labels = Labels::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        let check = |text: &str| Filters::parse(text).unwrap().match_labels(&labels);
        assert!(check(r#"{"label":["a=b","c"]}"#));
        assert!(!check(r#"{"label":["a=b","d"]}"#));
        assert!(!check(r#"{"label!":["a"]}"#));
    }

    #[test]
    fn contradicting_flags_are_refused() {
        assert_eq!(Filters::parse(r#"{"dangling":["1"]}"#).unwrap().flag("dangling"), Ok(Some(true)));
        assert!(Filters::parse(r#"{"dangling":["1","0"]}"#).unwrap().flag("dangling").is_err());
        assert!(Filters::parse(r#"{"dangling":["maybe"]}"#).unwrap().flag("dangling").is_err());
    }
}
