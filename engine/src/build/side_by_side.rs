//! Work in parts by several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Threads at most.
const MOST: usize = 4;

/// Does some work on all parts of a list, each of so many items; what came of them, in their order.
///
/// # Errors
/// Why a part could not be done; those that were not begun by then are left.
pub(super) fn side_by_side<I: Sync, T: Send>(
    items: &[I],
    size: usize,
    work: impl Fn(&[I]) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let parts: Vec<&[I]> = items.chunks(size).collect();
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(number) else { return Ok(done) };
            done.push((number, work(part).inspect_err(|_| next.store(parts.len(), Ordering::Relaxed))?));
        }
    };
    let threads = linux::scheduling::processors().min(MOST).min(parts.len());
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
            side_by_side(&(0..1000).collect::<Vec<_>>(), 1, |part| Ok(part[0] * 2)).unwrap(),
            (0..2000).step_by(2).collect::<Vec<_>>()
        );
        assert!(side_by_side(&[0; 0], 1, |_| Ok(0)).unwrap().is_empty());
        assert_eq!(side_by_side(&[1; 10], 4, |part| Ok(part.len())).unwrap(), [4, 4, 2]);
        let begun = AtomicUsize::new(0);
        let failed = side_by_side(&(0..100_000).collect::<Vec<_>>(), 1, |part| {
            begun.fetch_add(1, Ordering::Relaxed);
            if part[0] == 10 { Err(Error::invalid("ten")) } else { Ok(()) }
        });
        assert_eq!(failed.unwrap_err().to_string(), "ten");
        assert!(begun.into_inner() < 100_000, "the rest is left");
    }
}
