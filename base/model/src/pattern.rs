//! Patterns of names and paths as Go's `path.Match` reads them, and such with `**` for any depth.

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A character as it is.
    One(char),
    /// `?`: any but a slash.
    Any,
    /// `*`: as many as there are before the next slash.
    Star,
    /// `**/`: any number of folders, none included.
    Folders,
    /// `**` that is not a whole component, or at the end: everything.
    Everything,
    /// `[a-z]`; whether it is negated, and its ranges. A slash is a character like others here.
    Class(bool, Vec<(char, char)>),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// For a class or an escape that does not end.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        Self::read(text, false)
    }

    /// Reads a pattern in which `**` stands for any number of folders, as ignore files have it.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn with_depth(text: &str) -> Result<Self, BadPattern> {
        Self::read(text, true)
    }

    fn read(text: &str, depth: bool) -> Result<Self, BadPattern> {
        let characters: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        let mut rest = characters.as_slice();
        loop {
            rest = match rest {
                [] => return Ok(Self { parts }),
                ['*', '*', '/', after @ ..] if depth => {
                    parts.push(Part::Folders);
                    after
                }
                ['*', '*', after @ ..] if depth => {
                    parts.push(Part::Everything);
                    after
                }
                ['*', after @ ..] => {
                    parts.push(Part::Star);
                    after
                }
                ['?', after @ ..] => {
                    parts.push(Part::Any);
                    after
                }
                ['[', after @ ..] => {
                    let (class, after) = class(after)?;
                    parts.push(class);
                    after
                }
                ['\\', one, after @ ..] => {
                    parts.push(Part::One(*one));
                    after
                }
                ['\\'] => return Err(BadPattern),
                [one, after @ ..] => {
                    parts.push(Part::One(*one));
                    after
                }
            };
        }
    }

    /// Whether a whole path is of this pattern.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        // Row by row of the table "parts so far match characters so far": no pattern makes it slow.
        let mut now = vec![false; path.len() + 1];
        if let Some(first) = now.first_mut() {
            *first = true;
        }
        for part in &self.parts {
            now = part.step(&now, &path);
        }
        now.last().copied().unwrap_or_default()
    }
}

impl Part {
    /// From "what is before matches up to here" to the same with this part.
    fn step(&self, before: &[bool], path: &[char]) -> Vec<bool> {
        let mut after = vec![false; before.len()];
        match self {
            Self::Star | Self::Everything => {
                let mut open = false;
                for (at, (was, out)) in before.iter().zip(&mut after).enumerate() {
                    let slash = at > 0 && path.get(at - 1) == Some(&'/');
                    open = *was || (open && (matches!(self, Self::Everything) || !slash));
                    *out = open;
                }
            }
            Self::Folders => {
                let mut open = false;
                for (at, (was, out)) in before.iter().zip(&mut after).enumerate() {
                    *out = *was || (open && at > 0 && path.get(at - 1) == Some(&'/'));
                    open |= *was;
                }
            }
            Self::One(_) | Self::Any | Self::Class(..) => {
                for (at, character) in path.iter().enumerate() {
                    let was = before.get(at).copied().unwrap_or_default();
                    if let Some(out) = after.get_mut(at + 1) {
                        *out = was && self.takes(*character);
                    }
                }
            }
        }
        after
    }

    fn takes(&self, character: char) -> bool {
        match self {
            Self::One(one) => *one == character,
            Self::Any => character != '/',
            Self::Class(negated, ranges) => {
                let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                within != *negated
            }
            _ => false,
        }
    }
}

/// What stands between brackets, and what comes after them.
fn class(mut rest: &[char]) -> Result<(Part, &[char]), BadPattern> {
    let negated = rest.first() == Some(&'^');
    if negated {
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&']') && !ranges.is_empty() {
            return Ok((Part::Class(negated, ranges), rest.get(1..).unwrap_or_default()));
        }
        let (low, after) = member(rest)?;
        rest = after;
        let mut high = low;
        if rest.first() == Some(&'-') {
            (high, rest) = member(rest.get(1..).unwrap_or_default())?;
        }
        ranges.push((low, high));
    }
}

fn member(rest: &[char]) -> Result<(char, &[char]), BadPattern> {
    match rest {
        [] | ['-' | ']', ..] | ['\\'] => Err(BadPattern),
        ['\\', one, after @ ..] | [one, after @ ..] => Ok((*one, after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let cases = [
            ("*", "abc", true),
            ("*", "a/b", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a?b", "a/b", false),
            ("a[^x]b", "a/b", true),
            ("[a-ζ]*", "α", true),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("*x", "xxx", true),
            ("**", "a/b/c", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "ax", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/1/2/b", true),
            ("a/**/b", "a/1/2/cb", false),
            ("a/**", "a/b/c", true),
            ("**foo", "a/bfoo", true),
            ("dir/*.go", "dir/x.go", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(Pattern::with_depth(pattern).unwrap().matches(path), expected, "{pattern} and {path}");
        }
        for bad in ["[", "[^", "[^bc", "a[", "[]a]", "[-x]", "[x-]", "\\", "[a-b-c]"] {
            assert_eq!(Pattern::new(bad), Err(BadPattern), "{bad}");
            assert_eq!(Pattern::with_depth(bad), Err(BadPattern), "{bad}");
        }
        assert!(!Pattern::new("a**c").unwrap().matches("a/b/c"), "two stars are no more than one");
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = Pattern::with_depth(&"**/*a".repeat(200)).unwrap();
        assert!(!pattern.matches(&"a/".repeat(2_000)));
        assert!(!Pattern::new(&"*a".repeat(200)).unwrap().matches(&"a".repeat(150)));
    }
}
