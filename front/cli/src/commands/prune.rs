//! What all prune commands share: the question, and the amount that came free.

use std::io::{BufRead, Write};

use crate::failure::{Failure, Outcome};
use crate::human;
use crate::matches::Matches;

/// Asks before anything is removed, unless `--force` is given.
///
/// # Errors
/// When the answer is not yes.
pub fn confirm(matches: &Matches, warning: &str) -> Outcome {
    if matches.on("force") {
        return Ok(());
    }
    print!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    // Docker says nothing about a no, and calls it no failure.
    Err(Failure::Status(0))
}

/// The last line.
pub fn reclaimed(bytes: f64) {
    println!("Total reclaimed space: {}", human::size(bytes));
}
