//! Published and exposed ports: go-connections' grammar with its texts.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

/// The two documents that ports become.
#[derive(Debug, Default, PartialEq)]
pub struct Ports {
    /// `{"80/tcp": {}}`.
    pub exposed: Map<String, Json>,
    /// `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`.
    pub bindings: Map<String, Json>,
}

impl Ports {
    /// Takes one `--publish` value.
    ///
    /// # Errors
    /// With go-connections' text.
    pub fn publish(&mut self, text: &str) -> Result<(), String> {
        let spec = if text.contains('=') { long_form(text)? } else { text.to_owned() };
        let (ip, host, container) = split(&spec);
        let ip = plain_address(&ip)?;
        if container.is_empty() {
            return Err(format!("no port specified: {spec}<empty>"));
        }
        let (number, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        let protocol = if protocol.is_empty() { "tcp" } else { protocol };
        let (start, end) = range(number).map_err(|_| format!("invalid containerPort: {number}"))?;
        let (host_start, host_end) = match host {
            "" => (0, 0),
            host => range(host).map_err(|_| format!("invalid hostPort: {host}"))?,
        };
        if !host.is_empty() && end - start != host_end - host_start && end != start {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {number} and {host}"
            ));
        }
        let lower = protocol.to_lowercase();
        if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
            return Err(format!("invalid proto: {protocol}"));
        }
        for offset in 0..=(end - start) {
            let host_port = match host {
                "" => String::new(),
                _ if start == end && host_start != host_end => format!("{host_start}-{host_end}"),
                _ => (host_start + offset).to_string(),
            };
            let key = format!("{}/{lower}", start + offset);
            self.exposed.insert(key.clone(), json!({}));
            let binding = json!({"HostIp": ip, "HostPort": host_port});
            match self.bindings.get_mut(&key).and_then(Json::as_array_mut) {
                Some(list) => list.push(binding),
                None => {
                    self.bindings.insert(key, Json::Array(vec![binding]));
                }
            }
        }
        Ok(())
    }

    /// Takes one `--expose` value.
    ///
    /// # Errors
    /// With docker's text.
    pub fn expose(&mut self, text: &str) -> Result<(), String> {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (start, end) = range(number)
            .map_err(|reason| format!("invalid range format for --expose: {text}, error: {reason}"))?;
        for port in start..=end {
            self.exposed.insert(format!("{port}/{}", protocol.to_lowercase()), json!({}));
        }
        Ok(())
    }
}

/// Address, host port and container port, split at colons from the right.
fn split(text: &str) -> (String, &str, &str) {
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default().to_owned(), host, container)
}

fn plain_address(text: &str) -> Result<String, String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .ok_or_else(|| format!("invalid IP address {text}: address {text}:: missing ']' in address"))?,
        None => text,
    };
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {bare}"));
    }
    Ok(bare.to_owned())
}

fn range(text: &str) -> Result<(u32, u32), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let port = |text: &str| -> Result<u32, String> {
        match text.parse::<u64>() {
            Ok(number) if number <= 65535 => Ok(u32::try_from(number).unwrap_or_default()),
            Ok(_) => {
                Err(format!("strconv.ParseUint: parsing {}: value out of range", crate::value::quoted(text)))
            }
            Err(_) => {
                Err(format!("strconv.ParseUint: parsing {}: invalid syntax", crate::value::quoted(text)))
            }
        }
    };
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (port(start)?, port(end)?);
    if end < start {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((start, end))
}

/// `target=80,published=8080,protocol=tcp,mode=host` as the short form.
fn long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = (String::new(), String::new(), "tcp".to_owned());
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            return Err(format!("invalid publish opts format (should be name=value but got '{part}')"));
        };
        match key {
            "protocol" => protocol = value.to_lowercase(),
            "published" => value.clone_into(&mut published),
            "target" => value.clone_into(&mut target),
            // Docker takes no notice of fields it does not know.
            _ => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}
