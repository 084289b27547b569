//! Small serde pieces that many documents share: omitted zero values, `{}`, text-or-list.

use serde::{Deserialize, Deserializer, Serialize};

/// Go's `struct{}`: always `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Go's `omitempty`: the value is what a missing field would give.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `Cmd` and `Entrypoint` of old clients: one text stands for a list of one.
pub(crate) fn text_or_list<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        List(Vec<Option<String>>),
    }
    Ok(Option::<Form>::deserialize(input)?.map(|form| match form {
        Form::Text(text) => vec![text],
        Form::List(list) => list.into_iter().map(Option::unwrap_or_default).collect(),
    }))
}
