//! How manifests and lists are shown and pushed: the documents, in docker's indentation.

use oci::image::media;
use oci::{Digest, Platform, Reference};
use serde::Serialize;

use super::entry::Entry;
use crate::failure::{Failure, Outcome};

/// A list of manifests, in the order docker writes the fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListDocument<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<ListItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListItem<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a Digest,
    platform: Platform,
}

/// The document of a list and its media type.
///
/// # Errors
/// When a manifest is at another registry than the list.
pub(super) fn list_document(
    target: &Reference,
    entries: &[Entry],
) -> Result<(String, &'static str), Failure> {
    let is_oci = entries.first().is_some_and(|entry| entry.descriptor.media_type == media::OCI_MANIFEST);
    let media_type = if is_oci { media::OCI_INDEX } else { media::DOCKER_INDEX };
    let mut manifests = Vec::new();
    for entry in entries {
        let source = entry.reference()?;
        if source.domain() != target.domain() {
            return Err(Failure::text(format!(
                "cannot use source images from a different registry than the target image: {} != {}",
                source.domain(),
                target.domain()
            )));
        }
        manifests.push(ListItem {
            media_type: &entry.descriptor.media_type,
            size: entry.descriptor.size,
            digest: &entry.descriptor.digest,
            platform: entry.descriptor.platform.clone().unwrap_or_default(),
        });
    }
    let document = ListDocument { schema_version: 2, media_type, manifests };
    Ok((crate::json::go_indented(&document, "   ", true), media_type))
}

/// Prints one manifest: its document, or all that is known of it.
pub(super) fn print_one(entry: &Entry, verbose: bool) {
    if verbose {
        println!("{}", crate::json::go_indented(entry, "\t", true));
    } else if let Some(document) = entry.document() {
        println!("{}", crate::json::go_indented(document, "\t", true));
    }
}

/// Prints a list: its document, or all that is known of its manifests.
///
/// # Errors
/// When a manifest is at another registry than the list.
pub(super) fn print_list(target: &Reference, entries: &[Entry], verbose: bool) -> Outcome {
    if verbose {
        println!("{}", crate::json::go_indented(&entries, "\t", true));
        return Ok(());
    }
    let (text, _) = list_document(target, entries).map_err(|failure| {
        Failure::text(format!("failed to assemble ManifestDescriptor: {}", failure.message()))
    })?;
    println!("{text}");
    Ok(())
}
