//! Carries published traffic that the kernel cannot translate: IPv6 clients of containers without IPv6, and
//! everything when the firewall is turned off.
//!
//! One thread per listening socket, blocked in accept or receive; it ends when its socket is shut down.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::port::Protocol;

const STACK: usize = 64 * 1024;
const BUFFER: usize = 32 * 1024;
const DATAGRAM: usize = 65_507;
/// How long answers of a container to a silent UDP client are still carried, as docker-proxy has it.
const UDP_IDLE: Duration = Duration::from_secs(90);

/// A running forwarder; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Forwarder {
    socket: OwnedFd,
    stop: Arc<AtomicBool>,
    wake: Option<SocketAddr>,
}

impl Forwarder {
    /// Forwards what arrives at the (listening) socket to the target.
    pub(crate) fn start(socket: OwnedFd, protocol: Protocol, target: SocketAddr) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ours = socket.try_clone()?;
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("port-forwarder".to_owned()).stack_size(STACK * 2);
        let wake = match protocol {
            Protocol::Udp => {
                let socket = UdpSocket::from(socket);
                let wake = socket.local_addr().ok();
                thread.spawn(move || run_udp(&socket, target, &stopped))?;
                wake
            }
            Protocol::Tcp | Protocol::Sctp => {
                thread.spawn(move || run_stream(&TcpListener::from(socket), target, &stopped))?;
                None
            }
        };
        Ok(Self { socket: ours, stop, wake })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Ends a blocked accept at once. A datagram socket is woken by a datagram to itself besides.
        let _ = rustix::net::shutdown(self.socket.as_fd(), rustix::net::Shutdown::Both);
        if let Some(mut address) = self.wake {
            if address.ip().is_unspecified() {
                address.set_ip(match address {
                    SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            let any: SocketAddr =
                if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
            if let Ok(waker) = UdpSocket::bind(any) {
                let _ = waker.send_to(&[], address);
            }
        }
    }
}

fn run_stream(listener: &TcpListener, target: SocketAddr, stop: &AtomicBool) {
    loop {
        match listener.accept() {
            Ok((client, _)) if !stop.load(Ordering::Acquire) => {
                let thread = std::thread::Builder::new().name("port-connection".to_owned()).stack_size(STACK);
                // Without a thread the connection is closed, which the client sees.
                let _ = thread.spawn(move || carry(&client, target));
            }
            Ok(_) => return,
            Err(_) if stop.load(Ordering::Acquire) => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            // Out of descriptors: the waiting connection stays in the queue, so asking again at once would spin.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn carry(client: &TcpStream, target: SocketAddr) {
    let Ok(container) = TcpStream::connect(target) else { return };
    let (Ok(client_reader), Ok(container_writer)) = (client.try_clone(), container.try_clone()) else {
        return;
    };
    let upstream = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || copy_until_end(&client_reader, &container_writer));
    copy_until_end(&container, client);
    if let Ok(upstream) = upstream {
        let _ = upstream.join();
    }
}

fn copy_until_end(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = vec![0u8; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if to.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                    let _ = from.shutdown(Shutdown::Read);
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[derive(Debug)]
struct Client {
    socket: Arc<UdpSocket>,
    last_used: Arc<Mutex<Instant>>,
}

fn run_udp(socket: &UdpSocket, target: SocketAddr, stop: &AtomicBool) {
    let clients: Arc<Mutex<HashMap<SocketAddr, Client>>> = Arc::default();
    let mut buffer = vec![0u8; DATAGRAM];
    loop {
        let received = socket.recv_from(&mut buffer);
        if stop.load(Ordering::Acquire) {
            let all = std::mem::take(&mut *clients.lock().unwrap_or_else(PoisonError::into_inner));
            for client in all.into_values() {
                let _ = rustix::net::shutdown(&*client.socket, rustix::net::Shutdown::Both);
            }
            return;
        }
        let Ok((length, from)) = received else { continue };
        let known = clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&from)
            .map(|client| (Arc::clone(&client.socket), Arc::clone(&client.last_used)));
        let (to_container, last_used) = match known {
            Some(known) => known,
            None => match new_client(socket, target, from, &clients) {
                Ok(made) => made,
                Err(_) => continue,
            },
        };
        *last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        // A refused datagram is lost, as datagrams may be.
        let _ = to_container.send(buffer.get(..length).unwrap_or_default());
    }
}

type Known = (Arc<UdpSocket>, Arc<Mutex<Instant>>);

fn new_client(
    socket: &UdpSocket,
    target: SocketAddr,
    from: SocketAddr,
    clients: &Arc<Mutex<HashMap<SocketAddr, Client>>>,
) -> io::Result<Known> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let to_container = Arc::new(UdpSocket::bind(any)?);
    to_container.connect(target)?;
    to_container.set_read_timeout(Some(UDP_IDLE))?;
    let last_used = Arc::new(Mutex::new(Instant::now()));
    let known: Known = (Arc::clone(&to_container), Arc::clone(&last_used));
    let answers = socket.try_clone()?;
    let table = Arc::clone(clients);
    let reader = (Arc::clone(&to_container), Arc::clone(&last_used));
    std::thread::Builder::new().stack_size(STACK * 2).spawn(move || {
        carry_answers(&reader, &answers, from);
        table.lock().unwrap_or_else(PoisonError::into_inner).remove(&from);
    })?;
    let client = Client { socket: to_container, last_used };
    clients.lock().unwrap_or_else(PoisonError::into_inner).insert(from, client);
    Ok(known)
}

fn carry_answers((container, last_used): &Known, answers: &UdpSocket, to: SocketAddr) {
    let mut buffer = vec![0u8; DATAGRAM];
    loop {
        match container.recv(&mut buffer) {
            Ok(length) if answers.send_to(buffer.get(..length).unwrap_or_default(), to).is_ok() => {
                *last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            Ok(_) => return,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= UDP_IDLE {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}
