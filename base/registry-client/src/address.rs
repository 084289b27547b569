//! Addresses of files as people type them, with a name and a password perhaps, and what fetching from there says.

use model::{ErrorKind, Kinded};

use crate::error::RegistryError;
use crate::proxies::unescape;
use crate::url::Url;
use crate::{Credentials, Secret};

/// An address that can be fetched from, and who to be there.
#[derive(Debug, Clone)]
pub struct Address {
    url: Url,
    has_user: bool,
    authorization: Option<Secret>,
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Another scheme than http and https.
    #[error("Get {address:?}: unsupported protocol scheme {scheme:?}")]
    Scheme {
        /// As it was given.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// No host, or one that is no name.
    #[error("Get {address:?}: http: no Host in request URL")]
    Host {
        /// As it was given.
        address: String,
    },
    /// The server refused.
    #[error("failed to GET {address} with status {status}{text}")]
    Refused {
        /// As it was given, without a password.
        address: String,
        /// Number and words.
        status: Status,
        /// What the server said, behind a colon.
        text: String,
    },
    /// No server, no answer, or a redirect that is not followed.
    #[error(transparent)]
    Exchange(#[from] RegistryError),
}

/// A status as Go writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The number.
    pub code: u16,
    /// The words behind it.
    pub reason: String,
}

impl std::fmt::Display for Status {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.code, self.reason)
    }
}

impl Kinded for DownloadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { status, .. } => match status.code {
                400 => ErrorKind::Invalid,
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                404 => ErrorKind::NotFound,
                _ => ErrorKind::Internal,
            },
            Self::Exchange(RegistryError::Cancelled) => ErrorKind::Cancelled,
            _ => ErrorKind::Internal,
        }
    }
}

impl Address {
    /// Reads an address; one without a scheme is meant as http.
    ///
    /// # Errors
    /// For other schemes, and when it names no host.
    pub fn parse(text: &str) -> Result<Self, DownloadError> {
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let (scheme, rest) = full.split_once("://").unwrap_or(("http", text));
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            let (address, scheme) = (clean(&full), clean(scheme));
            return Err(DownloadError::Scheme { address, scheme });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let bare = format!("{scheme}://{host}{path}");
        let url = Url::parse(&bare).ok_or_else(|| DownloadError::Host { address: clean(&bare) })?;
        let authorization = user.and_then(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            Credentials::password(&unescape(name), &unescape(password)).basic()
        });
        Ok(Self { url, has_user: user.is_some(), authorization })
    }

    /// Whether a name, perhaps with a password, is in it.
    pub fn has_user(&self) -> bool {
        self.has_user
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// As it may be shown: without name and password.
    pub fn text(&self) -> String {
        self.url.to_string()
    }
}

/// Text from elsewhere as it may be shown.
pub(crate) fn clean(text: &str) -> String {
    text.trim_end().chars().filter(|letter| !letter.is_control()).take(1024).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_not_shown() {
        for (text, shown, authorization) in [
            ("http://h/x.tar", "http://h/x.tar", None),
            ("h:5000/x.tar?a=b", "http://h:5000/x.tar?a=b", None),
            ("https://[::1]:1/x", "https://[::1]:1/x", None),
            ("http://me:s%40e@h/x", "http://h/x", Some("Basic bWU6c0Bl")),
            ("http://me@h", "http://h/", Some("Basic bWU6")),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.text(), shown);
            assert_eq!(address.authorization.as_ref().map(Secret::reveal), authorization, "{text}");
            assert_eq!(address.has_user(), authorization.is_some());
            assert!(!format!("{address:?}").contains("bWU6"), "{address:?}");
        }
        for (text, words) in [
            ("ftp://h/x", "Get \"ftp://h/x\": unsupported protocol scheme \"ftp\""),
            ("file:///etc/passwd", "Get \"file:///etc/passwd\": unsupported protocol scheme \"file\""),
            ("/tmp/x.tar", "Get \"http:///tmp/x.tar\": http: no Host in request URL"),
            ("http://h:99999/", "Get \"http://h:99999/\": http: no Host in request URL"),
        ] {
            assert_eq!(Address::parse(text).unwrap_err().to_string(), words);
        }
    }
}
