//! `.dockerignore`: which files of a context a build does not see.
//!
//! The rules are those of BuildKit. Docker's classic client differs in one point: it does not look into a hidden folder
//! for something that `!**/name` would show again.

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

/// Which patterns say something about a folder, and so about all that is in it.
#[derive(Debug, Clone, Default)]
pub struct Above(Vec<bool>);

#[derive(Debug, Clone)]
struct Rule {
    /// `!`: what it matches is seen again.
    again: bool,
    matcher: Matcher,
    /// Its first components, as far as they are plain words.
    leading: Vec<String>,
    /// Components of the pattern; none when `**` or a class, which may match a slash, makes it any number.
    depth: Option<usize>,
}

/// How a path is compared: most patterns need no table.
#[derive(Debug, Clone)]
enum Matcher {
    /// A path as it is.
    Plain(String),
    /// `**/` and a path as it is.
    Anywhere(String),
    /// `**/*` and an ending of names.
    Ending(String),
    Pattern(Pattern),
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
        let mut above = Above::default();
        for (at, _) in path.match_indices('/') {
            above = self.enter(&above, path.get(..at).unwrap_or_default());
        }
        self.is_ignored_in(&above, path)
    }

    /// The same for a path in a folder that was entered.
    pub fn is_ignored_in(&self, above: &Above, path: &str) -> bool {
        let mut ignored = false;
        for (at, rule) in self.rules.iter().enumerate() {
            // A pattern that would change nothing need not be looked at.
            if rule.again == ignored && (above.says(at) || rule.matches(path)) {
                ignored = !rule.again;
            }
        }
        ignored
    }

    /// What holds for everything in a folder; `above` is what holds for the folder it is in, the default for the root.
    #[must_use]
    pub fn enter(&self, above: &Above, folder: &str) -> Above {
        let says = |(at, rule): (usize, &Rule)| above.says(at) || rule.matches(folder);
        Above(self.rules.iter().enumerate().map(says).collect())
    }

    /// Whether something below an ignored folder may be seen again, so that it has to be looked through.
    pub fn may_show_below(&self, folder: &str) -> bool {
        self.rules.iter().any(|rule| rule.again && rule.may_match_below(folder))
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Above {
    fn says(&self, rule: usize) -> bool {
        self.0.get(rule).copied().unwrap_or_default()
    }
}

impl Rule {
    /// Whether it is about this very path.
    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Plain(plain) => plain == path,
            Matcher::Anywhere(end) => {
                path.strip_suffix(end.as_str()).is_some_and(|start| start.is_empty() || start.ends_with('/'))
            }
            Matcher::Ending(end) => path.ends_with(end.as_str()),
            Matcher::Pattern(pattern) => {
                self.depth.is_none_or(|depth| depth == path.split('/').count()) && pattern.matches(path)
            }
        }
    }

    fn may_match_below(&self, folder: &str) -> bool {
        let deeper = self.depth.is_none_or(|depth| depth > folder.split('/').count());
        deeper && self.leading.iter().zip(folder.split('/')).all(|(own, theirs)| own == theirs)
    }
}

/// Whether a part of a pattern stands for itself.
fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', '\\'])
}

fn matcher(pattern: &str) -> Result<Matcher, BadPattern> {
    let anywhere = pattern.strip_prefix("**/");
    let ending = anywhere.and_then(|rest| rest.strip_prefix('*'));
    Ok(match (anywhere, ending) {
        _ if is_plain(pattern) => Matcher::Plain(pattern.to_owned()),
        (Some(rest), _) if is_plain(rest) => Matcher::Anywhere(rest.to_owned()),
        (_, Some(end)) if is_plain(end) && !end.contains('/') => Matcher::Ending(end.to_owned()),
        _ => Matcher::Pattern(Pattern::with_depth(pattern)?),
    })
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
    let matcher =
        matcher(&clean).map_err(|source| IgnoreError::Pattern { pattern: pattern.to_owned(), source })?;
    let leading = clean.split('/').take_while(|part| is_plain(part)).map(str::to_owned).collect();
    let depth = (!clean.contains("**") && !clean.contains('[')).then(|| clean.split('/').count());
    Ok(Some(Rule { again, matcher, leading, depth }))
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
        let ignore = Ignore::read("*\n!src/*/x\n").unwrap();
        assert!(ignore.may_show_below("src") && ignore.may_show_below("src/a"));
        assert!(!ignore.may_show_below("node_modules") && !ignore.may_show_below("node_modules/a"));
    }

    #[test]
    fn quick_ways_agree_with_the_patterns() {
        let patterns = [
            "a", "a/b", "**/a", "**/a/b", "**/*a", "**/*.c", "**/*", "a\\b", "**/\\*a", "*/a", "a[^x]b",
            "?/b",
        ];
        let paths = [
            "a", "b", "xa", "a/b", "x/a", "x/a/b", "x/xa/b", "y.c", "x/y.c", "x/.c", "*a", "x/*a", "ab",
            "a/x/b",
        ];
        for text in patterns {
            let pattern = Pattern::with_depth(text).unwrap();
            let rule = rule(text).unwrap().unwrap();
            for path in paths {
                assert_eq!(rule.matches(path), pattern.matches(path), "{text} and {path}");
            }
        }
    }

    /// The rules as they are written down: every pattern on every folder of the path, the last one decides.
    fn is_ignored_by_the_book(patterns: &[(bool, String)], path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let above: Vec<&str> = ends.map(|end| &path[..end]).collect();
        let mut ignored = false;
        for (again, text) in patterns {
            let pattern = Pattern::with_depth(text).unwrap();
            if above.iter().any(|path| pattern.matches(path)) {
                ignored = !again;
            }
        }
        ignored
    }

    proptest::proptest! {
        #[test]
        fn pruning_and_quick_ways_change_nothing(
            patterns in proptest::collection::vec((proptest::bool::ANY, "([*]{2}/)?[ab*?]{1,3}(/[ab*?]{1,2}){0,2}"), 1..6),
            path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
        ) {
            let lines = patterns.iter().map(|(again, text)| format!("{}{text}", if *again { "!" } else { "" }));
            let lines: Vec<String> = lines.collect();
            let ignore = Ignore::new(lines.iter().map(String::as_str)).unwrap();
            let expected = is_ignored_by_the_book(&patterns, &path);
            proptest::prop_assert_eq!(ignore.is_ignored(&path), expected);
            if !expected {
                for (at, _) in path.match_indices('/') {
                    let folder = &path[..at];
                    proptest::prop_assert!(!ignore.is_ignored(folder) || ignore.may_show_below(folder), "{}", folder);
                }
            }
        }
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
