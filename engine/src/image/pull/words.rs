//! What a pull tells, in Docker's words.

use api::image::{Progress, ProgressDetail};
use distribution::Step;
use oci::Reference;
use registry_client::Target;

/// What is pulled: a tag as such, a digest with its repository.
pub(super) fn target(reference: &Reference, target: &Target) -> String {
    match target {
        Target::Tag(tag) => tag.clone(),
        Target::Digest(digest) => format!("{}@{digest}", reference.name()),
    }
}

/// The last line.
pub(super) fn end(name: &str, newer: bool) -> Progress {
    let what = if newer { "Downloaded newer image for" } else { "Image is up to date for" };
    Progress::status("", format!("Status: {what} {name}"))
}

/// A state of a layer, without numbers.
pub(super) fn state(id: &str, words: &str) -> Progress {
    Progress { progress_detail: Some(ProgressDetail::default()), ..Progress::status(id, words) }
}

/// A state of a layer with a bar.
pub(super) fn bar(id: &str, words: &str, current: u64, total: u64) -> Progress {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let detail =
        ProgressDetail { current: signed(current), total: signed(total), ..ProgressDetail::default() };
    Progress { progress_detail: Some(detail), ..Progress::status(id, words) }
}

/// A step of a download; `total` is the layer's size.
pub(super) fn step(id: &str, step: Step, total: u64) -> Progress {
    match step {
        Step::Downloading { current } => bar(id, "Downloading", current, total),
        Step::Retrying { seconds: 1 } => state(id, "Retrying in 1 second"),
        Step::Retrying { seconds } => state(id, &format!("Retrying in {seconds} seconds")),
        Step::Verifying => state(id, "Verifying Checksum"),
        Step::Complete => state(id, "Download complete"),
    }
}
