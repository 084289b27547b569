//! Images that are complete, but that nobody sees yet.

use std::sync::Arc;

use oci::{Digest, Platform, Reference};

use crate::error::Result;
use crate::record::Record;
use crate::{Image, Images, Lease};

/// An image whose content is in and was looked at. Whoever has it may make sure that it can be used (its layers unpack)
/// and then keeps it; when it is dropped instead, nothing is left of it.
#[must_use = "an image that is not kept is gone"]
pub struct Pending {
    record: Record,
    names: Vec<Reference>,
    image: Image,
    lease: Lease,
}

/// An image that was kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The image, with all its names.
    pub image: Arc<Image>,
    /// The names it was given now.
    pub names: Vec<Reference>,
    /// Images that lost a name to it.
    pub replaced: Vec<(Reference, Digest)>,
}

impl Pending {
    /// Looks whether the image is complete. The lease is one its blobs came in under, or one taken while that was held.
    pub(crate) fn new(
        images: &Images,
        record: Record,
        names: Vec<Reference>,
        platform: Option<&Platform>,
        lease: Lease,
    ) -> Result<Self> {
        let image = images.check_complete(&record, platform)?;
        Ok(Self { record, names, image, lease })
    }

    /// The image as it is going to be on the platform that was asked for, without names.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Makes it visible under its names, which others may lose; it is durable then.
    pub fn keep(self) -> Result<Kept> {
        let images = self.lease.images();
        let id = &self.record.target.digest;
        let holders = images.read(|state| {
            let held = |name: &Reference| state.names.get(name).map(|id| (name.clone(), id.clone()));
            self.names.iter().filter_map(held).collect::<Vec<_>>()
        });
        let replaced = holders.into_iter().filter(|(_, old)| old != id).collect();
        let image = images.keep(self.record, &self.names)?;
        Ok(Kept { image, names: self.names, replaced })
    }
}
