//! When images were used last, and which of them have waited longest.

use std::sync::Arc;

use model::Timestamp;
use oci::Digest;

use crate::error::Result;
use crate::record::{IMAGES, Record};
use crate::{Image, Images, Use};

/// A use is written down when the last written one is older, seconds: containers start often, and a day matters.
const WORTH_NOTING: i64 = 3600;

impl Images {
    /// Notes that a container was made from an image.
    pub fn note_use(&self, id: &Digest) -> Result<()> {
        let now = Timestamp::now();
        let fresh = |image: &Image| {
            image.last_used.is_some_and(|then| now.seconds().saturating_sub(then.seconds()) < WORTH_NOTING)
        };
        if self.get(id).is_none_or(|image| fresh(&image)) {
            return Ok(());
        }
        let writer = self.lock();
        let Some(image) = self.get(id) else { return Ok(()) };
        let record = Record { last_used: Some(now), ..Record::of(&image) };
        let mut transaction = self.inner.store.transaction();
        transaction.put(&IMAGES, id.as_str(), &record)?;
        // What a power cut takes is one hour's use.
        transaction.commit_relaxed()?;
        self.change(&writer, |state| {
            if let Some(image) = state.images.get_mut(id) {
                Arc::make_mut(image).last_used = Some(now);
            }
        });
        Ok(())
    }

    /// Images that no container uses and nothing was committed from, the one that waited longest first.
    pub fn unused(&self, uses: &[Use]) -> Vec<Arc<Image>> {
        let mut images = self.list();
        images.retain(|image| {
            uses.iter().all(|using| using.image != image.id) && self.children(&image.id).is_empty()
        });
        images.sort_by_key(|image| waiting_since(image));
        images
    }
}

/// The last thing people did with an image: used it, named it, or made it.
pub fn waiting_since(image: &Image) -> Option<Timestamp> {
    image.last_used.max(image.last_tagged).max(image.added).or(image.config.created)
}
