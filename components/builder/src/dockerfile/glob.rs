//! Shell patterns in substitutions: `*`, `?` and escaped characters; slashes are nothing special.

use super::error::Problem;

/// Longest pattern in characters: together with the longest value it bounds the work.
const LONGEST: usize = 256;

/// A pattern.
pub(super) struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
enum Part {
    One(char),
    Any,
    Star,
}

impl Glob {
    pub(super) fn new(text: &str, escape: char) -> Result<Self, Problem> {
        if text.len() > LONGEST {
            return Err(Problem::TooLong { what: "pattern", limit: LONGEST });
        }
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '*' => Part::Star,
                '?' => Part::Any,
                _ if character == escape => Part::One(escaped(text, characters.next(), escape)?),
                _ => Part::One(character),
            });
        }
        Ok(Self { parts })
    }

    /// A value without what matches at its start: as little as possible, or as much.
    pub(super) fn trim_start(&self, value: &str, greedy: bool) -> String {
        let characters: Vec<char> = value.chars().collect();
        characters.get(self.at_start(&characters, greedy)..).unwrap_or_default().iter().collect()
    }

    /// The same at its end.
    pub(super) fn trim_end(&self, value: &str, greedy: bool) -> String {
        let characters: Vec<char> = value.chars().rev().collect();
        let reversed = Self { parts: self.parts.iter().rev().copied().collect() };
        let gone = reversed.at_start(&characters, greedy);
        characters.get(gone..).unwrap_or_default().iter().rev().collect()
    }

    /// Replaces the first longest match, or all.
    pub(super) fn replace(&self, value: &str, with: &str, everywhere: bool) -> String {
        let characters: Vec<char> = value.chars().collect();
        let ends = self.ends(&characters, usize::max);
        let mut out = String::new();
        let (mut at, mut open) = (0, true);
        while let Some(character) = characters.get(at) {
            let end = ends.get(at).copied().flatten().filter(|end| open && *end > at);
            if let Some(end) = end {
                out.push_str(with);
                (at, open) = (end, everywhere);
            } else {
                out.push(*character);
                at += 1;
            }
        }
        out
    }

    /// How much of the start matches; nothing when there is no match.
    fn at_start(&self, characters: &[char], greedy: bool) -> usize {
        let ends = self.ends(characters, if greedy { usize::max } else { usize::min });
        ends.first().copied().flatten().unwrap_or(0)
    }

    /// For each place where a match may start: where it ends, the one of all possible ends that is picked. Part by part
    /// from the last one, so that no pattern makes it slow.
    fn ends(&self, characters: &[char], pick: fn(usize, usize) -> usize) -> Vec<Option<usize>> {
        let mut below: Vec<Option<usize>> = (0..=characters.len()).map(Some).collect();
        for part in self.parts.iter().rev() {
            let mut here = vec![None; below.len()];
            let mut later = None;
            for (at, out) in here.iter_mut().enumerate().rev() {
                let next = || below.get(at + 1).copied().flatten();
                *out = match part {
                    Part::One(one) if characters.get(at) == Some(one) => next(),
                    Part::One(_) => None,
                    Part::Any => next(),
                    Part::Star => match (below.get(at).copied().flatten(), later) {
                        (Some(now), Some(later)) => Some(pick(now, later)),
                        (now, later) => now.or(later),
                    },
                };
                later = *out;
            }
            below = here;
        }
        below
    }
}

/// What an escape makes plain: special characters, and what would end the pattern.
fn escaped(text: &str, next: Option<char>, escape: char) -> Result<char, Problem> {
    match next {
        None => Ok(escape),
        Some(next) if matches!(next, '*' | '?' | '}' | '/') || next == escape => Ok(next),
        Some(next) => {
            let reason = format!("invalid escape '{escape}{next}'");
            Err(Problem::Pattern { pattern: text.to_owned(), reason })
        }
    }
}
