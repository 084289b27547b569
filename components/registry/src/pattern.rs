//! Patterns for names: `*` stands for anything within a component, `**` for anything.

/// Whether a text fits a pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Where to take up again after the last star, and what it has swallowed.
    let (mut at, mut seen) = (0, 0);
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at..at + 2) == Some(b"**") {
            at += 2;
            double = Some((at, seen));
            single = None;
        } else if pattern.get(at) == Some(&b'*') {
            at += 1;
            single = Some((at, seen));
        } else if seen < text.len() && pattern.get(at) == text.get(seen) {
            at += 1;
            seen += 1;
        } else if at == pattern.len() && seen == text.len() {
            return true;
        } else if let Some((after, taken)) =
            single.filter(|(_, taken)| text.get(*taken).is_some_and(|b| *b != b'/'))
        {
            single = Some((after, taken + 1));
            (at, seen) = (after, taken + 1);
        } else if let Some((after, taken)) = double.filter(|(_, taken)| *taken < text.len()) {
            double = Some((after, taken + 1));
            single = None;
            (at, seen) = (after, taken + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stop_at_slashes_and_double_stars_do_not() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("*", "abc", true),
            ("*", "a/b", false),
            ("**", "a/b/c", true),
            ("team/*", "team/app", true),
            ("team/*", "team/a/b", false),
            ("team/**", "team/a/b", true),
            ("team/**", "teams/a", false),
            ("**/app", "a/b/app", true),
            ("**/*-x", "a/b-y/c-x", true),
            ("v*.*", "v1.2", true),
            ("v*.*", "v12", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxa", false),
            ("a**b", "a/x/b/y/b", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
