//! Opens the sockets clients come in by.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use transport::server::Listener;
use transport::tls::TlsAcceptor;

use crate::host::Host;
use crate::log;
use crate::settings::{Group, Settings, Tls};

/// Opens every address; `passed` are the sockets of a service manager.
///
/// # Errors
/// With the address that can't be had, and why.
pub(crate) fn open(
    settings: &Settings,
    default_socket: &Path,
    passed: Vec<OwnedFd>,
) -> Result<Vec<Listener>, String> {
    let tls = acceptor(&settings.tls)?;
    let mut passed: Vec<Option<OwnedFd>> = passed.into_iter().map(Some).collect();
    let mut listeners = Vec::new();
    for host in &settings.hosts {
        match host {
            Host::Unix(path) => {
                let path = path.as_deref().unwrap_or(default_socket);
                let listener =
                    Listener::unix(path, group_id(&settings.group)).map_err(|error| chain(&error))?;
                log::info(&format!("API listen on {}", path.display()));
                listeners.push(listener);
            }
            Host::Tcp(name, port) => listeners.extend(open_tcp(name, *port, &settings.tls, tls.as_ref())?),
            Host::Inherited(number) => {
                let taken = take_passed(&mut passed, *number)?;
                for socket in taken {
                    listeners
                        .push(Listener::from_inherited(socket, tls.clone()).map_err(|error| chain(&error))?);
                }
                log::info("API listen on sockets of the service manager");
            }
        }
    }
    Ok(listeners)
}

fn open_tcp(
    name: &str,
    port: Option<u16>,
    tls: &Tls,
    acceptor: Option<&Arc<TlsAcceptor>>,
) -> Result<Vec<Listener>, String> {
    let addresses = Host::resolve(name, port, acceptor.is_some())
        .map_err(|error| format!("failed to listen on tcp://{name}: {error}"))?;
    let mut listeners = Vec::new();
    for address in addresses {
        check_exposure(tls, acceptor.is_some(), address.ip().is_loopback())
            .map_err(|why| format!("refusing to listen on tcp://{address}: {why}"))?;
        if acceptor.is_none() {
            log::warn(&format!(
                "[DEPRECATION NOTICE]: API is accessible on http://{address} without encryption; \
                 access to the remote API is equivalent to root access on the host"
            ));
        }
        let listener = Listener::tcp(address, acceptor.cloned()).map_err(|error| chain(&error))?;
        let bound = listener.local_address().unwrap_or(address);
        log::info(&format!("API listen on {bound}"));
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Whoever reaches the API is root, so an open port has to be asked for in so many words.
fn check_exposure(tls: &Tls, encrypted: bool, loopback: bool) -> Result<(), &'static str> {
    let authenticated = encrypted && tls.verify == Some(true);
    let insisted = tls.on == Some(false) || tls.verify == Some(false);
    if authenticated || insisted || loopback {
        return Ok(());
    }
    Err("anybody who reaches it would be root on this machine; use --tlsverify with certificates, \
         or insist with --tls=false or --tlsverify=false")
}

fn acceptor(tls: &Tls) -> Result<Option<Arc<TlsAcceptor>>, String> {
    let verify = tls.verify == Some(true);
    if !verify && tls.on != Some(true) {
        return Ok(None);
    }
    let home = Path::new("/root/.docker");
    let or_default =
        |given: &Option<std::path::PathBuf>, name| given.clone().unwrap_or_else(|| home.join(name));
    let (cert, key, ca) =
        (or_default(&tls.cert, "cert.pem"), or_default(&tls.key, "key.pem"), or_default(&tls.ca, "ca.pem"));
    TlsAcceptor::load(&cert, &key, verify.then_some(ca.as_path()))
        .map(|acceptor| Some(Arc::new(acceptor)))
        .map_err(|error| format!("invalid TLS configuration: {}", chain(&error)))
}

fn take_passed(passed: &mut [Option<OwnedFd>], number: Option<usize>) -> Result<Vec<OwnedFd>, String> {
    let taken: Vec<OwnedFd> = match number {
        None => passed.iter_mut().filter_map(Option::take).collect(),
        // As in dockerd, fd://3 is the first one.
        Some(number) => number.checked_sub(3).and_then(|at| passed.get_mut(at)?.take()).into_iter().collect(),
    };
    if taken.is_empty() {
        return Err(
            "no sockets found via socket activation: make sure the service was started by systemd".to_owned()
        );
    }
    Ok(taken)
}

/// The group's number; root's when the usual group isn't there.
fn group_id(group: &Group) -> Option<u32> {
    let (Group::Default(name) | Group::Named(name)) = group;
    let found = name.parse().ok().or_else(|| find_group(&std::fs::read_to_string("/etc/group").ok()?, name));
    if found.is_none() {
        let text = format!("could not change group of the socket to {name}: group {name} not found");
        match group {
            Group::Default(_) => log::debug(&text),
            Group::Named(_) => log::warn(&text),
        }
    }
    found
}

fn find_group(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    model::error::chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ports_have_to_be_asked_for() {
        let tls = |on, verify| Tls { on, verify, ..Tls::default() };
        for (settings, encrypted, loopback, allowed) in [
            (tls(None, None), false, false, false),
            (tls(None, None), false, true, true),
            (tls(Some(false), None), false, false, true),
            (tls(None, Some(false)), false, false, true),
            (tls(None, Some(true)), true, false, true),
            (tls(Some(true), None), true, false, false),
            (tls(Some(true), Some(false)), true, false, true),
        ] {
            assert_eq!(check_exposure(&settings, encrypted, loopback).is_ok(), allowed, "{settings:?}");
        }
    }

    #[test]
    fn groups_are_found_by_name() {
        let file = "root:x:0:\ndocker:x:998:a,b\n";
        assert_eq!(find_group(file, "docker"), Some(998));
        assert_eq!(find_group(file, "dock"), None);
    }
}
