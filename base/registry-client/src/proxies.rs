//! Which proxy a host is reached through: the rules of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.

use std::net::IpAddr;
use std::sync::Arc;

use transport::client::{Proxy, ProxyAuthorization, TlsClient};

use crate::settings::in_network;
use crate::url::{self, Origin};
use crate::{Credentials, RegistryError};

/// Proxies as they are configured.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: String,
    /// For TLS.
    pub https: String,
    /// Hosts, domains (`.example.com`), addresses and networks that are reached directly; `*` for all.
    pub except: String,
}

/// A proxy's URL may carry a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Proxies({})", [&self.http, &self.https].iter().filter(|text| !text.is_empty()).count())
    }
}

impl Proxies {
    /// The proxy for a place, if there is one.
    pub(crate) fn of(&self, origin: &Origin) -> Result<Option<Proxy>, RegistryError> {
        let text = if origin.tls { &self.https } else { &self.http };
        if text.is_empty() || url::is_loopback(&origin.host) || self.is_excepted(origin) {
            return Ok(None);
        }
        let malformed = || RegistryError::Host("proxy".to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let tls = scheme == "https";
        let (host, port) =
            url::split_authority(authority, if tls { 443 } else { 80 }).ok_or_else(malformed)?;
        let authorization = login.and_then(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            Credentials::password(&unescape(user), &unescape(password)).basic()
        });
        Ok(Some(Proxy {
            address: Origin { tls, host, port }.address(),
            tls: if tls { Some(Arc::new(TlsClient::new(&[], None)?)) } else { None },
            authorization: authorization.map(|value| ProxyAuthorization(value.reveal().to_owned())),
        }))
    }

    fn is_excepted(&self, origin: &Origin) -> bool {
        let address: Option<IpAddr> = origin.host.parse().ok();
        self.except.split(',').map(str::trim).filter(|rule| !rule.is_empty()).any(|rule| {
            let rule = rule.to_ascii_lowercase();
            if rule == "*" || address.is_some_and(|address| in_network(&rule, address)) {
                return true;
            }
            let (host, port) = match rule.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, port.parse::<u16>().ok()),
                _ => (rule.as_str(), None),
            };
            if port.is_some_and(|port| port != origin.port) {
                return false;
            }
            let host = host.trim_start_matches("*.");
            match host.strip_prefix('.') {
                Some(domain) => origin.host.ends_with(&format!(".{domain}")),
                None => origin.host == host || origin.host.ends_with(&format!(".{host}")),
            }
        })
    }
}

pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_of_a_place() {
        let proxies = Proxies {
            http: "http://me:se%20cret@plain:3128/".to_owned(),
            https: "secure:8080".to_owned(),
            except: "a.example, .b.example,10.0.0.0/8,c.example:5000".to_owned(),
        };
        assert!(!format!("{proxies:?}").contains("cret"));
        let of = |tls, host: &str, port| {
            let origin = Origin { tls, host: host.to_owned(), port };
            proxies
                .of(&origin)
                .unwrap()
                .map(|proxy| (proxy.address, proxy.authorization.map(|value| value.0)))
        };
        assert_eq!(of(true, "x", 443), Some(("secure:8080".to_owned(), None)));
        let basic = "Basic bWU6c2UgY3JldA==".to_owned();
        assert_eq!(of(false, "x", 80), Some(("plain:3128".to_owned(), Some(basic))));
        for (host, port) in [
            ("a.example", 1),
            ("sub.a.example", 1),
            ("x.b.example", 1),
            ("10.9.9.9", 1),
            ("c.example", 5000),
            ("127.0.0.1", 1),
        ] {
            assert_eq!(of(true, host, port), None, "{host}");
        }
        for (host, port) in [("b.example", 1), ("nota.example", 1), ("c.example", 443), ("11.0.0.1", 1)] {
            assert!(of(true, host, port).is_some(), "{host}");
        }
    }
}
