//! The part of Go's regular expressions that filters and log options are written with.

/// A pattern: literal text, `.`, classes, `*`, `+`, `?`, alternatives, `^` and `$`.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone)]
struct Alternative {
    from_start: bool,
    to_end: bool,
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    atom: Atom,
    least: usize,
    most: usize,
}

#[derive(Debug, Clone)]
enum Atom {
    Any,
    Letter(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Reads a pattern; one that Go refuses matches nothing.
    pub(crate) fn new(text: &str) -> Self {
        let count = |wanted: char| text.chars().filter(|letter| *letter == wanted).count();
        let repeats_nothing =
            text.split('|').any(|part| part.trim_start_matches('^').starts_with(['*', '+', '?']));
        if count('(') != count(')') || count('[') != count(']') || repeats_nothing {
            return Self { alternatives: Vec::new() };
        }
        Self { alternatives: text.split('|').map(Alternative::new).collect() }
    }

    /// Names are tried with and without their slash, as Docker does.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        self.matches(name) || self.matches(&format!("/{name}"))
    }

    /// Whether the pattern is found in the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        self.alternatives.iter().any(|alternative| alternative.is_in(&letters))
    }
}

impl Alternative {
    fn new(text: &str) -> Self {
        let from_start = text.starts_with('^');
        let body = text.strip_prefix('^').unwrap_or(text);
        let to_end = body.ends_with('$') && !body.ends_with("\\$");
        let body = if to_end { &body[..body.len() - 1] } else { body };
        let letters: Vec<char> = body.chars().filter(|letter| !matches!(letter, '(' | ')')).collect();
        Self { from_start, to_end, items: items(&letters) }
    }

    fn is_in(&self, letters: &[char]) -> bool {
        let last = if self.from_start { 0 } else { letters.len() };
        (0..=last).any(|start| match_here(&self.items, &letters[start..], self.to_end))
    }
}

fn items(mut letters: &[char]) -> Vec<Item> {
    let mut items = Vec::new();
    while let Some((atom, rest)) = atom(letters) {
        let (least, most, rest) = match rest.split_first() {
            Some(('*', rest)) => (0, usize::MAX, rest),
            Some(('+', rest)) => (1, usize::MAX, rest),
            Some(('?', rest)) => (0, 1, rest),
            _ => (1, 1, rest),
        };
        items.push(Item { atom, least, most });
        letters = rest;
    }
    items
}

fn atom(letters: &[char]) -> Option<(Atom, &[char])> {
    let (first, rest) = letters.split_first()?;
    match (first, rest.iter().skip(1).position(|letter| *letter == ']')) {
        ('.', _) => Some((Atom::Any, rest)),
        ('\\', _) if !rest.is_empty() => Some((Atom::Letter(rest[0]), &rest[1..])),
        ('[', Some(end)) => Some((class(&rest[..=end]), &rest[end + 2..])),
        (letter, _) => Some((Atom::Letter(*letter), rest)),
    }
}

fn class(letters: &[char]) -> Atom {
    let negated = letters.first() == Some(&'^');
    let letters = if negated { &letters[1..] } else { letters };
    let mut ranges = Vec::new();
    let mut index = 0;
    while index < letters.len() {
        if letters.get(index + 1) == Some(&'-') && index + 2 < letters.len() {
            ranges.push((letters[index], letters[index + 2]));
            index += 3;
        } else {
            ranges.push((letters[index], letters[index]));
            index += 1;
        }
    }
    Atom::Class { negated, ranges }
}

impl Atom {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Any => true,
            Self::Letter(own) => *own == letter,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)) != *negated
            }
        }
    }
}

fn match_here(items: &[Item], text: &[char], to_end: bool) -> bool {
    let Some((item, rest)) = items.split_first() else { return !to_end || text.is_empty() };
    let longest = text.iter().take(item.most).take_while(|letter| item.atom.takes(**letter)).count();
    (item.least..=longest).rev().any(|count| match_here(rest, &text[count..], to_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_like_docker_s_regular_expressions() {
        for (pattern, name, matched) in [
            ("web", "myweb1", true),
            ("^web", "myweb", false),
            ("^/web$", "web", true),
            ("^web$", "web", true),
            ("w.b", "wxb", true),
            ("w.*b$", "whatever-b", true),
            ("a|web", "web", true),
            ("x+", "web", false),
            ("^f[12]$", "f2", true),
            ("^f[^12]$", "f2", false),
            ("^f[0-9]?$", "f", true),
            ("a[", "a[", false),
            ("(", "a(", false),
            ("*", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches_name(name), matched, "{pattern} {name}");
        }
    }
}
