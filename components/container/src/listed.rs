//! The text that lists show for a container, kept until something in it changes.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::{ContainerRecord, HealthStatus};

/// One kept text; who makes it, and what it says, is the caller's.
#[derive(Debug, Default)]
pub struct Listed(Mutex<Option<Kept>>);

/// What of a text does not come from the record. The status holds words for how long ago something was, so that it is
/// compared as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which of several forms of the text.
    pub variant: u32,
    /// Whether the name of the image still means it.
    pub image_named: bool,
    /// The status column.
    pub status: String,
    /// The health.
    pub health: HealthStatus,
    /// Failed probes in a row.
    pub failing_streak: u32,
}

#[derive(Debug)]
struct Kept {
    /// Records never change, they are replaced: the same one at the same place is the same text. A weak pointer
    /// keeps the place from being used again.
    record: Weak<ContainerRecord>,
    shown: Shown,
    text: Arc<[u8]>,
}

impl Listed {
    /// The text kept for this record and what is shown besides it, or a new one.
    ///
    /// # Errors
    /// What making a new one gives.
    pub fn text<E>(
        &self,
        record: &Arc<ContainerRecord>,
        shown: Shown,
        make: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<[u8]>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref()
            && kept.shown == shown
            && std::ptr::eq(kept.record.as_ptr(), Arc::as_ptr(record))
        {
            return Ok(Arc::clone(&kept.text));
        }
        let text = make()?;
        *kept = Some(Kept { record: Arc::downgrade(record), shown, text: Arc::clone(&text) });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn record() -> ContainerRecord {
        ContainerRecord::new("a".repeat(64).parse().unwrap(), "web".to_owned(), crate::Config::default())
    }

    fn shown(status: &str) -> Shown {
        let (health, status) = (HealthStatus::None, status.to_owned());
        Shown { variant: 45, image_named: true, status, health, failing_streak: 0 }
    }

    #[test]
    fn a_text_is_made_again_only_when_something_differs() {
        let (listed, made) = (Listed::default(), Cell::new(0));
        let ask = |record: &Arc<ContainerRecord>, shown: Shown| {
            let text = listed.text(record, shown, || {
                made.set(made.get() + 1);
                Ok::<_, ()>(Arc::from(made.get().to_string().into_bytes()))
            });
            String::from_utf8(text.unwrap().to_vec()).unwrap()
        };
        let first = Arc::new(record());
        assert_eq!(ask(&first, shown("Up 1 second")), "1");
        assert_eq!(ask(&first, shown("Up 1 second")), "1");
        assert_eq!(ask(&first, shown("Up 2 seconds")), "2");
        assert_eq!(ask(&first, Shown { variant: 52, ..shown("Up 2 seconds") }), "3");
        assert_eq!(ask(&first, Shown { image_named: false, variant: 52, ..shown("Up 2 seconds") }), "4");
        let second = Arc::new(ContainerRecord::clone(&first));
        assert_eq!(ask(&second, shown("Up 2 seconds")), "5");
        assert_eq!(ask(&second, shown("Up 2 seconds")), "5");
        assert!(listed.text(&first, shown("x"), || Err(7)).is_err_and(|error| error == 7));
        assert_eq!(ask(&second, shown("Up 2 seconds")), "5");
    }
}
