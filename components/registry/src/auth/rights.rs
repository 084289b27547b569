//! Rights: which actions on which repositories.

use serde::{Deserialize, Serialize};

use crate::pattern;

/// What is done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Reading.
    Pull,
    /// Adding.
    Push,
    /// Taking away.
    Delete,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// The word in scopes and tokens.
    pub fn text(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// The action of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.text() == word)
    }
}

/// Some actions on the repositories that fit a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Right {
    /// Which repositories (`team/*`, `**`).
    pub repositories: String,
    /// What may be done.
    pub actions: Vec<Action>,
}

/// Whether some rights allow an action.
pub(crate) fn allow(rights: &[Right], repository: &str, action: Action) -> bool {
    rights
        .iter()
        .any(|right| right.actions.contains(&action) && pattern::matches(&right.repositories, repository))
}

/// Everything on everything.
pub(crate) fn everything() -> Vec<Right> {
    vec![Right { repositories: "**".to_owned(), actions: Action::ALL.to_vec() }]
}

/// What a client asks a token for: `repository:NAME:pull,push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The repository.
    pub repository: String,
    /// The actions; `*` stands for all.
    pub actions: Vec<Action>,
}

impl Scope {
    /// Reads a scope; those of other types than repositories are none.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (repository, actions) = rest.rsplit_once(':')?;
        if kind != "repository" && !kind.starts_with("repository(") {
            return None;
        }
        let actions = match actions {
            "*" => Action::ALL.to_vec(),
            words => words.split(',').filter_map(Action::of).collect(),
        };
        oci::reference::is_path(repository).then(|| Self { repository: repository.to_owned(), actions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read() {
        let scope = Scope::parse("repository:a/b:pull,push,x").unwrap();
        assert_eq!(scope, Scope { repository: "a/b".into(), actions: vec![Action::Pull, Action::Push] });
        assert_eq!(Scope::parse("repository:a:*").unwrap().actions, Action::ALL);
        for text in ["", "registry:catalog:*", "repository:a", "repository:../a:pull", "repository::pull"] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
}
