//! One line of comma separated values, as the values of `--mount` and its kin are written.

/// A line is none; the words are those of Go's reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCsvError {
    /// A quote within a field that does not begin with one.
    #[error("parse error on line 1, column {column}: bare \" in non-quoted-field")]
    Bare {
        /// Where, from 1.
        column: usize,
    },
    /// A quoted field does not end.
    #[error("parse error on line 1, column {column}: extraneous or missing \" in quoted-field")]
    Unended {
        /// Behind the last one.
        column: usize,
    },
}

/// The fields of a line. One in double quotes may hold commas, and two quotes in it stand for one.
///
/// # Errors
/// When quotes are where they may not be, or do not end.
pub fn fields(text: &str) -> Result<Vec<String>, ParseCsvError> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut chars = text.chars().peekable();
    let mut in_quotes = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if in_quotes && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if in_quotes => in_quotes = false,
            '"' if field.is_empty() => in_quotes = true,
            '"' => {
                let before = fields.iter().map(|field: &String| field.len() + 1).sum::<usize>();
                return Err(ParseCsvError::Bare { column: before + field.len() + 1 });
            }
            ',' if !in_quotes => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if in_quotes {
        return Err(ParseCsvError::Unended { column: text.len() + 1 });
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_fields_together() {
        assert_eq!(fields("a,\"b,c\",\"d\"\"e\",").unwrap(), ["a", "b,c", "d\"e", ""]);
        assert_eq!(fields("a,b\"c").unwrap_err(), ParseCsvError::Bare { column: 4 });
        assert_eq!(fields("\"a").unwrap_err(), ParseCsvError::Unended { column: 3 });
    }
}
