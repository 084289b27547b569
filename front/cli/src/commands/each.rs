//! Doing one thing to every name given: what worked is printed, what failed is told at the end.

use crate::failure::{Failure, Outcome};

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
