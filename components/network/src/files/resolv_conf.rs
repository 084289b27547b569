//! `/etc/resolv.conf` the way Docker 26 writes it.

/// Which kind of network the container is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Default bridge, none: the host's servers without loopback ones, or public ones when none is left.
    Legacy,
    /// `--network host`: the host's file as it is, unless overridden.
    Host,
    /// User-defined networks: the engine's own server at 127.0.0.11.
    Internal,
}

/// What the file is made from.
#[derive(Debug, Clone)]
pub struct ResolvConfRequest<'a> {
    /// The host's file.
    pub host_file: &'a str,
    /// Its path, named in a comment.
    pub host_path: &'a str,
    /// Which kind of network.
    pub resolver: Resolver,
    /// `--dns`, or the engine's; empty means the host's.
    pub servers: &'a [String],
    /// `--dns-search`, or the engine's; `.` alone means none.
    pub search: &'a [String],
    /// `--dns-option`, or the engine's.
    pub options: &'a [String],
    /// Whether IPv6 servers can be reached.
    pub ipv6: bool,
}

/// The file's text.
pub fn generate(request: &ResolvConfRequest<'_>) -> String {
    request.host_file.to_owned()
}
