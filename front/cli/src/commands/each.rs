//! Doing one thing to every name given: what worked is printed, what failed is told at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use crate::failure::{Failure, Outcome};

/// Names that are worked on at the same time.
const AT_ONCE: usize = 16;

/// Calls the action for each name and prints the names that worked.
///
/// # Errors
/// All failures, one per line.
pub fn each(names: &[String], mut action: impl FnMut(&str) -> Outcome) -> Outcome {
    each_quietly(names, |name| {
        action(name)?;
        println!("{name}");
        Ok(())
    })
}

/// Calls the action for several names at the same time and prints, in their order, those for which it gives `true`.
///
/// # Errors
/// All failures, one per line.
pub fn each_at_once(names: &[String], action: impl Fn(&str) -> Result<bool, Failure> + Sync) -> Outcome {
    let told = |name: &str, done: Result<bool, Failure>| {
        if done? {
            println!("{name}");
        }
        Ok(())
    };
    if names.len() < 2 {
        return each_quietly(names, |name| told(name, action(name)));
    }
    let next = AtomicUsize::new(0);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..names.len().min(AT_ONCE) {
            let (sender, next, action) = (sender.clone(), &next, &action);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(at) else { return };
                    if sender.send((at, action(name))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut at = 0;
        each_quietly(names, |name| {
            while !early.contains_key(&at) {
                let Ok((done, result)) = receiver.recv() else { return Err(Failure::Status(1)) };
                early.insert(done, result);
            }
            let result = early.remove(&at).unwrap_or(Ok(false));
            at += 1;
            told(name, result)
        })
    })
}

/// Calls the action for each name.
///
/// # Errors
/// All failures, one per line.
pub fn each_quietly(names: &[String], mut action: impl FnMut(&str) -> Outcome) -> Outcome {
    let mut faults = Vec::new();
    for name in names {
        if let Err(failure) = action(name) {
            if failure.is_broken_pipe() {
                return Err(failure);
            }
            faults.push(failure.message());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::text(faults.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_the_order_of_the_names() {
        let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let outcome = each_at_once(&names, |name| {
            let number: u64 = name.parse().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(number * 7 % 10));
            if number % 10 == 3 { Err(Failure::text(format!("no {name}"))) } else { Ok(false) }
        });
        assert_eq!(outcome.unwrap_err().message(), "no 3\nno 13\nno 23\nno 33");
        assert!(each_at_once(&[], |_| Ok(true)).is_ok());
    }
}
