//! Tags, and pages of names.

use oci::digest::Digest;

use super::Registry;
use super::record::{self, TagRecord};
use crate::RegistryError;
use crate::name::Repository;

/// Some names in order, and whether there are more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The names.
    pub names: Vec<String>,
    /// Whether another page follows.
    pub more: bool,
}

impl Page {
    /// The first `most` of sorted names that come after `last`.
    pub fn of<'n>(names: impl Iterator<Item = &'n str>, last: &str, most: usize) -> Self {
        let mut rest = names.filter(|name| *name > last);
        let page: Vec<String> = rest.by_ref().take(most).map(str::to_owned).collect();
        Self { more: !page.is_empty() && rest.next().is_some(), names: page }
    }
}

impl Registry {
    /// The tags of a repository after `last`, at most `most`.
    ///
    /// # Errors
    /// `NameUnknown`, and when the storage fails.
    pub fn tags(&self, name: &Repository, last: &str, most: usize) -> Result<Page, RegistryError> {
        let prefix = record::tag_key(name.as_str(), "");
        let keys = self.storage.keys(&prefix)?;
        if keys.is_empty() && !self.has_repository(name)? {
            return Err(RegistryError::NameUnknown { name: name.to_string() });
        }
        Ok(Page::of(keys.iter().map(|key| record::behind(key, &prefix)), last, most))
    }

    pub(crate) fn tag(&self, name: &Repository, tag: &str) -> Result<Option<TagRecord>, RegistryError> {
        Ok(record::read(&*self.storage, &record::tag_key(name.as_str(), tag))?)
    }

    /// A mirrored tag was seen upstream just now, pointing to a manifest that is here.
    pub(crate) fn set_checked_tag(
        &self,
        name: &Repository,
        tag: &str,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let _changing = self.repositories.hold(name);
        let now = model::Timestamp::now().seconds();
        let held = self.tag(name, tag)?.filter(|held| held.digest == *digest);
        let since = held.map_or(now, |held| held.since);
        let record = TagRecord { digest: digest.clone(), since, checked: now };
        self.storage.commit(vec![record::put(record::tag_key(name.as_str(), tag), &record)?])?;
        self.cache.forget(name.as_str());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all = ["a", "b", "c"];
        let page = |last, most| Page::of(all.into_iter(), last, most);
        let expect =
            |names: &[&str], more| Page { names: names.iter().map(|n| (*n).to_owned()).collect(), more };
        assert_eq!(page("", 2), expect(&["a", "b"], true));
        assert_eq!(page("b", 2), expect(&["c"], false));
        assert_eq!(page("bb", 1), expect(&["c"], false));
        assert_eq!(page("", 0), expect(&[], false));
        assert_eq!(page("z", 5), expect(&[], false));
    }
}
