//! What a client says about its session, in HTTP headers or metadata.

/// The headers a session has.
pub const HEADERS: [&str; 4] = [
    "x-docker-expose-session-uuid",
    "x-docker-expose-session-name",
    "x-docker-expose-session-sharedkey",
    "x-docker-expose-session-grpc-method",
];

/// The header, of any value, of a client that can wait until it is asked: nothing is said on the connection before.
/// Others may hang up when they hear nothing.
pub const WHEN_ASKED: &str = "wharf-session-when-asked";

/// Longest id, name or key, in bytes.
const LONGEST: usize = 1024;
/// Most methods.
const MOST: usize = 256;

/// A session's names and what it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// What builds name it by.
    pub id: String,
    /// For people.
    pub name: String,
    /// The same for all sessions of one folder on one machine: files sent before are kept under it.
    pub shared_key: String,
    /// The methods it serves, each `/package.Service/Method`.
    pub methods: Vec<String>,
}

impl SessionInfo {
    /// Reads headers; names in any case, the last value of a name counts, methods add up. `None` without a usable id.
    pub fn read<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Option<Self> {
        let mut info = Self::default();
        for (name, value) in headers.filter(|(_, value)| value.len() <= LONGEST) {
            match name.to_ascii_lowercase().as_str() {
                "x-docker-expose-session-uuid" => value.clone_into(&mut info.id),
                "x-docker-expose-session-name" => value.clone_into(&mut info.name),
                "x-docker-expose-session-sharedkey" => value.clone_into(&mut info.shared_key),
                "x-docker-expose-session-grpc-method" if info.methods.len() < MOST => {
                    info.methods.push(value.into())
                }
                _ => {}
            }
        }
        (!info.id.is_empty()).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_any_case() {
        let long = "x".repeat(LONGEST + 1);
        let headers = [
            ("X-Docker-Expose-Session-Uuid", "abc"),
            ("x-docker-expose-session-name", "folder"),
            ("X-Docker-Expose-Session-Sharedkey", "key"),
            ("X-Docker-Expose-Session-Grpc-Method", "/a/B"),
            ("X-Docker-Expose-Session-Grpc-Method", "/a/C"),
            ("X-Docker-Expose-Session-Name", long.as_str()),
            ("Host", "x"),
        ];
        let info = SessionInfo::read(headers.into_iter()).expect("a session");
        assert_eq!(
            (info.id.as_str(), info.name.as_str(), info.shared_key.as_str()),
            ("abc", "folder", "key")
        );
        assert_eq!(info.methods, ["/a/B", "/a/C"]);
        assert_eq!(SessionInfo::read(headers[1..].iter().copied()), None);
    }
}
