//! The places a repository can be read from: mirrors first, each opened when it is needed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use oci::Reference;
use registry_client::{Access, Client, Credentials, Place, RegistryError, Repository};

/// One repository at all its places.
pub struct Sources {
    client: Client,
    reference: Reference,
    credentials: Credentials,
    places: Vec<Place>,
    opened: Vec<Mutex<Option<Arc<Repository>>>>,
    /// The place that answered last.
    current: AtomicUsize,
}

impl Sources {
    /// Where an image can be pulled from.
    ///
    /// # Errors
    /// When the registry's name is no host.
    pub fn new(
        client: &Client,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Self, RegistryError> {
        let places = client.places(reference.domain())?;
        let opened = places.iter().map(|_| Mutex::default()).collect();
        Ok(Self {
            client: client.clone(),
            reference: reference.clone(),
            credentials: credentials.clone(),
            places,
            opened,
            current: AtomicUsize::new(0),
        })
    }

    /// Asks the place that answered last, then those after it. What the last one says counts: that is the registry
    /// itself.
    ///
    /// # Errors
    /// When none gives what is wanted.
    pub fn ask<T>(
        &self,
        question: impl Fn(&Repository) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failure = None;
        for at in first..self.places.len() {
            match self.open(at).and_then(|repository| question(&repository)) {
                Ok(answer) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(RegistryError::Cancelled) => return Err(RegistryError::Cancelled),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(RegistryError::Cancelled))
    }

    fn open(&self, at: usize) -> Result<Arc<Repository>, RegistryError> {
        let (Some(place), Some(slot)) = (self.places.get(at), self.opened.get(at)) else {
            return Err(RegistryError::Host(self.reference.domain().to_owned()));
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repository) = &*slot {
            return Ok(Arc::clone(repository));
        }
        let opened = self.client.repository_at(place, &self.reference, &self.credentials, Access::Pull)?;
        Ok(Arc::clone(slot.insert(Arc::new(opened))))
    }
}
