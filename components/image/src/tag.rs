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
        let writer = self.lock();
        let image = self.get(id).ok_or_else(|| ImageError::NotFound { name: id.to_string() })?;
        let before = self.read(|state| state.names.get(name).cloned());
        let now = Timestamp::now();
        let record = Record { last_tagged: Some(now), ..Record::of(&image) };
        let mut transaction = self.inner.store.transaction();
        transaction.put(&IMAGES, id.as_str(), &record)?;
        transaction.put(&NAMES, &name.canonical(), id)?;
        transaction.commit_durable()?;
        self.change(&writer, |state| {
            state.names.insert(name.clone(), id.clone());
            if let Some(image) = state.images.get_mut(id) {
                Arc::make_mut(image).last_tagged = Some(now);
            }
        });
        Ok(before.filter(|before| before != id))
    }
}
