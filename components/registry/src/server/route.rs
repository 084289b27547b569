//! Paths to routes: names of repositories hold slashes, so a path is read from its end.

use std::borrow::Cow;
use std::str::FromStr as _;

use oci::digest::Digest;
use transport::server::percent_decode;

use crate::RegistryError;
use crate::name::Repository;

/// Bytes of a path at most.
const LONGEST: usize = 1024;

/// What a path below `/v2/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/NAME/tags/list`
    Tags(Repository),
    /// `/v2/NAME/manifests/REFERENCE`; what kind of reference is judged later.
    Manifest(Repository, String),
    /// `/v2/NAME/blobs/DIGEST`
    Blob(Repository, Digest),
    /// `/v2/NAME/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/NAME/blobs/uploads/ID`
    Upload(Repository, String),
    /// `/v2/NAME/referrers/DIGEST`
    Referrers(Repository, Digest),
}

impl Route {
    /// Reads a path; `None` when nothing of a registry is there.
    ///
    /// # Errors
    /// `NameInvalid` and `DigestInvalid`, when the form of the rest fits.
    pub fn parse(path: &str) -> Result<Option<Self>, RegistryError> {
        let Some(path) = percent_decode(path, false).filter(|path| path.len() <= LONGEST) else {
            return Ok(None);
        };
        let Some(rest) = below(&path) else { return Ok(None) };
        match rest {
            "" => return Ok(Some(Self::Base)),
            "_catalog" | "_catalog/" => return Ok(Some(Self::Catalog)),
            _ => {}
        }
        // Longest first: `uploads` could be no digest anyway.
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Some(Self::Tags(name.parse()?)));
        }
        let uploads = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"));
        if let Some(name) = uploads {
            return Ok(Some(Self::Uploads(name.parse()?)));
        }
        let Some((before, last)) = rest.rsplit_once('/') else { return Ok(None) };
        if let Some(name) = before.strip_suffix("/blobs/uploads") {
            return Ok(Some(Self::Upload(name.parse()?, last.to_owned())));
        }
        if let Some(name) = before.strip_suffix("/manifests") {
            return Ok(Some(Self::Manifest(name.parse()?, last.to_owned())));
        }
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Some(Self::Blob(name.parse()?, Digest::from_str(last)?)));
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Some(Self::Referrers(name.parse()?, Digest::from_str(last)?)));
        }
        Ok(None)
    }

    /// The repository it is about.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// A word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags(_) => "tags",
            Self::Manifest(..) => "manifest",
            Self::Blob(..) => "blob",
            Self::Uploads(_) | Self::Upload(..) => "upload",
            Self::Referrers(..) => "referrers",
        }
    }
}

fn below(path: &str) -> Option<&str> {
    if path == "/v2" {
        return Some("");
    }
    path.strip_prefix("/v2/")
}

/// The values of a query's parameter, decoded; parameters that can't be decoded are left out.
pub fn parameters<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Cow<'q, str>> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key, true)? == name).then(|| percent_decode(value, true))?
    })
}

/// The first value of a query's parameter.
pub fn parameter<'q>(query: &'q str, name: &'q str) -> Option<Cow<'q, str>> {
    parameters(query, name).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let name = |text: &str| text.parse::<Repository>().unwrap();
        for (path, route) in [
            ("/v2", Some(Route::Base)),
            ("/v2/", Some(Route::Base)),
            ("/v2/_catalog", Some(Route::Catalog)),
            ("/v2/a/tags/list", Some(Route::Tags(name("a")))),
            ("/v2/a/b/manifests/latest", Some(Route::Manifest(name("a/b"), "latest".into()))),
            (
                "/v2/manifests/manifests/manifests",
                Some(Route::Manifest(name("manifests"), "manifests".into())),
            ),
            ("/v2/tags/list/tags/list", Some(Route::Tags(name("tags/list")))),
            ("/v2/a/blobs/uploads/", Some(Route::Uploads(name("a")))),
            ("/v2/a/blobs/uploads", Some(Route::Uploads(name("a")))),
            ("/v2/a/blobs/uploads/x", Some(Route::Upload(name("a"), "x".into()))),
            (&format!("/v2/a/blobs/{digest}"), Some(Route::Blob(name("a"), digest.parse().unwrap()))),
            (
                &format!("/v2/a/blobs/{}", digest.replace(':', "%3A")),
                Some(Route::Blob(name("a"), digest.parse().unwrap())),
            ),
            (
                &format!("/v2/a/referrers/{digest}"),
                Some(Route::Referrers(name("a"), digest.parse().unwrap())),
            ),
            ("/", None),
            ("/v1/", None),
            ("/v2/a", None),
            ("/v2/a/b", None),
            ("/v2x/", None),
            ("/v2/%zz", None),
        ] {
            assert_eq!(Route::parse(path).unwrap(), route, "{path}");
        }
        for path in ["/v2/A/tags/list", "/v2/../tags/list", "/v2//manifests/x", "/v2/a%2F..%2Fb/manifests/x"]
        {
            assert!(matches!(Route::parse(path), Err(RegistryError::NameInvalid { .. })), "{path}");
        }
        for path in ["/v2/a/blobs/x", "/v2/a/blobs/sha256:..", "/v2/a/referrers/md5:0"] {
            assert!(matches!(Route::parse(path), Err(RegistryError::DigestForm(_))), "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query = "tag=a&tag=b%2Fc&x&digest=sha256%3A1";
        assert_eq!(parameters(query, "tag").collect::<Vec<_>>(), ["a", "b/c"]);
        assert_eq!(parameter(query, "x").as_deref(), Some(""));
        assert_eq!(parameter(query, "digest").as_deref(), Some("sha256:1"));
        assert_eq!(parameter(query, "y"), None);
        assert_eq!(crate::percent::escape("a/b:c d"), "a%2Fb%3Ac%20d");
    }
}
