//! Files at any address: what ADD, remote contexts and imports fetch, with the same proxies, patience and certificates.

use std::io::{self, Read};

use transport::client::{Body, Response};

use crate::error::RegistryError;
use crate::session::{label, refusal, skip};
use crate::url::{Origin, Url};
use crate::{Client, Stop};

/// Redirects followed.
const REDIRECTS: usize = 10;

/// A file that is being fetched.
pub struct Download {
    response: Response,
    left: u64,
    limit: u64,
    stop: Stop,
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
        let client = self.until(stop);
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            let answer = client.send(&url, true, "GET", &[], Body::Empty)?;
            let location = answer.head.header("Location").map(str::to_owned);
            match (answer.head.status, location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    skip(answer);
                    url = follow(&first, &url, &location)?;
                }
                (200, _) => {
                    let path = url.path.split(['?', '#']).next().unwrap_or_default().to_owned();
                    return Ok(Download { response: answer, left: limit, limit, stop: stop.clone(), path });
                }
                _ => return Err(refusal(answer, label("GET", &url))),
            }
        }
        let (request, to) = (label("GET", &first), url.to_string());
        Err(RegistryError::Redirect { request, to, reason: "there are too many" })
    }
}

fn follow(first: &Url, from: &Url, location: &str) -> Result<Url, RegistryError> {
    let refused = |reason| RegistryError::Redirect {
        request: label("GET", first),
        to: location.chars().filter(|letter| !letter.is_control()).take(1024).collect(),
        reason,
    };
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
        if self.stop.is_stopped() {
            return Err(io::Error::other("cancelled"));
        }
        let count = self.response.body.read(block)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} bytes", self.limit))
        })?;
        Ok(count)
    }
}
