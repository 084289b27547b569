//! Engines behind ssh: the program `ssh` runs `docker system dial-stdio` there and carries the bytes.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use super::Socket;

/// Who and where, as arguments for the ssh program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    remote_socket: Option<String>,
}

impl Destination {
    /// Parses what follows `ssh://`: `[user@]host[:port][/path of the socket there]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        let (user, host_port) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err("plain-text password is not supported".to_owned());
            }
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, authority),
        };
        let (host, port) = match host_port.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => {
                (host, Some(port.parse().map_err(|_| format!("invalid port {port:?} after host"))?))
            }
            _ => (host_port, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // A name that starts with a dash would be taken for an option by ssh.
        if host.is_empty()
            || host.starts_with('-')
            || user.as_deref().is_some_and(|user| user.starts_with('-'))
        {
            return Err("no host specified".to_owned());
        }
        let remote_socket = (!path.is_empty()).then(|| format!("unix:///{path}"));
        Ok(Self { user, host: host.to_owned(), port, remote_socket })
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-o".to_owned(), "ConnectTimeout=30".to_owned(), "-T".to_owned()];
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend(["--".to_owned(), self.host.clone(), "docker".to_owned()]);
        if let Some(socket) = &self.remote_socket {
            arguments.extend(["--host".to_owned(), socket.clone()]);
        }
        arguments.extend(["system".to_owned(), "dial-stdio".to_owned()]);
        arguments
    }

    /// Starts ssh with one end of a socket pair as its input and output.
    pub(super) fn connect(&self) -> std::io::Result<Socket> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = OwnedFd::from(theirs.try_clone()?);
        let mut child = Command::new("ssh")
            .args(self.arguments())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .spawn()?;
        std::thread::spawn(move || child.wait());
        Ok(Socket::new(OwnedFd::from(ours)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_become_arguments() {
        for (text, tail) in [
            ("me@box:2222", "-l me -p 2222 -- box docker system dial-stdio"),
            ("box", "-- box docker system dial-stdio"),
            ("box/run/x.sock", "-- box docker --host unix:///run/x.sock system dial-stdio"),
        ] {
            let arguments = Destination::parse(text).unwrap().arguments().join(" ");
            assert!(arguments.ends_with(tail), "{arguments}");
        }
        for text in ["", "a:b@box", "-oProxyCommand=x", "-x@box", "box:port"] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
