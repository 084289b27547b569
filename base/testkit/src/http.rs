//! HTTP over a unix socket without any client library, so that tests see the very bytes.

use std::os::unix::net::UnixStream;
use std::path::Path;

/// One whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with values.
    pub headers: Vec<(String, String)>,
    /// The body with chunked coding removed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// GET without headers.
pub fn get(socket: &Path, target: &str) -> std::io::Result<Answer> {
    request(socket, "GET", target, &[], b"")
}

/// POST of a JSON document.
pub fn post(socket: &Path, target: &str, document: &serde_json::Value) -> std::io::Result<Answer> {
    request(socket, "POST", target, &[("Content-Type", "application/json")], document.to_string().as_bytes())
}

/// One request on a connection of its own, closed after the answer.
pub fn request(
    socket: &Path,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(crate::patience(60)))?;
    exchange(&mut stream, method, target, headers, body)
}

/// One request over a fresh connection of any kind, which is used up.
pub fn exchange(
    stream: &mut (impl std::io::Read + std::io::Write),
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
    if !framed && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // The server may refuse a body before having read it all; its answer counts then.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes)
        && bytes.is_empty()
    {
        return Err(error);
    }
    parse(&bytes).ok_or_else(|| {
        std::io::Error::other(format!("not an HTTP answer: {}", String::from_utf8_lossy(&bytes)))
    })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { join_chunks(rest) } else { rest.to_vec() };
    Some(Answer { status, headers, body })
}

fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let start = end + 2;
        match size {
            Some(size) if size > 0 && rest.len() >= start + size + 2 => {
                body.extend_from_slice(&rest[start..start + size]);
                rest = &rest[start + size + 2..];
            }
            _ => break,
        }
    }
    body
}

#[cfg(test)]
mod tests {
    #[test]
    fn chunks_are_joined() {
        let answer = super::parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcd"));
    }
}
