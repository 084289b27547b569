//! Collection while the registry works: retention, manifests nobody reaches, links nobody needs, bytes nobody uses.
//!
//! Each step decides under the lock that whoever could need the thing has to hold: a repository's for manifests and
//! links, a digest's for bytes. What came or was seen within the time of grace stays whatever the records say, since
//! its manifest may be on its way.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use oci::digest::Digest;

use super::Registry;
use super::record::{self, LinkRecord, ManifestRecord, TagRecord};
use super::retention::{self, Candidate, Retention};
use crate::RegistryError;
use crate::name::Repository;
use crate::storage::Change;

/// What goes besides bytes that nothing uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which tags stay.
    pub retention: Vec<Retention>,
    /// Manifests that no tag, index or referrer reaches go.
    pub untagged: bool,
}

/// What a collection took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Tags.
    pub tags: usize,
    /// Manifests.
    pub manifests: usize,
    /// Blobs taken out of a repository.
    pub links: usize,
    /// Blobs whose bytes went.
    pub blobs: usize,
    /// Those bytes.
    pub bytes: u64,
}

impl Registry {
    /// Collects; one collection at a time, pushes and pulls go on meanwhile.
    ///
    /// # Errors
    /// When the storage fails; what was taken away until then was right to go.
    pub fn collect(&self, policy: &Policy) -> Result<Collected, RegistryError> {
        let _alone = self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut collected = Collected::default();
        self.uploads.sweep();
        self.leases.sweep();
        let prefix = record::repository_key("");
        for key in self.storage.keys(&prefix)? {
            let Ok(name) = record::behind(&key, &prefix).parse::<Repository>() else { continue };
            self.collect_repository(&name, policy, &mut collected)?;
        }
        self.collect_blobs(&mut collected)?;
        Ok(collected)
    }

    /// Whether something is old enough to go.
    fn is_old(&self, since: i64) -> bool {
        let age = model::Timestamp::now().seconds().saturating_sub(since);
        u64::try_from(age).unwrap_or(0) >= self.options.grace.as_secs()
    }

    fn collect_repository(
        &self,
        name: &Repository,
        policy: &Policy,
        collected: &mut Collected,
    ) -> Result<(), RegistryError> {
        let _changing = self.repositories.hold(name);
        let mut changes = Vec::new();
        let tags = self.retained(name, &policy.retention, &mut changes)?;
        collected.tags += changes.len();
        let found: Vec<(String, ManifestRecord)> =
            record::list(&*self.storage, &record::manifest_prefix(name.as_str()))?;
        let mut manifests: HashMap<String, ManifestRecord> = found.into_iter().collect();
        if policy.untagged {
            for digest in self.unreached(&manifests, &tags) {
                let Some(manifest) = manifests.remove(&digest) else { continue };
                let Ok(digest) = digest.parse::<Digest>() else { continue };
                changes.extend(self.removal(name, &digest, &manifest)?);
                collected.manifests += 1;
            }
        }
        if !changes.is_empty() {
            self.storage.commit(changes)?;
            self.cache.forget(name.as_str());
        }
        collected.links += self.collect_links(name, &manifests)?;
        let empty =
            manifests.is_empty() && self.storage.keys(&record::link_prefix(name.as_str()))?.is_empty();
        if empty && self.is_old_repository(name)? {
            self.storage.commit(vec![Change::Remove(record::repository_key(name.as_str()))])?;
        }
        Ok(())
    }

    fn is_old_repository(&self, name: &Repository) -> Result<bool, RegistryError> {
        let found: Option<record::RepositoryRecord> =
            record::read(&*self.storage, &record::repository_key(name.as_str()))?;
        Ok(found.is_some_and(|repository| self.is_old(repository.since)))
    }

    /// The tags that stay; the removal of the others goes to `changes`.
    fn retained(
        &self,
        name: &Repository,
        rules: &[Retention],
        changes: &mut Vec<Change>,
    ) -> Result<Vec<TagRecord>, RegistryError> {
        let all: Vec<(String, TagRecord)> =
            record::list(&*self.storage, &record::tag_key(name.as_str(), ""))?;
        let candidates =
            all.iter().map(|(tag, held)| Candidate { tag: tag.clone(), since: held.since }).collect();
        let outdated: HashSet<String> =
            retention::outdated(rules, name.as_str(), candidates).into_iter().collect();
        changes.extend(outdated.iter().map(|tag| Change::Remove(record::tag_key(name.as_str(), tag))));
        Ok(all.into_iter().filter(|(tag, _)| !outdated.contains(tag)).map(|(_, held)| held).collect())
    }

    /// Manifests that are old and that neither a tag nor anything reached from a tag leads to. What speaks about a
    /// manifest that stays, stays too.
    fn unreached(&self, manifests: &HashMap<String, ManifestRecord>, tags: &[TagRecord]) -> Vec<String> {
        let mut speaking: HashMap<&str, Vec<&str>> = HashMap::new();
        for (digest, manifest) in manifests {
            if let Some(subject) = &manifest.subject {
                speaking.entry(subject.as_str()).or_default().push(digest);
            }
        }
        let young = manifests.iter().filter(|(_, manifest)| !self.is_old(manifest.since));
        let mut open: Vec<&str> = tags.iter().map(|tag| tag.digest.as_str()).collect();
        open.extend(young.map(|(digest, _)| digest.as_str()));
        let mut reached: HashSet<&str> = HashSet::new();
        while let Some(digest) = open.pop() {
            if !reached.insert(digest) {
                continue;
            }
            open.extend(speaking.get(digest).into_iter().flatten());
            if let Some(manifest) = manifests.get(digest) {
                open.extend(manifest.manifests.iter().map(Digest::as_str));
            }
        }
        manifests.keys().filter(|digest| !reached.contains(digest.as_str())).cloned().collect()
    }

    /// Takes out blobs that no manifest names, that are old, and that no client was told of lately.
    fn collect_links(
        &self,
        name: &Repository,
        manifests: &HashMap<String, ManifestRecord>,
    ) -> Result<usize, RegistryError> {
        let needed: HashSet<&Digest> = manifests.values().flat_map(|manifest| &manifest.blobs).collect();
        let prefix = record::wanted_prefix(name.as_str());
        let wanted = self.storage.keys(&prefix)?;
        let is_needed = |key: &String| {
            record::behind(key, &prefix).parse::<Digest>().is_ok_and(|digest| needed.contains(&digest))
        };
        let unwanted = wanted.into_iter().filter(|key| !is_needed(key)).map(Change::Remove);
        self.storage.commit(unwanted.collect())?;
        let links: Vec<(String, LinkRecord)> =
            record::list(&*self.storage, &record::link_prefix(name.as_str()))?;
        let mut count = 0;
        for (digest, link) in links {
            let Ok(digest) = digest.parse::<Digest>() else { continue };
            if needed.contains(&digest) || !self.is_old(link.since) {
                continue;
            }
            // An upload or a question may have come meanwhile; both hold the digest.
            let _going = self.blobs.hold(&digest);
            let is_old = self.link(name, &digest).is_ok_and(|link| self.is_old(link.since));
            if is_old && self.leases.is_free(name.as_str(), &digest) {
                self.storage.commit(record::unlink_changes(name, &digest))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Removes bytes that no repository uses.
    fn collect_blobs(&self, collected: &mut Collected) -> Result<(), RegistryError> {
        for blob in self.storage.blobs()? {
            let prefix = format!("use/{}", blob.digest);
            // Asked before the lock, as most blobs are used.
            if !self.is_old(blob.since) || !self.storage.keys(&prefix)?.is_empty() {
                continue;
            }
            let _going = self.blobs.hold(&blob.digest);
            if self.storage.keys(&prefix)?.is_empty() {
                self.storage.remove_blob(&blob.digest)?;
                collected.blobs += 1;
                collected.bytes += blob.size;
            }
        }
        Ok(())
    }
}
