//! The setting `image-gc`, which Docker does not have: how much room images may take.

use engine::config::ImageBudget;
use serde_json::Value;

type Document = std::collections::BTreeMap<String, Value>;

/// `image-gc`: which images are removed by themselves. Nothing said keeps them all.
pub(crate) fn budget(document: &Document) -> Result<Option<ImageBudget>, String> {
    let mut budget = ImageBudget::default();
    for (key, value) in document {
        let wrong = || format!("image-gc: invalid value for {key}: {value}");
        let size = || {
            let size =
                value.as_i64().or_else(|| value.as_str().and_then(|text| model::size::binary(text).ok()));
            size.and_then(|size| u64::try_from(size).ok()).ok_or_else(wrong)
        };
        let list = || {
            let texts = value.as_array().ok_or_else(wrong)?.iter();
            texts
                .map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<Vec<String>, String>>()
        };
        match key.as_str() {
            "size" => budget.size = Some(size()?),
            "free" => budget.free = Some(size()?),
            "keep" => {
                let text = value.as_str().ok_or_else(wrong)?;
                budget.keep = model::duration::parse(text).map_err(|_| wrong())?;
            }
            "pinned-labels" => budget.pinned_labels = list()?,
            "pinned-names" => budget.pinned_names = list()?,
            _ => return Err(format!("image-gc: unknown setting {key}")),
        }
    }
    Ok((budget.size.is_some() || budget.free.is_some()).then_some(budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ImageBudget>, String> {
        let document = serde_json::from_str(text).expect("a JSON object");
        budget(&document)
    }

    #[test]
    fn a_budget_is_read_or_refused() {
        assert_eq!(read("{}"), Ok(None));
        let full = r#"{"size": "20g", "free": 1000, "keep": "36h", "pinned-labels": ["a=b"], "pinned-names": ["x*"]}"#;
        let wanted = ImageBudget {
            size: Some(20 << 30),
            free: Some(1000),
            keep: std::time::Duration::from_secs(36 * 3600),
            pinned_labels: vec!["a=b".to_owned()],
            pinned_names: vec!["x*".to_owned()],
        };
        assert_eq!(read(full), Ok(Some(wanted)));
        for (text, message) in [
            (r#"{"size": "much"}"#, "image-gc: invalid value for size: \"much\""),
            (r#"{"keep": 5}"#, "image-gc: invalid value for keep: 5"),
            (r#"{"pinned-names": "x"}"#, "image-gc: invalid value for pinned-names: \"x\""),
            (r#"{"maximum": 5}"#, "image-gc: unknown setting maximum"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()));
        }
    }
}
