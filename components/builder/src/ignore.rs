//! `.dockerignore`: which files of a context a build does not see.

use model::pattern::{BadPattern, Pattern};

/// Longest ignore file, in bytes, and most patterns in it.
const LONGEST: usize = 1 << 20;
const MOST: usize = 10_000;

/// Why an ignore file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A line is no pattern.
    #[error("error checking context: syntax error in pattern: {pattern:?}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: BadPattern,
    },
    /// `!` stands alone.
    #[error("error checking context: illegal exclusion pattern: \"!\"")]
    LonelyExclusion,
    /// There is too much of it.
    #[error("the ignore file has more than {limit} {what}")]
    TooMuch {
        /// Bytes or patterns.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

/// The patterns of an ignore file, in their order.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// `!`: what it matches is seen again.
    again: bool,
    pattern: Pattern,
    /// Components of the pattern; none when `**` makes it any number.
    depth: Option<usize>,
}

impl Ignore {
    /// Reads an ignore file: a mark of the byte order is dropped, `#` in the first column starts a comment.
    ///
    /// # Errors
    /// For lines that are no patterns.
    pub fn read(text: &str) -> Result<Self, IgnoreError> {
        if text.len() > LONGEST {
            return Err(IgnoreError::TooMuch { what: "bytes", limit: LONGEST });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        Self::new(lines.filter(|line| !line.is_empty()))
    }

    /// Takes patterns one by one.
    ///
    /// # Errors
    /// For what is no pattern.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for text in patterns {
            if rules.len() == MOST {
                return Err(IgnoreError::TooMuch { what: "patterns", limit: MOST });
            }
            rules.extend(rule(text)?);
        }
        Ok(Self { rules })
    }

    /// Whether a path (with slashes, relative to the context) is ignored: the last pattern that says something about it
    /// or a folder above it decides.
    pub fn is_ignored(&self, path: &str) -> bool {
        let mut ignored = false;
        for rule in &self.rules {
            // A pattern that would change nothing need not be looked at.
            if rule.again == ignored && rule.matches(path) {
                ignored = !rule.again;
            }
        }
        ignored
    }

    /// Whether something below an ignored folder may be seen again, so that it has to be looked through.
    pub fn may_show_below(&self, folder: &str) -> bool {
        let depth = folder.split('/').count();
        self.rules.iter().any(|rule| rule.again && rule.depth.is_none_or(|own| own > depth))
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).any(|above| self.pattern.matches(above))
    }
}

fn rule(text: &str) -> Result<Option<Rule>, IgnoreError> {
    let (again, pattern) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, text),
    };
    if again && pattern.is_empty() {
        return Err(IgnoreError::LonelyExclusion);
    }
    let clean = clean(pattern);
    if clean.is_empty() {
        // The root itself is always there.
        return Ok(None);
    }
    let compiled = Pattern::with_depth(&clean)
        .map_err(|source| IgnoreError::Pattern { pattern: pattern.to_owned(), source })?;
    let depth = (!clean.contains("**")).then(|| clean.split('/').count());
    Ok(Some(Rule { again, pattern: compiled, depth }))
}

/// A pattern without `.`, empty components and leading slashes; `..` takes the component before it away, and matches
/// nothing where there is none.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(before)) if *before != ".." => drop(parts.pop()),
            ("..", None) if pattern.starts_with('/') => {}
            (part, _) => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, seen: &[&str], ignored: &[&str]) {
        let ignore = Ignore::read(file).unwrap();
        for path in seen {
            assert!(!ignore.is_ignored(path), "{path} of {file:?} is seen");
        }
        for path in ignored {
            assert!(ignore.is_ignored(path), "{path} of {file:?} is ignored");
        }
    }

    #[test]
    fn the_last_pattern_decides() {
        check("*.md\n!README.md\n", &["README.md", "a/b.md"], &["x.md"]);
        check("*.md\n!README*.md\nREADME-secret.md", &["README.md"], &["README-secret.md", "x.md"]);
        check("*\n!src\n", &["src", "src/a/b"], &["x", "srcs"]);
        check("src\n!src/keep\n", &["src/keep", "src/keep/x"], &["src", "src/other"]);
        check("!x\nx", &[], &["x"]);
    }

    #[test]
    fn lines_are_cleaned() {
        check(
            "\u{feff}# comment\n  /foo/  \n ./bar/../baz\n\n #no\n",
            &["bar", "# comment"],
            &["foo/x", "baz", "#no"],
        );
        check("**/temp*\n", &["a/xtemp"], &["temp", "a/b/temperature", "a/temp/x"]);
        check(".\n/\n../out\n/../in\n", &["anything", "out"], &["in"]);
        assert_eq!(Ignore::read("! \n").unwrap_err(), IgnoreError::LonelyExclusion);
        let error = Ignore::read("a\n[x\n").unwrap_err();
        assert_eq!(error.to_string(), "error checking context: syntax error in pattern: \"[x\"");
    }

    #[test]
    fn folders_are_looked_through_only_where_something_may_show() {
        let ignore = Ignore::read("*\n!a/b\n").unwrap();
        assert!(ignore.may_show_below("a") && !ignore.may_show_below("a/b"));
        assert!(Ignore::read("*\n!**/x\n").unwrap().may_show_below("a/b/c/d"));
        assert!(!Ignore::read("*\n").unwrap().may_show_below("a"));
    }

    #[test]
    fn there_is_a_limit() {
        let many = "x\n".repeat(MOST + 1);
        assert!(matches!(Ignore::read(&many), Err(IgnoreError::TooMuch { what: "patterns", .. })));
        assert!(matches!(
            Ignore::read(&"x".repeat(LONGEST + 1)),
            Err(IgnoreError::TooMuch { what: "bytes", .. })
        ));
    }
}
