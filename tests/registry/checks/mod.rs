//! All checks by name.

mod blob;
mod listing;
mod manifest;
mod referrer;
mod upload;

use crate::Client;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, the function's.
    pub name: &'static str,
    /// Panics when the registry does otherwise.
    pub run: fn(&Client),
}

macro_rules! checks {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$(Check { name: stringify!($name), run: $module::$name }),*]
    };
}

/// Every check.
pub const CHECKS: &[Check] = checks![
    listing::the_base_answers,
    blob::a_blob_comes_back_whole,
    blob::ranges_are_answered,
    blob::unknown_blobs_have_their_code,
    blob::a_blob_can_be_removed,
    blob::a_blob_is_mounted_from_another_repository,
    blob::a_mount_of_nothing_becomes_an_upload,
    blob::a_blob_may_have_a_sha512_digest,
    blob::blobs_belong_to_their_repository,
    upload::whole_in_one_request,
    upload::in_chunks_that_follow_each_other,
    upload::as_one_stream,
    upload::chunks_out_of_order_are_refused,
    upload::an_upload_tells_how_far_it_is,
    upload::an_upload_can_be_given_up,
    upload::an_algorithm_can_be_announced,
    upload::unknown_uploads_have_their_code,
    upload::other_bytes_than_promised_are_refused,
    upload::malformed_digests_are_refused,
    upload::lengths_that_contradict_are_refused,
    upload::a_malformed_range_is_refused,
    upload::empty_blobs_exist,
    manifest::exact_bytes_come_back,
    manifest::a_tag_moves,
    manifest::by_digest_with_tags,
    manifest::unknown_manifests_have_their_codes,
    manifest::malformed_manifests_are_refused,
    manifest::manifests_name_what_is_there,
    manifest::wrong_sizes_are_refused,
    manifest::large_manifests_have_a_limit,
    manifest::a_tag_can_be_removed,
    manifest::a_manifest_is_removed_with_its_tags,
    manifest::a_digest_has_to_fit,
    manifest::names_have_a_grammar,
    manifest::a_known_manifest_is_not_sent_again,
    listing::tags_come_in_pages,
    listing::page_sizes_have_limits,
    listing::repositories_are_listed,
    listing::unknown_repositories_have_their_code,
    listing::methods_that_do_not_exist_are_refused,
    referrer::a_subject_is_confirmed_and_listed,
    referrer::referrers_are_filtered_by_type,
    referrer::nothing_refers_is_no_error,
    referrer::the_fallback_tag_is_picked_up,
    referrer::referrers_come_in_pages,
];
