//! Removes names and images by Docker's rules.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use oci::{Digest, Platform, Reference};

use crate::error::Result;
use crate::find::Found;
use crate::record::{IMAGES, NAMES, Record, with_attestations};
use crate::{Image, ImageError, Images};

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its full id.
    pub container: String,
    /// The image's id.
    pub image: Digest,
    /// Whether it runs.
    pub running: bool,
}

/// One step of a removal, in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged {
        /// The name as people write it.
        name: String,
        /// The image that had it.
        image: Digest,
    },
    /// An image is gone.
    Deleted(Digest),
}

/// What speaks against a removal.
struct Conflict {
    hard: bool,
    reason: String,
}

impl Images {
    /// Removes a name, and the image with its last one; or an image by id, with all names when they are of one
    /// repository. `force` overrides what Docker lets it override; `prune_parents` also takes parents that have
    /// neither names, uses nor other children.
    pub fn remove(&self, text: &str, force: bool, prune_parents: bool, uses: &[Use]) -> Result<Vec<Removed>> {
        let writer = self.lock();
        let mut removal = Removal { images: self, writer: &writer, uses, done: Vec::new() };
        let result = removal.run(text, force, prune_parents);
        let done = std::mem::take(&mut removal.done);
        drop(removal);
        if done.iter().any(|step| matches!(step, Removed::Deleted(_))) {
            self.collect_garbage_soon(&writer)?;
        }
        result.map(|()| done)
    }

    /// Removes some platforms of an image, as far as it is here; with the last one the image goes, by the rules for that.
    pub fn remove_platforms(
        &self,
        text: &str,
        platforms: &[Platform],
        force: bool,
        uses: &[Use],
    ) -> Result<Vec<Removed>> {
        let writer = self.lock();
        let image = self.look_up(text)?.image();
        let mut gone = BTreeSet::new();
        for wanted in platforms {
            let lacking = || ImageError::NoPlatform { name: text.to_owned(), platform: wanted.text() };
            gone.insert(image.on(wanted).ok_or_else(lacking)?.manifest.digest);
        }
        let content = self.content();
        let others: Vec<Digest> =
            image.all_manifests().filter(|digest| !gone.contains(*digest)).cloned().collect();
        if others.is_empty() {
            drop(writer);
            return self.remove(text, force, true, uses);
        }
        let mut record = Record::of(&image);
        record.left_out.extend(with_attestations(content, &image.target, &gone)?);
        let (id, before) = (image.id.clone(), self.blobs(&image.id));
        let (changed, after) = record.read(content, self.platform())?;
        let mut transaction = self.inner.store.transaction();
        transaction.put(&IMAGES, id.as_str(), &record)?;
        transaction.commit_durable()?;
        self.change(&writer, |state| {
            state.images.insert(id.clone(), Arc::new(changed));
            state.blobs.insert(id.clone(), Arc::new(after.clone()));
        });
        content.note_fresh(before.difference(&after).cloned());
        self.collect_garbage_soon(&writer)?;
        Ok(gone.into_iter().map(Removed::Deleted).collect())
    }

    /// Removes the images a test chooses that no container uses and nothing was committed from, with their names.
    pub fn prune(&self, choose: &mut dyn FnMut(&Image) -> bool, uses: &[Use]) -> Result<Vec<Removed>> {
        let writer = self.lock();
        let mut removal = Removal { images: self, writer: &writer, uses, done: Vec::new() };
        for image in self.list() {
            let used = uses.iter().any(|using| using.image == image.id);
            if !used && self.children(&image.id).is_empty() && choose(&image) {
                removal.delete(&image, Vec::new())?;
            }
        }
        let done = std::mem::take(&mut removal.done);
        drop(removal);
        self.collect_garbage(&writer)?;
        Ok(done)
    }
}

struct Removal<'a> {
    images: &'a Images,
    writer: &'a MutexGuard<'a, ()>,
    uses: &'a [Use],
    done: Vec<Removed>,
}

impl Removal<'_> {
    /// A name and the image it was the last one of go in one step: nothing is seen or left between them.
    fn run(&mut self, text: &str, force: bool, prune_parents: bool) -> Result<()> {
        let (image, going, by_name) = match self.images.look_up(text)? {
            Found::Name(name, image) if !is_id_prefix(&image.id, text) => {
                let going = self.going_with(text, &name, &image, force)?;
                if image.names.iter().any(|known| !going.contains(known)) {
                    return self.untag(&going, &image);
                }
                (image, going, true)
            }
            Found::Id(image) | Found::Name(_, image) => {
                let going = if is_single(&image.names) { image.names.clone() } else { Vec::new() };
                (image, going, false)
            }
        };
        if let Err(conflict) = self.check(&image, !force, going.is_empty()) {
            if by_name {
                self.untag(&going, &image)?;
            }
            return Err(conflict);
        }
        self.delete(&image, going)?;
        if prune_parents {
            self.delete_parents(&image)?;
        }
        Ok(())
    }

    /// A name that goes, and with it the names with digests of its repository when it has the last tag there.
    fn going_with(&self, text: &str, name: &Reference, image: &Image, force: bool) -> Result<Vec<Reference>> {
        if !force
            && is_single(&image.names)
            && let Some(using) = self.uses.iter().find(|using| using.image == image.id)
        {
            return Err(ImageError::NameInUse {
                name: text.to_owned(),
                container: short(&using.container).to_owned(),
                image: image.id.short().to_owned(),
            });
        }
        let own = image.names.iter().find(|known| *known == name || is_same_digest(known, name));
        let own = own.cloned().unwrap_or_else(|| name.clone());
        let mut gone = vec![own.clone()];
        let others = image.names.iter().filter(|other| **other != own && other.name() == own.name());
        let (tagged, digests): (Vec<&Reference>, Vec<&Reference>) =
            others.partition(|other| other.digest().is_none());
        if own.digest().is_none() && tagged.is_empty() {
            gone.extend(digests.into_iter().cloned());
        }
        Ok(gone)
    }

    fn untag(&mut self, names: &[Reference], image: &Image) -> Result<()> {
        let mut transaction = self.images.inner.store.transaction();
        for name in names {
            transaction.delete(&NAMES, &name.canonical());
        }
        transaction.commit_durable()?;
        self.images.change(self.writer, |state| state.names.retain(|name, _| !names.contains(name)));
        self.note_untagged(names, image);
        Ok(())
    }

    fn note_untagged(&mut self, names: &[Reference], image: &Image) {
        let step = |name: &Reference| Removed::Untagged { name: name.familiar(), image: image.id.clone() };
        self.done.extend(names.iter().map(step));
    }

    /// Deletes an image with its names, these first.
    fn delete(&mut self, image: &Image, mut names: Vec<Reference>) -> Result<()> {
        let others: Vec<_> = image.names.iter().filter(|name| !names.contains(name)).cloned().collect();
        names.extend(others);
        let mut transaction = self.images.inner.store.transaction();
        transaction.delete(&IMAGES, image.id.as_str());
        for name in &names {
            transaction.delete(&NAMES, &name.canonical());
        }
        transaction.commit_durable()?;
        self.images.change(self.writer, |state| {
            state.forget(&image.id, self.images.content());
        });
        self.note_untagged(&names, image);
        self.done.push(Removed::Deleted(image.id.clone()));
        Ok(())
    }

    fn delete_parents(&mut self, image: &Image) -> Result<()> {
        let mut next = image.parent.clone();
        while let Some(parent) = next.take().and_then(|id| self.images.get(&id)) {
            if !parent.names.is_empty() || self.conflict(&parent, true, true).is_some() {
                return Ok(());
            }
            self.delete(&parent, Vec::new())?;
            next.clone_from(&parent.parent);
        }
        Ok(())
    }

    fn check(&self, image: &Image, soft: bool, names: bool) -> Result<()> {
        match self.conflict(image, soft, names) {
            Some(Conflict { hard, reason }) => {
                Err(ImageError::InUse { image: image.id.short().to_owned(), hard, reason })
            }
            None => Ok(()),
        }
    }

    fn conflict(&self, image: &Image, soft: bool, names: bool) -> Option<Conflict> {
        if !self.images.children(&image.id).is_empty() {
            return Some(Conflict { hard: true, reason: "image has dependent child images".to_owned() });
        }
        let user = |running: bool| {
            self.uses.iter().find(|using| using.image == image.id && using.running == running)
        };
        if let Some(using) = user(true) {
            let reason = format!("image is being used by running container {}", short(&using.container));
            return Some(Conflict { hard: true, reason });
        }
        if !soft {
            return None;
        }
        if names && !image.names.is_empty() {
            let reason = "image is referenced in multiple repositories".to_owned();
            return Some(Conflict { hard: false, reason });
        }
        user(false).map(|using| Conflict {
            hard: false,
            reason: format!("image is being used by stopped container {}", short(&using.container)),
        })
    }
}

/// One tag at most, and all names of one repository.
fn is_single(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let repositories = names.iter().map(Reference::name).collect::<std::collections::HashSet<_>>().len();
    names.len() <= 1 || (tags <= 1 && repositories <= 1)
}

/// A name with a digest may carry a tag too; it is stored without.
fn is_same_digest(one: &Reference, other: &Reference) -> bool {
    one.digest().is_some() && one.digest() == other.digest() && one.name() == other.name()
}

fn is_id_prefix(id: &Digest, text: &str) -> bool {
    id.as_str().starts_with(text) || id.hex().starts_with(text)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
