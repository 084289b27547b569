//! Files at any address: what ADD, remote contexts and imports fetch, with the same proxies, patience and certificates.

use std::io::{self, Read};

use transport::client::{Body, Response};

use crate::address::{Address, DownloadError, Status, clean};
use crate::blob::Pace;
use crate::error::RegistryError;
use crate::session::{label, refusal, skip};
use crate::url::{Origin, Url};
use crate::{Client, Secret, Stop};

/// Redirects followed.
const REDIRECTS: usize = 10;
/// Bytes of a refusal's text that are shown.
const TEXT_LIMIT: u64 = 1024;

/// A file that is being fetched.
pub struct Download {
    response: Response,
    left: u64,
    limit: u64,
    stop: Stop,
    pace: Pace,
    /// Where it came from in the end, without a query.
    pub path: String,
}

impl Client {
    /// Starts to fetch a file of at most so many bytes. Redirects are followed, but never from TLS to plain HTTP, and
    /// never from elsewhere to this machine.
    ///
    /// # Errors
    /// When the address is none, the server cannot be reached or answers anything but success.
    pub fn download(&self, address: &str, limit: u64, stop: &Stop) -> Result<Download, RegistryError> {
        let first = Url::parse(address).ok_or_else(|| RegistryError::Host(address.to_owned()))?;
        let (answer, url) = self.ask(&first, None, stop)?;
        match answer.head.status {
            200 => Ok(self.coming(answer, &url, limit, stop)),
            _ => Err(refusal(answer, label("GET", &url))),
        }
    }

    /// The same without a limit, from an address that may hold a name and a password; what the server says when it refuses
    /// is told.
    ///
    /// # Errors
    /// When there is no such server, it does not answer, or it refuses.
    pub fn download_from(&self, address: &Address, stop: &Stop) -> Result<Download, DownloadError> {
        let (answer, url) = self.ask(address.url(), address.authorization(), stop)?;
        if answer.head.status < 400 {
            return Ok(self.coming(answer, &url, u64::MAX, stop));
        }
        let status = Status { code: answer.head.status, reason: clean(&answer.head.reason) };
        let mut said = Vec::new();
        let _ = answer.body.take(TEXT_LIMIT).read_to_end(&mut said);
        let text = clean(&String::from_utf8_lossy(&said));
        let text = if text.is_empty() { text } else { format!(": {text}") };
        Err(DownloadError::Refused { address: address.text(), status, text })
    }

    /// The first answer that is no redirect, and where it came from; only the first server is shown a password.
    fn ask(
        &self,
        first: &Url,
        proof: Option<&Secret>,
        stop: &Stop,
    ) -> Result<(Response, Url), RegistryError> {
        let client = self.until(stop);
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            let proof = proof.filter(|_| url.origin == first.origin);
            let headers: Vec<(&str, &str)> =
                proof.iter().map(|proof| ("Authorization", proof.reveal())).collect();
            let answer = client.send(&url, true, "GET", &headers, Body::Empty)?;
            let location = answer.head.header("Location").map(str::to_owned);
            match (answer.head.status, location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    skip(answer);
                    url = follow(first, &url, &location)?;
                }
                _ => return Ok((answer, url)),
            }
        }
        let (request, to) = (label("GET", first), url.to_string());
        Err(RegistryError::Redirect { request, to, reason: "there are too many" })
    }

    fn coming(&self, response: Response, url: &Url, limit: u64, stop: &Stop) -> Download {
        let path = url.path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let pace = Pace::new(self.settings().slowest);
        Download { response, left: limit, limit, stop: stop.clone(), pace, path }
    }
}

fn follow(first: &Url, from: &Url, location: &str) -> Result<Url, RegistryError> {
    let refused =
        |reason| RegistryError::Redirect { request: label("GET", first), to: clean(location), reason };
    let to = from.join(location).ok_or_else(|| refused("it is no http address"))?;
    let plain = |origin: &Origin| !origin.tls;
    if to.origin.is_local() && !first.origin.is_local() {
        return Err(refused("it leads to this machine"));
    }
    if plain(&to.origin) && !plain(&from.origin) {
        return Err(refused("it leads from TLS to plain HTTP"));
    }
    Ok(to)
}

impl Download {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.head.header(name)
    }

    /// Bytes of it, when the server says so.
    pub fn length(&self) -> Option<u64> {
        self.header("Content-Length").and_then(|text| text.trim().parse().ok())
    }

    /// When the server says it changed last, in seconds since the epoch.
    pub fn modified(&self) -> Option<i64> {
        let text = self.header("Last-Modified")?;
        let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(time.as_second())
    }

    /// The name of the file: what the server says, else the end of its path; none when it has none that can be one.
    pub fn name(&self) -> Option<String> {
        let said = self.header("Content-Disposition").and_then(|text| {
            let (_, name) = text.split_once("filename=")?;
            let name = name.split(';').next()?.trim().trim_matches('"');
            name.rsplit(['/', '\\']).next().map(str::to_owned)
        });
        let path = || self.path.rsplit('/').next().map(str::to_owned);
        said.filter(|name| is_name(name)).or_else(path).filter(|name| is_name(name))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name.len() <= 255 && !name.contains('\0')
}

impl Read for Download {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let result = self.response.body.read(block);
        // A stop closes the connection, which may look like the end.
        if self.stop.is_stopped() {
            return Err(io::Error::other("cancelled"));
        }
        let count = result?;
        if count > 0 {
            self.pace.moved(count as u64)?;
        }
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} bytes", self.limit))
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_that_are_not_followed() {
        let (near, far) =
            (Url::parse("http://127.0.0.1:1/a").unwrap(), Url::parse("https://far/a/b").unwrap());
        let leads = |from: &Url, location| follow(from, from, location).map(|url| url.to_string()).ok();
        assert_eq!(leads(&near, "/b"), Some("http://127.0.0.1:1/b".to_owned()));
        assert_eq!(leads(&near, "http://[::1]/"), Some("http://[::1]/".to_owned()));
        assert_eq!(leads(&far, "c"), Some("https://far/a/c".to_owned()));
        for location in
            ["http://far/a", "https://localhost/", "https://169.254.169.254/", "ftp://far/", "gopher:x\n"]
        {
            assert_eq!(leads(&far, location), None, "{location:?}");
        }
    }
}
