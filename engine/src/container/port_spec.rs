//! `80/tcp`, `8000-8010`: ports as texts of the API.

use crate::{Error, Result};

/// Splits a key of `PortBindings` or `ExposedPorts` into port and protocol; the protocol is `tcp` when left out.
///
/// # Errors
/// `invalid port specification: "x"`.
pub fn parse_key(key: &str) -> Result<(u16, String)> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    Ok((parse_number(port)?, protocol.to_ascii_lowercase()))
}

fn parse_number(text: &str) -> Result<u16> {
    text.parse().map_err(|_| invalid(text))
}

fn invalid(text: &str) -> Error {
    Error::invalid(format!("invalid port specification: \"{text}\""))
}

/// Reads a host port: empty or `0` means any, else one port or a range.
///
/// # Errors
/// `invalid port specification: "90-80"`.
pub fn parse_host_range(text: &str) -> Result<Option<(u16, u16)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |part: &str| part.parse::<u16>().map_err(|_| invalid(text));
    match (parse(first)?, parse(last)?) {
        (0, 0) => Ok(None),
        (first, last) if first <= last => Ok(Some((first, last))),
        _ => Err(invalid(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_keys() {
        assert_eq!(parse_key("80/UDP").unwrap(), (80, "udp".to_owned()));
        assert_eq!(parse_key("53").unwrap(), (53, "tcp".to_owned()));
        assert_eq!(parse_host_range("8000-8010").unwrap(), Some((8000, 8010)));
        assert_eq!(parse_host_range("0").unwrap(), None);
        for text in ["bogus", "70000", "90-80"] {
            let message = format!("invalid port specification: \"{text}\"");
            assert_eq!(parse_host_range(text).unwrap_err().message(), message);
        }
        assert_eq!(parse_key("x/tcp").unwrap_err().message(), "invalid port specification: \"x\"");
    }
}
