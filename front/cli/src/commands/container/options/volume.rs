//! The short form of volumes, `SOURCE:PATH:OPTIONS`: whether it has a source, by docker's own reading.

/// Whether the text names a source; a letter with a colon is read as a Windows drive even here.
///
/// # Errors
/// With docker's text.
pub fn has_source(text: &str) -> Result<bool, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    if text.len() <= 2 {
        return Ok(false);
    }
    let bad = |reason: &str| format!("invalid spec: {text}: {reason}");
    let mut sections = 0;
    let mut section = String::new();
    let ends = text.chars().map(Some).chain([None]);
    for c in ends {
        let is_drive = section.chars().count() == 1 && section.chars().all(char::is_alphabetic);
        match c {
            Some(':') if is_drive => section.push(':'),
            Some(':') | None => {
                if section.is_empty() {
                    return Err(bad("empty section between colons"));
                }
                if sections == 2 && c.is_some() {
                    return Err(bad("too many colons"));
                }
                sections += 1;
                section.clear();
            }
            Some(c) => section.push(c),
        }
    }
    Ok(sections > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found() {
        for (text, expected) in [
            ("/a", Ok(false)),
            ("/a:/b", Ok(true)),
            ("name:/b:ro", Ok(true)),
            ("a:/x", Ok(false)),
            ("", Err("invalid empty volume spec")),
            ("/a:/b:/c:/d", Err("invalid spec: /a:/b:/c:/d: too many colons")),
            ("/a::/b", Err("invalid spec: /a::/b: empty section between colons")),
        ] {
            assert_eq!(has_source(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
