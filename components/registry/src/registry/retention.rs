//! Which tags stay: the newest so many, and those whose names fit a pattern.

use serde::Deserialize;

use crate::pattern;

/// A rule for the repositories that fit a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Which repositories.
    pub repositories: String,
    /// The newest so many tags stay.
    #[serde(default)]
    pub keep_newest: usize,
    /// Tags that fit one of these patterns stay.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// A tag that is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub tag: String,
    /// Seconds since the epoch when it was set.
    pub since: i64,
}

/// The tags that go. The first rule whose pattern fits the repository counts; without one, every tag stays.
pub(crate) fn outdated(rules: &[Retention], repository: &str, mut tags: Vec<Candidate>) -> Vec<String> {
    let Some(rule) = rules.iter().find(|rule| pattern::matches(&rule.repositories, repository)) else {
        return Vec::new();
    };
    // Newest first; of one second, the name decides, so that two runs agree.
    tags.sort_by(|left, right| right.since.cmp(&left.since).then_with(|| right.tag.cmp(&left.tag)));
    let kept = |tag: &str| rule.keep.iter().any(|pattern| pattern::matches(pattern, tag));
    tags.into_iter()
        .filter(|candidate| !kept(&candidate.tag))
        .skip(rule.keep_newest)
        .map(|candidate| candidate.tag)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_named_stay() {
        let rules = [
            Retention { repositories: "ci/**".into(), keep_newest: 2, keep: vec!["v*".into()] },
            Retention { repositories: "**".into(), keep_newest: 100, keep: Vec::new() },
        ];
        let tags = || -> Vec<Candidate> {
            [("v1", 1), ("a", 2), ("b", 3), ("c", 3), ("d", 4)]
                .map(|(tag, since)| Candidate { tag: tag.to_owned(), since })
                .to_vec()
        };
        assert_eq!(outdated(&rules, "ci/app", tags()), ["b", "a"]);
        assert_eq!(outdated(&rules, "app", tags()), [] as [&str; 0]);
        assert_eq!(outdated(&[], "app", tags()), [] as [&str; 0]);
    }
}
