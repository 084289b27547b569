//! Lists in pages: repositories, tags, referrers.

use oci::digest::Digest;
use oci::image::{Descriptor, media};
use serde_json::json;
use transport::server::{Exchange, ResponseHead};

use super::answer::{self, Answered};
use super::route::parameter;
use crate::name::Repository;
use crate::percent::escape;
use crate::{Registry, RegistryError};

/// Names in one page at most, whatever a client asks for.
pub(super) const MOST: usize = 1000;

/// `/v2/_catalog`
pub(super) fn catalog(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    query: &str,
    may_see: &dyn Fn(&str) -> bool,
) -> Answered {
    let (most, last) = page(query)?;
    let page = registry.catalog(&last, most, may_see)?;
    let head = with_link(page.more.then(|| next("/v2/_catalog", most, page.names.last(), "")));
    answer::document(exchange, head, "application/json", &json!({"repositories": page.names}))
}

/// `/v2/NAME/tags/list`
pub(super) fn tags(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    query: &str,
) -> Answered {
    let (most, last) = page(query)?;
    let page = registry.tags(name, &last, most)?;
    let path = format!("/v2/{name}/tags/list");
    let head = with_link(page.more.then(|| next(&path, most, page.names.last(), "")));
    let value = json!({"name": name.as_str(), "tags": page.names});
    answer::document(exchange, head, "application/json", &value)
}

/// `/v2/NAME/referrers/DIGEST`
pub(super) fn referrers(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    subject: &Digest,
    query: &str,
) -> Answered {
    let (most, last) = page(query)?;
    let wanted = parameter(query, "artifactType").filter(|kind| !kind.is_empty());
    let mut all = registry.referrers(name, subject)?;
    if let Some(wanted) = &wanted {
        all.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
    }
    let mut rest = all.into_iter().filter(|referrer| referrer.digest.as_str() > last.as_str());
    let found: Vec<Descriptor> = rest.by_ref().take(most).collect();
    let more = !found.is_empty() && rest.next().is_some();
    let filter = wanted.as_ref().map(|kind| format!("&artifactType={}", escape(kind))).unwrap_or_default();
    let path = format!("/v2/{name}/referrers/{subject}");
    let last = found.last().map(|referrer| referrer.digest.to_string());
    let mut head = with_link(more.then(|| next(&path, most, last.as_ref(), &filter)));
    if wanted.is_some() {
        head = head.with("OCI-Filters-Applied", "artifactType");
    }
    let value = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": found});
    answer::document(exchange, head, media::OCI_INDEX, &value)
}

/// How many, after which.
fn page(query: &str) -> Result<(usize, String), RegistryError> {
    let most = match parameter(query, "n") {
        None => MOST,
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().unwrap_or(MOST).min(MOST)
        }
        Some(_) => return Err(RegistryError::PageSize),
    };
    Ok((most, parameter(query, "last").unwrap_or_default().into_owned()))
}

fn next(path: &str, most: usize, last: Option<&String>, filter: &str) -> String {
    let last = last.map(|last| escape(last)).unwrap_or_default();
    format!("<{path}?n={most}&last={last}{filter}>; rel=\"next\"")
}

fn with_link(link: Option<String>) -> ResponseHead {
    let head = answer::head(200);
    match link {
        Some(link) => head.with("Link", link),
        None => head,
    }
}
