//! The default bridge with the real kernel: a "host" of its own, containers on it, and a machine outside.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use model::{ContainerId, Filters};
use netlink::route::{RouteSocket, VethRequest, address, link, path};
use network::record::{CreatePool, Subnet};
use network::{
    AttachRequest, Config, CreateNetwork, Endpoint, NetworkManager, Protocol, PublishRequest, Sandbox,
};

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn enter_new_namespace() -> OwnedFd {
    #[expect(deprecated, reason = "a new network namespace has none of the hazards of the other flags")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).expect("root");
    std::fs::File::open("/proc/thread-self/ns/net").expect("procfs").into()
}

fn enter(namespace: BorrowedFd<'_>) {
    rustix::thread::move_into_link_name_space(namespace, Some(rustix::thread::LinkNameSpaceType::Network))
        .expect("setns");
}

/// A machine of its own: namespace, directories, and everything gone at the end.
struct Host {
    root: std::path::PathBuf,
}

impl Host {
    fn config(&self) -> Config {
        let mut config = Config::new(self.root.join("data"), self.root.join("run"));
        config.ready_sandboxes = 2;
        config
    }
}

fn on_a_host(test: impl FnOnce(&Host) + Send + 'static) {
    let finished = std::thread::spawn(|| {
        enter_new_namespace();
        RouteSocket::open().unwrap().execute(&[link::up(1)]).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("wharf-network-{}-{number}", std::process::id()));
        let host = Host { root };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&host)));
        let _ = std::fs::remove_dir_all(&host.root);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    if let Err(panic) = finished.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs something on a thread inside a namespace.
fn inside<T: Send>(namespace: BorrowedFd<'_>, action: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            action()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn request(publish: &[(&str, u16, Protocol)]) -> AttachRequest {
    AttachRequest {
        network: "bridge".to_owned(),
        container: ContainerId::generate(),
        container_name: "box".to_owned(),
        ipv4: None,
        ipv6: None,
        mac: None,
        publish: publish
            .iter()
            .map(|(host, port, protocol)| {
                let (address, range) = host.rsplit_once(':').unwrap_or(("", host));
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                PublishRequest {
                    container_port: *port,
                    protocol: *protocol,
                    host_ip: address.trim_matches(['[', ']']).parse().ok(),
                    host_ports: from.parse().ok().zip(to.parse().ok()),
                }
            })
            .collect(),
        interface_index: 0,
    }
}

/// A container that answers every TCP connection with its name and the caller's address.
struct Container {
    sandbox: Sandbox,
    endpoint: Endpoint,
}

impl Container {
    fn start(manager: &NetworkManager, publish: &[(&str, u16, Protocol)]) -> Self {
        Self::start_with(manager, request(publish))
    }

    fn start_with(manager: &NetworkManager, request: AttachRequest) -> Self {
        let sandbox = manager.take_sandbox().unwrap();
        let endpoint = manager.attach(Some(&sandbox), request).unwrap();
        Self { sandbox, endpoint }
    }

    fn address(&self) -> Ipv4Addr {
        self.endpoint.ipv4.unwrap()
    }

    fn serve_tcp(&self, name: &'static str, port: u16) {
        let listener =
            inside(self.sandbox.namespace(), || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        std::thread::spawn(move || {
            while let Ok((mut client, from)) = listener.accept() {
                let mut word = [0u8; 4];
                if client.read_exact(&mut word).is_err() || &word == b"quit" {
                    return;
                }
                let _ = write!(client, "{name} {}", from.ip());
            }
        });
    }

    fn serve_udp(&self, name: &'static str, port: u16) {
        let socket =
            inside(self.sandbox.namespace(), || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0u8; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if &buffer[..length] == b"quit" {
                    return;
                }
                let _ = socket.send_to(name.as_bytes(), from);
            }
        });
    }
}

const WAIT: Duration = Duration::from_secs(2);

fn ask(address: impl Into<SocketAddr>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.into(), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.write_all(b"name")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn ask_udp(address: SocketAddr) -> std::io::Result<String> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to(b"name", address)?;
    let mut buffer = [0u8; 64];
    let (length, _) = socket.recv_from(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn v4(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Connects another machine to the host: 192.0.2.1 here, 192.0.2.2 there, which routes everything here.
fn outside_machine() -> OwnedFd {
    let mut here = RouteSocket::open().unwrap();
    here.execute(&[link::add_bridge("lan", 1500, None)]).unwrap();
    let lan = here.link_by_name("lan").unwrap().unwrap().index;
    here.execute(&[address::add(lan, Ipv4Addr::new(192, 0, 2, 1).into(), 24)]).unwrap();
    let (namespace, mut there) = std::thread::spawn(|| {
        let namespace = enter_new_namespace();
        (namespace, RouteSocket::open().unwrap())
    })
    .join()
    .unwrap();
    let request = VethRequest {
        name: "lan0",
        peer_name: "eth0",
        peer_namespace: namespace.as_fd(),
        master: lan,
        mtu: 1500,
    };
    here.execute(&[link::add_veth(&request), link::up_by_name("lan0")]).unwrap();
    let eth0 = there.link_by_name("eth0").unwrap().unwrap().index;
    there
        .execute(&[
            link::up(eth0),
            address::add(eth0, Ipv4Addr::new(192, 0, 2, 2).into(), 24),
            path::add_default(eth0, Ipv4Addr::new(192, 0, 2, 1).into()),
        ])
        .unwrap();
    namespace
}

fn eventually(what: &str, test: impl Fn() -> bool) {
    let start = Instant::now();
    while !test() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().expect("nft is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn predefined_networks_are_stable_and_look_like_dockers() {
    on_a_host(|host| {
        let first = NetworkManager::open(host.config()).unwrap();
        let names: Vec<_> = first.list().into_iter().map(|network| network.name).collect();
        assert_eq!(names, ["bridge", "host", "none"]);
        let bridge = first.find("default").unwrap();
        assert_eq!(first.find(bridge.id.short()).unwrap().name, "bridge");
        assert_eq!(bridge.pools[0].subnet.to_string(), "172.17.0.0/16");
        assert_eq!(bridge.pools[0].gateway.unwrap().to_string(), "172.17.0.1");
        let options: Vec<_> = bridge.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            options,
            [
                "com.docker.network.bridge.default_bridge=true",
                "com.docker.network.bridge.enable_icc=true",
                "com.docker.network.bridge.enable_ip_masquerade=true",
                "com.docker.network.bridge.host_binding_ipv4=0.0.0.0",
                "com.docker.network.bridge.name=wharf0",
                "com.docker.network.driver.mtu=1500",
            ]
        );
        assert_eq!(first.find("nothing").unwrap_err().to_string(), "network nothing not found");
        let mut filters = Filters::default();
        filters.add("driver", "null");
        assert_eq!(first.list_filtered(&filters).unwrap()[0].name, "none");
        first.close();
        assert!(!nft(&["list", "tables"]).contains("wharf"));
        assert!(RouteSocket::open().unwrap().link_by_name("wharf0").unwrap().is_none());
        let second = NetworkManager::open(host.config()).unwrap();
        assert_eq!(second.find("bridge").unwrap().id, bridge.id);
        second.close();
    });
}

#[test]
fn containers_reach_each_other_and_get_dockers_addresses() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let one = Container::start(&manager, &[]);
        let two = Container::start(&manager, &[]);
        assert_eq!(one.address(), Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(two.endpoint.mac.unwrap().to_string(), "02:42:ac:11:00:03");
        assert_eq!(one.endpoint.gateway.unwrap().to_string(), "172.17.0.1");
        one.serve_tcp("one", 80);
        let answer = inside(two.sandbox.namespace(), || ask((one.address(), 80)));
        assert_eq!(answer.unwrap(), "one 172.17.0.3");
        assert_eq!(ask((one.address(), 80)).unwrap(), "one 172.17.0.1");
        inside(one.sandbox.namespace(), || {
            let read = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
            assert_eq!(read("/proc/sys/net/ipv4/ip_unprivileged_port_start"), "0");
            assert_eq!(read("/proc/sys/net/ipv4/ping_group_range"), "0\t2147483647");
            assert_eq!(read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
            assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).is_ok());
        });
        manager.release(&one.endpoint);
        let three = Container::start(&manager, &[]);
        assert_eq!(three.address(), Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(manager.endpoints_of(&three.endpoint.network).len(), 2);
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    on_a_host(|host| {
        let outside = outside_machine();
        let manager = NetworkManager::open(host.config()).unwrap();
        let server = Container::start(
            &manager,
            &[
                ("8080", 80, Protocol::Tcp),
                ("127.0.0.1:8081", 80, Protocol::Tcp),
                ("5353", 53, Protocol::Udp),
                ("", 80, Protocol::Tcp),
            ],
        );
        let client = Container::start(&manager, &[]);
        server.serve_tcp("web", 80);
        server.serve_udp("dns", 53);
        let shown: Vec<String> = server
            .endpoint
            .ports
            .iter()
            .map(|port| {
                format!(
                    "{}:{}->{}/{}",
                    port.host_ip,
                    port.host_port,
                    port.container_port,
                    port.protocol.name()
                )
            })
            .collect();
        let random = server.endpoint.ports.last().unwrap().host_port;
        assert_eq!(
            shown[..5],
            [
                "0.0.0.0:5353->53/udp",
                ":::5353->53/udp",
                "0.0.0.0:8080->80/tcp",
                ":::8080->80/tcp",
                "127.0.0.1:8081->80/tcp"
            ]
        );
        assert!(random >= 32768);
        // From the host: loopback, its LAN address, the bridge's address, IPv6 loopback, the random port.
        for from_host in
            ["127.0.0.1:8080", "127.0.0.1:8081", "192.0.2.1:8080", "172.17.0.1:8080", "[::1]:8080"]
        {
            assert!(ask(v4(from_host)).unwrap().starts_with("web "), "{from_host}");
        }
        assert!(ask((Ipv4Addr::LOCALHOST, random)).unwrap().starts_with("web "));
        assert!(ask(v4("192.0.2.1:8081")).is_err());
        assert_eq!(ask_udp(v4("127.0.0.1:5353")).unwrap(), "dns");
        assert_eq!(ask_udp(v4("192.0.2.1:5353")).unwrap(), "dns");
        assert_eq!(ask_udp(v4("[::1]:5353")).unwrap(), "dns");
        // From outside, with the client's own address seen; not by the container's address.
        inside(outside.as_fd(), || {
            assert_eq!(ask(v4("192.0.2.1:8080")).unwrap(), "web 192.0.2.2");
            assert_eq!(ask_udp(v4("192.0.2.1:5353")).unwrap(), "dns");
            assert!(ask((server.address(), 80)).is_err());
        });
        // From a container on the same bridge, and from the server itself.
        for sandbox in [&client.sandbox, &server.sandbox] {
            inside(sandbox.namespace(), || {
                assert!(ask(v4("172.17.0.1:8080")).unwrap().starts_with("web "));
                assert!(ask(v4("192.0.2.1:8080")).unwrap().starts_with("web "));
            });
        }
        // Other programs can't take the ports.
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).is_err());
        assert!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).is_err());
        manager.release(&server.endpoint);
        assert!(ask(v4("127.0.0.1:8080")).is_err());
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).is_ok());
        let text = nft(&["list", "table", "inet", "wharf-wharf0"]);
        assert!(!text.contains("elements"), "{text}");
        manager.release(&client.endpoint);
        manager.close();
    });
}

#[test]
fn taken_ports_are_refused_with_dockers_words_and_leave_nothing() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let first = Container::start(&manager, &[("8080-8081", 80, Protocol::Tcp)]);
        let second = Container::start(&manager, &[("8080-8081", 80, Protocol::Tcp)]);
        assert_eq!(first.endpoint.ports[0].host_port, 8080);
        assert_eq!(second.endpoint.ports[0].host_port, 8081);
        let _foreign = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 9090)).unwrap();
        for (port, reason) in [
            ("8080", "Bind for 0.0.0.0:8080 failed: port is already allocated"),
            ("9090", "Error starting userland proxy: listen tcp4 0.0.0.0:9090: bind: address already in use"),
        ] {
            let sandbox = manager.take_sandbox().unwrap();
            let wanted = request(&[("7070", 70, Protocol::Udp), (port, 80, Protocol::Tcp)]);
            let error = manager.attach(Some(&sandbox), wanted).unwrap_err();
            let text = model::error::chain(&error);
            assert!(
                text.starts_with("driver failed programming external connectivity on endpoint box ("),
                "{text}"
            );
            assert!(text.ends_with(&format!("): {reason}")), "{text}");
            assert!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7070)).is_ok());
        }
        let third = Container::start(&manager, &[]);
        assert_eq!(third.address(), Ipv4Addr::new(172, 17, 0, 4));
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn rules_come_back_after_a_flush() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let server = Container::start(&manager, &[("8080", 80, Protocol::Tcp)]);
        server.serve_tcp("web", 80);
        let before = nft(&["list", "ruleset"]);
        assert!(before.contains("tcp . 8080 : 172.17.0.2 . 80"), "{before}");
        for damage in [
            &["flush", "ruleset"][..],
            &["flush", "table", "inet", "wharf-wharf0"],
            &["delete", "element", "inet", "wharf-wharf0", "published-4", "{", "tcp", ".", "8080", "}"],
        ] {
            nft(damage);
            eventually("the rules come back", || nft(&["list", "ruleset"]) == before);
            assert_eq!(ask(v4("127.0.0.1:8080")).unwrap(), "web 172.17.0.1");
        }
        manager.retain(&[]);
        manager.close();
    });
}

const FOREIGN: &str = "table ip filter { chain DOCKER-USER { counter return; }\n chain FORWARD { type filter hook \
                       forward priority 0; policy drop; counter jump DOCKER-USER; }\n }";

#[test]
fn a_foreign_forward_drop_policy_is_passed_and_left_as_it_was() {
    on_a_host(|host| {
        let outside = outside_machine();
        let manager = NetworkManager::open(host.config()).unwrap();
        let server = Container::start(&manager, &[("8080", 80, Protocol::Tcp)]);
        server.serve_tcp("web", 80);
        // The other engine comes later: the monitor sees it.
        nft(&[FOREIGN]);
        eventually("accept rules appear", || {
            nft(&["list", "table", "ip", "filter"]).contains("wharf-wharf0")
        });
        let listener = inside(outside.as_fd(), || TcpListener::bind("192.0.2.2:700").unwrap());
        std::thread::spawn(move || {
            let (mut client, from) = listener.accept().unwrap();
            let _ = client.read_exact(&mut [0u8; 4]);
            let _ = write!(client, "outside {}", from.ip());
        });
        let answer = inside(server.sandbox.namespace(), || ask(v4("192.0.2.2:700")));
        assert_eq!(answer.unwrap(), "outside 192.0.2.1");
        let answer = inside(outside.as_fd(), || ask(v4("192.0.2.1:8080")));
        assert_eq!(answer.unwrap(), "web 192.0.2.2");
        let text = nft(&["list", "chain", "ip", "filter", "FORWARD"]);
        assert!(text.find("jump DOCKER-USER").unwrap() < text.find("wharf0").unwrap(), "{text}");
        manager.retain(&[]);
        manager.close();
        assert!(!nft(&["list", "ruleset"]).contains("wharf"));
    });
}

#[test]
fn a_killed_engine_leaves_ports_working_and_its_successor_takes_over() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let kept = Container::start(&manager, &[("8080", 80, Protocol::Tcp)]);
        let lost = Container::start(&manager, &[("8081", 81, Protocol::Tcp)]);
        kept.serve_tcp("kept", 80);
        // What kill -9 leaves: files and rules, but no sockets, threads or memory. Endpoints live, so nothing is removed.
        manager.close();
        drop(manager);
        assert!(ask(v4("127.0.0.1:8080")).unwrap().starts_with("kept"));
        let next = NetworkManager::open(host.config()).unwrap();
        next.retain(std::slice::from_ref(&kept.endpoint.container));
        assert!(ask(v4("127.0.0.1:8080")).unwrap().starts_with("kept"));
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).is_err());
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8081)).is_ok());
        let adopted = next.endpoints_of_container(&kept.endpoint.container);
        assert_eq!(adopted, std::slice::from_ref(&kept.endpoint));
        let fresh = Container::start(&next, &[]);
        assert_eq!(fresh.address(), lost.address());
        next.retain(&[]);
        next.close();
    });
}

#[test]
fn loopback_addresses_of_the_host_are_out_of_containers_reach() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let attacker = Container::start(&manager, &[]);
        let secret = TcpListener::bind("127.0.0.1:6000").unwrap();
        secret.set_nonblocking(true).unwrap();
        inside(attacker.sandbox.namespace(), || {
            std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").unwrap();
            let mut routes = RouteSocket::open().unwrap();
            let lo = routes.addresses().unwrap().into_iter().find(|own| own.link == 1).unwrap();
            routes.execute(&[link::down(1), address::delete(1, lo.address, lo.prefix)]).ok();
            let eth0 = routes.link_by_name("eth0").unwrap().unwrap().index;
            routes.execute(&[path::add_direct(eth0, Ipv4Addr::new(127, 0, 0, 0).into(), 8)]).ok();
            assert!(TcpStream::connect_timeout(&v4("127.0.0.1:6000"), Duration::from_millis(300)).is_err());
        });
        assert!(secret.accept().is_err());
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn containers_of_one_network_do_not_see_another() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let subnet = "172.18.0.0/16".parse().ok();
        let wish = CreateNetwork {
            name: "back".to_owned(),
            pools: vec![CreatePool { subnet, ..CreatePool::default() }],
            ..CreateNetwork::default()
        };
        let made = manager.create(wish.clone()).unwrap();
        assert_eq!(manager.create(wish).unwrap_err().to_string(), "network with name back already exists");
        let front = Container::start(&manager, &[]);
        let wanted = AttachRequest {
            network: "back".to_owned(),
            ipv4: Some(Ipv4Addr::new(172, 18, 0, 9)),
            ..request(&[("8080", 80, Protocol::Tcp)])
        };
        let sandbox = manager.take_bare_sandbox().unwrap();
        let endpoint = manager.attach(Some(&sandbox), wanted).unwrap();
        let back = Container { sandbox, endpoint };
        assert_eq!(back.address(), Ipv4Addr::new(172, 18, 0, 9));
        back.serve_tcp("back", 80);
        assert_eq!(ask(v4("127.0.0.1:8080")).unwrap(), "back 172.18.0.1");
        inside(front.sandbox.namespace(), || assert!(ask((back.address(), 80)).is_err()));
        let refused = manager.remove("back").unwrap_err().to_string();
        assert!(refused.starts_with("error while removing network: network back id "), "{refused}");
        assert_eq!(
            manager.remove("bridge").unwrap_err().to_string(),
            "bridge is a pre-defined network and cannot be removed"
        );
        manager.release(&back.endpoint);
        manager.remove("back").unwrap();
        let name = format!("br-{}", made.id.short());
        assert!(RouteSocket::open().unwrap().link_by_name(&name).unwrap().is_none());
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn without_inter_container_traffic_only_published_ports_work() {
    on_a_host(|host| {
        let mut config = host.config();
        config.inter_container = false;
        config.bip = Some((Ipv4Addr::new(10, 9, 0, 1), 24));
        config.fixed_cidr = Some("10.9.0.128/25".parse::<Subnet>().unwrap());
        config.bridge = Some("other0".to_owned());
        let manager = NetworkManager::open(config).unwrap();
        let server = Container::start(&manager, &[("8080", 80, Protocol::Tcp)]);
        assert_eq!(server.address(), Ipv4Addr::new(10, 9, 0, 128));
        let client = Container::start(&manager, &[]);
        server.serve_tcp("web", 80);
        inside(client.sandbox.namespace(), || {
            assert!(ask((server.address(), 80)).is_err());
            assert!(ask(v4("10.9.0.1:8080")).unwrap().starts_with("web"));
        });
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn many_sandboxes_are_taken_at_once() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let start = Instant::now();
        let containers: Vec<Container> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|number: u16| {
                    let manager = &manager;
                    scope.spawn(move || {
                        let port = (20000 + number).to_string();
                        Container::start(manager, &[(&port, 80, Protocol::Tcp)])
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        eprintln!("50 sandboxes with a published port each: {:?}", start.elapsed());
        let addresses: std::collections::BTreeSet<_> = containers.iter().map(Container::address).collect();
        assert_eq!(addresses.len(), 50);
        manager.retain(&[]);
        manager.close();
    });
}

#[test]
fn creating_networks_is_refused_with_dockers_words() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let pool = |subnet: &str| CreatePool { subnet: subnet.parse().ok(), ..CreatePool::default() };
        let wish = |name: &str, driver: &str, pools: Vec<CreatePool>| CreateNetwork {
            name: name.to_owned(),
            driver: driver.to_owned(),
            pools,
            ..CreateNetwork::default()
        };
        let gateway = CreatePool { gateway: "10.78.0.1".parse().ok(), ..pool("10.77.0.0/24") };
        let range = CreatePool { range: "10.78.0.0/25".parse().ok(), ..pool("10.77.0.0/24") };
        for (wish, text) in [
            (wish("bridge", "", vec![]), "operation is not permitted on predefined bridge network "),
            (wish("", "", vec![]), "invalid name: "),
            (wish("x", "foo", vec![]), "plugin \"foo\" not found"),
            (wish("x", "null", vec![]), "only one instance of \"null\" network is allowed"),
            (
                wish("x", "", vec![pool("172.17.9.0/24")]),
                "Pool overlaps with other one on this address space",
            ),
            (
                wish("x", "", vec![gateway]),
                "invalid network config:\ninvalid gateway 10.78.0.1: parent subnet 10.77.0.0/24 doesn't contain this \
                 address",
            ),
            (
                wish("x", "", vec![range]),
                "invalid network config:\ninvalid ip-range 10.78.0.0/25: parent subnet 10.77.0.0/24 doesn't contain \
                 ip-range",
            ),
            (
                wish("x", "", vec![pool("10.77.0.5/24")]),
                "invalid network config:\ninvalid subnet 10.77.0.5/24: it should be 10.77.0.0/24",
            ),
            (
                CreateNetwork { ipv6: true, ..wish("x", "", vec![]) },
                "could not find an available, non-overlapping IPv6 address pool among the defaults to assign to the \
                 network",
            ),
        ] {
            assert_eq!(manager.create(wish).unwrap_err().to_string(), text);
        }
        let ranged = CreatePool { range: "10.77.0.128/25".parse().ok(), ..pool("10.77.0.0/24") };
        let made = manager.create(wish("x", "", vec![ranged])).unwrap();
        assert_eq!(made.pools[0].gateway, None);
        let sandbox = manager.take_bare_sandbox().unwrap();
        let wanted = AttachRequest { network: "x".to_owned(), ..request(&[]) };
        let endpoint = manager.attach(Some(&sandbox), wanted.clone()).unwrap();
        assert_eq!(endpoint.gateway.unwrap().to_string(), "10.77.0.128");
        assert_eq!(endpoint.ipv4.unwrap().to_string(), "10.77.0.129");
        let again = manager.attach(Some(&sandbox), wanted).unwrap_err().to_string();
        assert_eq!(again, "endpoint with name box already exists in network x");
        manager.retain(&[]);
        assert_eq!(manager.prune(&Filters::default(), None, &|_| false).unwrap(), ["x"]);
        let refused = AttachRequest { ipv4: "172.17.0.9".parse().ok(), ..request(&[]) };
        assert_eq!(
            manager.attach(Some(&sandbox), refused).unwrap_err().to_string(),
            "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on \
             user defined networks only"
        );
        manager.close();
    });
}

/// Addresses documentation reserves, for a machine outside and its route here.
fn give_ipv6(outside: BorrowedFd<'_>) {
    let mut here = RouteSocket::open().unwrap();
    let lan = here.link_by_name("lan").unwrap().unwrap().index;
    here.execute(&[address::add(lan, "2001:db8:1::1".parse().unwrap(), 64)]).unwrap();
    inside(outside, || {
        let mut there = RouteSocket::open().unwrap();
        let eth0 = there.link_by_name("eth0").unwrap().unwrap().index;
        there
            .execute(&[
                address::add(eth0, "2001:db8:1::2".parse().unwrap(), 64),
                path::add_default(eth0, "2001:db8:1::1".parse().unwrap()),
            ])
            .unwrap();
    });
}

#[test]
fn ipv6_is_translated_by_the_kernel_too() {
    on_a_host(|host| {
        let outside = outside_machine();
        give_ipv6(outside.as_fd());
        let mut config = host.config();
        config.ipv6 = true;
        config.fixed_cidr_v6 = Some("fd00:77::/64".parse().unwrap());
        let manager = NetworkManager::open(config).unwrap();
        let server =
            Container::start(&manager, &[("8080", 80, Protocol::Tcp), ("[::1]:8082", 80, Protocol::Tcp)]);
        assert_eq!(server.endpoint.ipv6.unwrap().to_string(), "fd00:77::242:ac11:2");
        assert_eq!(server.endpoint.gateway_v6.unwrap().to_string(), "fd00:77::1");
        let rules = nft(&["list", "ruleset"]);
        assert!(rules.contains("iifname \"wharf0\" icmpv6 type nd-router-advert drop"), "{rules}");
        let listener = inside(server.sandbox.namespace(), || TcpListener::bind("[::]:80").unwrap());
        std::thread::spawn(move || {
            while let Ok((mut client, from)) = listener.accept() {
                let _ = client.read_exact(&mut [0u8; 4]);
                let _ = write!(client, "six {}", from.ip());
            }
        });
        let answer = inside(outside.as_fd(), || ask(v4("[2001:db8:1::1]:8080")));
        assert_eq!(answer.unwrap(), "six 2001:db8:1::2");
        assert!(inside(outside.as_fd(), || ask(v4("[fd00:77::242:ac11:2]:80"))).is_err());
        assert!(ask(v4("[2001:db8:1::1]:8080")).unwrap().starts_with("six "));
        assert!(ask(v4("127.0.0.1:8080")).unwrap().starts_with("six "));
        assert!(ask(v4("[::1]:8080")).unwrap().starts_with("six "), "loopback");
        assert!(ask(v4("[::1]:8082")).unwrap().starts_with("six "), "loopback only");
        manager.retain(&[]);
        manager.close();
        assert!(!nft(&["list", "tables"]).contains("wharf"));
    });
}

#[test]
fn without_a_firewall_forwarders_publish_ports() {
    on_a_host(|host| {
        let mut config = host.config();
        config.firewall = false;
        let manager = NetworkManager::open(config).unwrap();
        let server = Container::start(&manager, &[("8080", 80, Protocol::Tcp), ("5353", 53, Protocol::Udp)]);
        server.serve_tcp("web", 80);
        server.serve_udp("dns", 53);
        assert_eq!(ask(v4("127.0.0.1:8080")).unwrap(), "web 172.17.0.1");
        assert_eq!(ask_udp(v4("127.0.0.1:5353")).unwrap(), "dns");
        assert!(!nft(&["list", "ruleset"]).contains("wharf"));
        manager.retain(&[]);
        eventually("the ports are free", || TcpListener::bind("0.0.0.0:8080").is_ok());
        eventually("the ports are free", || UdpSocket::bind("0.0.0.0:5353").is_ok());
        manager.close();
    });
}

const REFERENCE: &str = "/work/shared/tools/reference-engine";

#[test]
fn iptables_still_understands_its_own_table() {
    if !std::path::Path::new(REFERENCE).exists() {
        eprintln!("skipped: no iptables-nft in {REFERENCE}");
        return;
    }
    on_a_host(|host| {
        let iptables = |arguments: &[&str]| {
            let output = Command::new(REFERENCE).args(["run", "iptables"]).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        iptables(&["-P", "FORWARD", "DROP"]);
        iptables(&["-A", "FORWARD", "-i", "other0", "-j", "ACCEPT"]);
        let manager = NetworkManager::open(host.config()).unwrap();
        let rules = iptables(&["-S", "FORWARD"]);
        assert!(rules.contains("-A FORWARD -i wharf0"), "{rules}");
        assert!(rules.contains("-A FORWARD -o wharf0"), "{rules}");
        iptables(&["-F", "FORWARD"]);
        eventually("accept rules come back", || iptables(&["-S", "FORWARD"]).contains("-o wharf0"));
        manager.close();
        assert_eq!(iptables(&["-S", "FORWARD"]), "-P FORWARD DROP\n");
    });
}

/// Processor time of this process in clock ticks (10 ms).
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
#[ignore = "a measurement, run alone: cargo test -p network costs -- --ignored --nocapture"]
fn costs() {
    on_a_host(|host| {
        for _ in 0..3 {
            let at = Instant::now();
            let manager = NetworkManager::open(host.config()).unwrap();
            let opening = at.elapsed();
            let kept = Container::start(&manager, &[("8079", 80, Protocol::Tcp)]);
            manager.close();
            let at = Instant::now();
            let again = NetworkManager::open(host.config()).unwrap();
            let reopening = at.elapsed();
            again.release(&kept.endpoint);
            again.retain(&[]);
            let at = Instant::now();
            again.close();
            eprintln!("open {opening:?} open again {reopening:?} close {:?} each", at.elapsed());
        }
        let manager = NetworkManager::open(host.config()).unwrap();
        for (what, publish) in [("plain", &[][..]), ("published", &[("8080", 80, Protocol::Tcp)][..])] {
            let (start, before) = (Instant::now(), ticks());
            let (mut taking, mut attaching, mut releasing) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            for _ in 0..300 {
                // As commands come one by one; the pool is full again.
                std::thread::sleep(Duration::from_millis(5));
                let at = Instant::now();
                let sandbox = manager.take_sandbox().unwrap();
                taking += at.elapsed();
                let at = Instant::now();
                let endpoint = manager.attach(Some(&sandbox), request(publish)).unwrap();
                attaching += at.elapsed();
                let at = Instant::now();
                manager.release(&endpoint);
                releasing += at.elapsed();
            }
            eprintln!(
                "{what}: {:?} and {} us processor time each; take {:?} attach {:?} release {:?}",
                start.elapsed() / 300,
                (ticks() - before) * 10_000 / 300,
                taking / 300,
                attaching / 300,
                releasing / 300
            );
        }
        manager.close();
    });
}

#[test]
fn a_bridge_made_by_a_person_is_used_and_left() {
    on_a_host(|host| {
        let mut routes = RouteSocket::open().unwrap();
        routes.execute(&[link::add_bridge("mine", 1500, None)]).unwrap();
        let index = routes.link_by_name("mine").unwrap().unwrap().index;
        routes.execute(&[address::add(index, Ipv4Addr::new(10, 8, 0, 3).into(), 24)]).unwrap();
        let mut config = host.config();
        config.bridge = Some("mine".to_owned());
        let manager = NetworkManager::open(config).unwrap();
        let container = Container::start(&manager, &[]);
        assert_eq!(container.address(), Ipv4Addr::new(10, 8, 0, 1));
        assert_eq!(container.endpoint.gateway.unwrap().to_string(), "10.8.0.3");
        manager.retain(&[]);
        manager.close();
        assert!(routes.link_by_name("mine").unwrap().is_some());
    });
}

/// Beside whatever else this machine runs (another engine with a forward-drop policy, say): out, in, and nothing left.
#[test]
#[ignore = "uses the machine's own namespace"]
fn on_the_machine_itself() {
    let root = std::env::temp_dir().join(format!("wharf-network-machine-{}", std::process::id()));
    let before = nft(&["list", "ruleset"]);
    let mut config = Config::new(root.join("data"), root.join("run"));
    config.bridge = Some("wharfnt0".to_owned());
    config.bip = Some((Ipv4Addr::new(10, 231, 0, 1), 24));
    let manager = NetworkManager::open(config).unwrap();
    let server = Container::start(&manager, &[("48080", 80, Protocol::Tcp)]);
    server.serve_tcp("web", 80);
    assert_eq!(ask(v4("127.0.0.1:48080")).unwrap(), "web 10.231.0.1");
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    let resolver =
        resolver.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap().trim().to_owned();
    let answer = inside(server.sandbox.namespace(), || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";
        socket.send_to(query, format!("{resolver}:53")).unwrap();
        socket.recv_from(&mut [0u8; 512]).map(|(length, _)| length)
    });
    eprintln!("{:?} {}", manager.warnings(), nft(&["list", "chain", "ip", "filter", "FORWARD"]));
    manager.retain(&[]);
    manager.close();
    std::fs::remove_dir_all(&root).unwrap();
    assert!(answer.unwrap() > 12);
    let after = nft(&["list", "ruleset"]);
    assert!(!after.contains("wharfnt0"), "{before}\n{after}");
}

#[test]
fn a_running_container_is_connected_and_disconnected() {
    on_a_host(|host| {
        let manager = NetworkManager::open(host.config()).unwrap();
        let container = Container::start(&manager, &[]);
        manager.create(CreateNetwork { name: "back".to_owned(), ..CreateNetwork::default() }).unwrap();
        let namespace = container.sandbox.duplicate_namespace().unwrap();
        let running = Sandbox::adopt(namespace).unwrap();
        let wanted = AttachRequest {
            network: "back".to_owned(),
            container: container.endpoint.container.clone(),
            interface_index: 1,
            ..request(&[])
        };
        let second = manager.attach(Some(&running), wanted).unwrap();
        assert_eq!(
            (second.interface.as_str(), second.ipv4.unwrap().to_string().as_str()),
            ("eth1", "172.18.0.2")
        );
        let listener = TcpListener::bind("172.18.0.1:700").unwrap();
        inside(container.sandbox.namespace(), || {
            assert!(TcpStream::connect_timeout(&v4("172.18.0.1:700"), WAIT).is_ok());
        });
        drop(listener);
        let interfaces = |sandbox: &Sandbox| {
            inside(sandbox.namespace(), || RouteSocket::open().unwrap().links().unwrap().len())
        };
        assert_eq!(interfaces(&container.sandbox), 3);
        assert_eq!(manager.endpoints_of_container(&container.endpoint.container).len(), 2);
        manager.disconnect(&second);
        assert_eq!(interfaces(&container.sandbox), 2);
        manager.rename_container(&container.endpoint.container, "other");
        let released = manager.release_container(&container.endpoint.container);
        assert_eq!(released.len(), 1);
        assert_eq!(released[0].container_name, "other");
        let host_only = AttachRequest { network: "host".to_owned(), ..request(&[("80", 80, Protocol::Tcp)]) };
        let endpoint = manager.attach(None, host_only).unwrap();
        assert_eq!((endpoint.ipv4, endpoint.ports.len()), (None, 0));
        manager.release(&endpoint);
        manager.remove("back").unwrap();
        manager.close();
    });
}
