//! `system check`: whether everything that is kept is whole, and repairs.

use std::collections::BTreeMap;

use api::system::{Check, CheckProblem};
use image::Fault;
use oci::{Digest, Reference};
use snapshot::Snapshots;

use crate::engine::Inner;
use crate::{Error, Result};

/// Reads every blob and every layer, compares them with the records, and mends what can be mended.
pub(super) fn check(inner: &Inner, repair: bool) -> Result<Check> {
    let content = inner.storage.images.check(repair).map_err(Error::from_kinded)?;
    let mut check = Check {
        repair,
        images: count(content.images),
        blobs: count(content.blobs),
        bytes: i64::try_from(content.bytes).unwrap_or(i64::MAX),
        ..Check::default()
    };
    check.problems.extend(content.problems.iter().map(|problem| describe(problem, repair)));
    layers(inner, repair, &mut check);
    Ok(check)
}

fn describe(problem: &image::Problem, repair: bool) -> CheckProblem {
    let (kind, object, text) = match &problem.fault {
        Fault::Bad { blob, reason } => ("blob", blob.to_string(), reason.clone()),
        Fault::Missing { blob } => ("blob", blob.to_string(), "missing".to_owned()),
        Fault::Orphan { blob } => ("blob", blob.to_string(), "belongs to no image".to_owned()),
        Fault::Unreadable { id, reason } => ("image", id.to_string(), reason.clone()),
        Fault::Dangling { name, id } => {
            ("name", name.familiar(), format!("its image {} is not there", id.short()))
        }
    };
    let lost = matches!(problem.fault, Fault::Bad { .. } | Fault::Missing { .. } | Fault::Unreadable { .. });
    CheckProblem {
        kind: kind.to_owned(),
        object,
        images: problem.images.clone(),
        problem: text,
        repaired: problem.repaired,
        advice: match (problem.repaired, lost, repair) {
            (true, ..) => String::new(),
            (false, true, true) => "pull or load the image again".to_owned(),
            (false, true, false) => "repair, then pull or load the image again".to_owned(),
            (false, false, _) => "repair".to_owned(),
        },
    }
}

/// Unpacked layers: each is compared with its tar, and unpacked anew from it when it differs.
fn layers(inner: &Inner, repair: bool, check: &mut Check) {
    // Each platform has layers of its own.
    let images = inner.storage.images.list();
    let each = |image: &std::sync::Arc<::image::Image>| {
        image.all_diff_ids().map(|diff_ids| image.with_layers(diff_ids)).collect::<Vec<_>>()
    };
    let images: Vec<::image::Image> = images.iter().flat_map(each).collect();
    let mut holders: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for image in &images {
        for chain in Snapshots::chains(image.diff_ids()) {
            holders.entry(chain).or_default().extend(names(image));
        }
    }
    for image in &images {
        for (index, chain) in Snapshots::chains(image.diff_ids()).into_iter().enumerate() {
            // A layer of several images is looked at once, and is unpacked when a container needs it.
            let Some(held) = holders.remove(&chain).filter(|_| inner.storage.snapshots.has_layer(&chain))
            else {
                continue;
            };
            check.layers += 1;
            if let Some(problem) = layer(inner, image, index, &chain, repair) {
                check.problems.push(CheckProblem { images: held, ..problem });
            }
        }
    }
}

fn layer(
    inner: &Inner,
    image: &::image::Image,
    index: usize,
    chain: &Digest,
    repair: bool,
) -> Option<CheckProblem> {
    let storage = &inner.storage;
    let tar = storage.images.open_layer(image, index).map_err(|error| Error::internal(error.to_string()));
    let compared =
        tar.and_then(|mut tar| storage.snapshots.check_layer(chain, &mut tar).map_err(Error::from_kinded));
    let text = match compared {
        Ok(differences) if differences.is_empty() => return None,
        Ok(differences) => shorten(&differences),
        Err(error) => error.message().to_owned(),
    };
    if !storage.snapshots.has_layer(chain) || storage.images.get(&image.id).is_none() {
        // Removed meanwhile, by somebody who may.
        return None;
    }
    let mended = if repair { storage.unpack_again(image, chain).err() } else { None };
    Some(CheckProblem {
        kind: "layer".to_owned(),
        object: chain.to_string(),
        problem: text,
        repaired: repair && mended.is_none(),
        advice: match mended {
            Some(error) => error.message().to_owned(),
            None if repair => String::new(),
            None => "repair".to_owned(),
        },
        ..CheckProblem::default()
    })
}

/// The first differences tell enough.
fn shorten(differences: &[String]) -> String {
    let shown = differences.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match differences.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

fn names(image: &::image::Image) -> Vec<String> {
    if image.names.is_empty() {
        return vec![image.id.short().to_owned()];
    }
    image.names.iter().map(Reference::familiar).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
