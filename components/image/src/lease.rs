//! Keeps content that nobody refers to yet.

use std::sync::Arc;

use crate::Images;

/// While one exists no blob is collected: held from before the first blob comes in until an image is made of it.
/// What nobody refers to when the last one ends is removed then.
#[must_use = "content that belongs to no image is removed when the lease ends"]
pub struct Lease {
    images: Images,
    /// None only while it is dropped.
    share: Option<Arc<()>>,
}

impl Images {
    /// Takes a lease.
    pub fn lease(&self) -> Lease {
        let _writer = self.lock();
        Lease { images: self.clone(), share: Some(Arc::clone(&self.inner.lease)) }
    }
}

impl Lease {
    pub(crate) fn images(&self) -> &Images {
        &self.images
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let writer = self.images.lock();
        self.share = None;
        if let Err(error) = self.images.collect_garbage(&writer) {
            // The next open finds them.
            eprintln!("removing content nobody refers to: {}", model::error::chain(&error));
        }
    }
}
