//! Work in parts by several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Threads at most.
const MOST: usize = 4;

/// Does all parts of a piece of work, told by their numbers; what came of them, in their order.
///
/// # Errors
/// Why a part could not be done; those that were not begun by then are left.
pub(super) fn side_by_side<T: Send>(
    parts: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= parts {
                return Ok(done);
            }
            done.push((number, work(number).inspect_err(|_| next.store(parts, Ordering::Relaxed))?));
        }
    };
    let threads = linux::scheduling::processors().min(MOST).min(parts);
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        let mut done: Vec<(usize, T)> = some()?;
        for other in others {
            let other = other.join().map_err(|_| Error::internal("a thread of a build ended early"))?;
            done.append(&mut other?);
        }
        Ok::<_, Error>(done)
    })?;
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_order_or_not_at_all() {
        assert_eq!(
            side_by_side(1000, |number| Ok(number * 2)).unwrap(),
            (0..2000).step_by(2).collect::<Vec<_>>()
        );
        assert!(side_by_side(0, Ok).unwrap().is_empty());
        let begun = AtomicUsize::new(0);
        let failed = side_by_side(100_000, |number| {
            begun.fetch_add(1, Ordering::Relaxed);
            if number == 10 { Err(Error::invalid("ten")) } else { Ok(number) }
        });
        assert_eq!(failed.unwrap_err().to_string(), "ten");
        assert!(begun.into_inner() < 100_000, "the rest is left");
    }
}
