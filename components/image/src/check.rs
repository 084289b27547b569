//! Looks whether everything that is kept is whole, and repairs what can be.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use oci::{Digest, Reference};

use crate::error::Result;
use crate::images::State;
use crate::record::{IMAGES, NAMES};
use crate::{Image, ImageError, Images};

/// Blobs read at the same time.
const READERS: usize = 2;

/// What a check looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Images looked at.
    pub images: usize,
    /// Blobs read.
    pub blobs: usize,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong, or was.
    pub problems: Vec<Problem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is.
    pub fault: Fault,
    /// Names (or ids) of the images that suffer.
    pub images: Vec<String>,
    /// Whether it is in order now.
    pub repaired: bool,
}

/// What can be wrong with images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Bytes changed on disk. Repaired by removal: the image has to be had again, which fetches only this blob.
    Bad {
        /// The blob.
        blob: Digest,
        /// Why it cannot be used.
        reason: String,
    },
    /// A blob of an image is not there.
    Missing {
        /// The blob.
        blob: Digest,
    },
    /// A blob nobody refers to.
    Orphan {
        /// The blob.
        blob: Digest,
    },
    /// The documents of an image cannot be read.
    Unreadable {
        /// The image.
        id: Digest,
        /// Why.
        reason: String,
    },
    /// A name of an image that is not there.
    Dangling {
        /// The name.
        name: Reference,
        /// The image it stands for.
        id: Digest,
    },
}

impl Images {
    /// Reads every blob and compares its digest; compares records, names and blobs with each other. `repair` removes
    /// bad blobs, orphans, unreadable records and names without an image, so that having the images again mends all.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        let lease = self.lease();
        let list = self.content().list()?;
        let images = self.list();
        let (bad, bytes) = self.read_all(&list);
        let mut report = CheckReport { images: images.len(), blobs: list.len(), bytes, problems: Vec::new() };
        for (blob, reason) in bad {
            let images = self.sufferers(&blob);
            if repair {
                self.content().remove(&blob)?;
            }
            report.problems.push(Problem { fault: Fault::Bad { blob, reason }, images, repaired: false });
        }
        self.find_missing(&images, &mut report);
        drop(lease);
        self.check_records(repair, &mut report)?;
        self.check_orphans(&list, repair, &mut report)?;
        Ok(report)
    }

    /// Blobs that are not what their names say, and the bytes read.
    fn read_all(&self, list: &[Digest]) -> (Vec<(Digest, String)>, u64) {
        let queue = Mutex::new(list.iter());
        let (bad, bytes) = (Mutex::new(Vec::new()), AtomicU64::new(0));
        let work = || {
            while let Some(blob) = crate::images::next(&queue) {
                match self.content().verify(blob) {
                    Ok(size) => drop(bytes.fetch_add(size, Ordering::Relaxed)),
                    // Removed meanwhile, by somebody who may.
                    Err(ImageError::MissingBlob { .. }) => {}
                    Err(error) => {
                        let mut bad = bad.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        bad.push((blob.clone(), model::error::chain(&error)));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..READERS {
                scope.spawn(work);
            }
            work();
        });
        let mut bad = bad.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        bad.sort();
        (bad, bytes.into_inner())
    }

    /// Names of the images a blob is part of.
    fn sufferers(&self, blob: &Digest) -> Vec<String> {
        let names = self.read(|state| {
            let made = state.blobs.iter().filter(|(_, blobs)| blobs.contains(blob));
            made.flat_map(|(id, _)| state.images.get(id).map(|image| shown(image)).unwrap_or_default())
                .collect::<BTreeSet<_>>()
        });
        names.into_iter().collect()
    }

    /// What the platforms need that each image is here on.
    fn find_missing(&self, images: &[std::sync::Arc<Image>], report: &mut CheckReport) {
        let mut missing = BTreeSet::new();
        for image in images {
            let documents = [&image.target.digest, &image.manifest.digest, &image.config_digest];
            let others = image.others.iter().flat_map(|other| &other.layers);
            let layers = image.layers.iter().chain(others).map(|layer| &layer.blob.digest);
            let lost = documents.into_iter().chain(layers).filter(|blob| self.content().size(blob).is_none());
            missing.extend(lost.cloned());
        }
        let known: BTreeSet<Digest> = report.problems.iter().filter_map(Problem::blob).cloned().collect();
        for blob in missing.into_iter().filter(|blob| !known.contains(blob)) {
            let images = self.sufferers(&blob);
            report.problems.push(Problem { fault: Fault::Missing { blob }, images, repaired: false });
        }
    }

    fn check_records(&self, repair: bool, report: &mut CheckReport) -> Result<()> {
        let writer = self.lock();
        let (damaged, dangling) = self.read(|state| {
            let known = |id: &Digest| {
                state.images.contains_key(id) || state.damaged.iter().any(|(damaged, _)| damaged == id)
            };
            let dangling: Vec<_> = state
                .names
                .iter()
                .filter(|(_, id)| !known(id))
                .map(|(n, id)| (n.clone(), id.clone()))
                .collect();
            (state.damaged.clone(), dangling)
        });
        let mut transaction = self.inner.store.transaction();
        for (id, reason) in damaged {
            let names = self.read(|state| {
                let names = state.names.iter().filter(|(_, named)| **named == id);
                names.map(|(name, _)| name.clone()).collect::<Vec<_>>()
            });
            transaction.delete(&IMAGES, id.as_str());
            for name in &names {
                transaction.delete(&NAMES, &name.canonical());
            }
            let mut images: Vec<String> = names.iter().map(Reference::familiar).collect();
            if images.is_empty() {
                images.push(id.short().to_owned());
            }
            let fault = Fault::Unreadable { id, reason };
            report.problems.push(Problem { fault, images, repaired: false });
        }
        for (name, id) in dangling {
            transaction.delete(&NAMES, &name.canonical());
            let images = vec![name.familiar()];
            report.problems.push(Problem { fault: Fault::Dangling { name, id }, images, repaired: repair });
        }
        if repair && !transaction.is_empty() {
            transaction.commit_durable()?;
            self.change(&writer, |state| {
                state.damaged.clear();
                let State { images, names, .. } = state;
                names.retain(|_, id| images.contains_key(id));
            });
        }
        Ok(())
    }

    /// Only when nobody is taking in content, and when it is known what every image is made of.
    fn check_orphans(&self, list: &[Digest], repair: bool, report: &mut CheckReport) -> Result<()> {
        let writer = self.lock();
        if self.is_leased() || self.read(|state| !state.damaged.is_empty()) {
            return Ok(());
        }
        let orphans = self.read(|state| {
            let used = |blob: &Digest| state.blobs.values().any(|blobs| blobs.contains(blob));
            list.iter().filter(|blob| !used(blob)).cloned().collect::<Vec<_>>()
        });
        for blob in orphans.into_iter().filter(|blob| self.content().size(blob).is_some()) {
            report.problems.push(Problem {
                fault: Fault::Orphan { blob: blob.clone() },
                images: Vec::new(),
                repaired: repair,
            });
            if repair {
                self.content().note_fresh([blob]);
            }
        }
        if repair { self.collect_garbage(&writer) } else { Ok(()) }
    }
}

impl Problem {
    fn blob(&self) -> Option<&Digest> {
        match &self.fault {
            Fault::Bad { blob, .. } | Fault::Missing { blob } | Fault::Orphan { blob } => Some(blob),
            Fault::Unreadable { .. } | Fault::Dangling { .. } => None,
        }
    }
}

fn shown(image: &Image) -> Vec<String> {
    if image.names.is_empty() {
        return vec![image.id.short().to_owned()];
    }
    image.names.iter().map(Reference::familiar).collect()
}
