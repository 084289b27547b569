//! Gives images names.

use std::sync::Arc;

use model::Timestamp;
use oci::{Digest, Reference};

use crate::error::Result;
use crate::record::{IMAGES, NAMES, Record};
use crate::{ImageError, Images};

impl Images {
    /// Gives an image a name (`latest` when it has no tag). Answers the image that lost it, if another one had it.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<Option<Digest>> {
        if name.digest().is_some() {
            return Err(ImageError::TagWithDigest);
        }
        self.set_name(id, &name.clone().or_latest())
    }

    /// Notes that an image was had by a name with a digest (pull).
    pub fn note_digest(&self, id: &Digest, name: &Reference, digest: Digest) -> Result<()> {
        let name = name.with_digest(digest);
        if self.read(|state| state.names.get(&name) == Some(id)) {
            return Ok(());
        }
        self.set_name(id, &name).map(drop)
    }

    fn set_name(&self, id: &Digest, name: &Reference) -> Result<Option<Digest>> {
        Ok(self.set_names(id, std::slice::from_ref(name))?.pop().flatten())
    }

    /// Gives an image names; who had each of them, if that was another image.
    pub(crate) fn set_names(&self, id: &Digest, names: &[Reference]) -> Result<Vec<Option<Digest>>> {
        let writer = self.lock();
        let image = self.get(id).ok_or_else(|| ImageError::NotFound { name: id.to_string() })?;
        let before: Vec<Option<Digest>> =
            self.read(|state| names.iter().map(|name| state.names.get(name).cloned()).collect());
        let now = Timestamp::now();
        let record = Record { last_tagged: Some(now), ..Record::of(&image) };
        let mut transaction = self.inner.store.transaction();
        transaction.put(&IMAGES, id.as_str(), &record)?;
        for name in names {
            transaction.put(&NAMES, &name.canonical(), id)?;
        }
        if before.iter().all(|holder| holder.as_ref() == Some(id)) {
            // Only the time is new, and nothing rests on that.
            transaction.hand_over()?;
        } else {
            transaction.commit_durable()?;
        }
        self.change(&writer, |state| {
            state.names.extend(names.iter().map(|name| (name.clone(), id.clone())));
            if let Some(image) = state.images.get_mut(id) {
                Arc::make_mut(image).last_tagged = Some(now);
            }
        });
        Ok(before.into_iter().map(|holder| holder.filter(|holder| holder != id)).collect())
    }
}
