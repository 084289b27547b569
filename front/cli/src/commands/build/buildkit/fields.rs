//! Values of flags that are lists of `key=value`, separated by commas.

use crate::failure::Failure;

/// The fields of a value, in their order.
///
/// # Errors
/// When it is no line of fields, or one of them has no `=`.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let split = |field: String| match field.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.to_owned())),
        None => {
            let field = crate::value::quoted(&field);
            Err(Failure::text(format!("invalid field {field}: must be a key=value pair")))
        }
    };
    lines(text)?.into_iter().map(split).collect()
}

/// The fields of a value as they are.
///
/// # Errors
/// When it is no line of fields.
pub(super) fn lines(text: &str) -> Result<Vec<String>, Failure> {
    model::csv::fields(text).map_err(|error| Failure::text(error.to_string()))
}

/// Fields as a line again: those with commas or quotes in quotes.
pub(super) fn join(fields: &[String]) -> String {
    let quoted = |field: &String| {
        if field.contains([',', '"', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// Takes the value of a key out of fields; the last one counts.
pub(super) fn take(fields: &mut Vec<(String, String)>, key: &str) -> Option<String> {
    let mut value = None;
    fields.retain_mut(|(known, held)| {
        let is_it = known == key;
        if is_it {
            value = Some(std::mem::take(held));
        }
        !is_it
    });
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_apart_and_joined() {
        let mut fields = pairs("type=local,\"dest=a,b\",Dest=c").unwrap();
        assert_eq!(take(&mut fields, "dest").as_deref(), Some("c"));
        assert_eq!(fields, [("type".to_owned(), "local".to_owned())]);
        let failure = pairs("a=b,c").unwrap_err().message();
        assert_eq!(failure, "invalid field \"c\": must be a key=value pair");
        assert_eq!(join(&["a=1".into(), "b=1,2".into(), "c=\"".into()]), "a=1,\"b=1,2\",\"c=\"\"\"");
    }
}
