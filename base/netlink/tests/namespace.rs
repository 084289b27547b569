//! The encoders against the real kernel, in namespaces of their own.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use netlink::conntrack::ConntrackSocket;
use netlink::nft::expression::{
    Base, Comparison, Flow, Meta, STATE_ESTABLISHED, STATE_RELATED, STATUS_DESTINATION_TRANSLATED,
};
use netlink::nft::read::Change;
use netlink::nft::set::{Value, Values};
use netlink::nft::{
    BaseChain, Chain, ChainKind, DataType, Element, Expression, Family, Hook, NftMonitor, NftSocket, Place,
    Register, Rule, Set, Transaction, Verdict,
};
use netlink::route::{RouteSocket, VethRequest, address, link, path};

fn enter_new_namespace() -> OwnedFd {
    #[expect(deprecated, reason = "a new network namespace has none of the hazards of the other flags")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).expect("root");
    std::fs::File::open("/proc/thread-self/ns/net").expect("procfs").into()
}

fn in_namespace(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(|| {
        enter_new_namespace();
        test();
    })
    .join()
    .expect("test thread");
}

#[test]
fn interfaces_addresses_and_routes_are_made_and_found() {
    in_namespace(|| {
        let mut host = RouteSocket::open().unwrap();
        host.execute(&[link::add_bridge("br0", 1400, Some([2, 0x42, 1, 2, 3, 4]))]).unwrap();
        let bridge = host.link_by_name("br0").unwrap().unwrap();
        assert_eq!((bridge.kind.as_deref(), bridge.up, bridge.mtu), (Some("bridge"), true, 1400));
        assert_eq!(bridge.address, [2, 0x42, 1, 2, 3, 4]);
        let (namespace, mut inside) = std::thread::spawn(|| {
            let namespace = enter_new_namespace();
            (namespace, RouteSocket::open().unwrap())
        })
        .join()
        .unwrap();
        let request = VethRequest {
            name: "veth0",
            peer_name: "eth0",
            peer_namespace: namespace.as_fd(),
            master: bridge.index,
            mtu: 1400,
        };
        host.execute(&[link::add_veth(&request), link::quiet("veth0"), link::up_by_name("veth0")]).unwrap();
        let eth0 = inside.link_by_name("eth0").unwrap().unwrap();
        let gateway = IpAddr::from([10, 1, 0, 1]);
        inside
            .execute(&[
                link::set_address(eth0.index, [2, 0x42, 10, 1, 0, 2]),
                link::up(eth0.index),
                address::add(eth0.index, IpAddr::from([10, 1, 0, 2]), 16),
                path::add_default(eth0.index, gateway),
            ])
            .unwrap();
        let veth = host.links().unwrap().into_iter().find(|link| link.name == "veth0").unwrap();
        assert_eq!((veth.master, veth.up), (Some(bridge.index), true));
        let found = inside.addresses().unwrap().into_iter().find(|found| found.link == eth0.index).unwrap();
        assert_eq!((found.address, found.prefix), (IpAddr::from([10, 1, 0, 2]), 16));
        assert!(inside.routes().unwrap().iter().any(|route| route.gateway == Some(gateway)));
        assert!(!inside.rules(false).unwrap().is_empty());
        let error = inside.execute(&[address::add(eth0.index, IpAddr::from([10, 1, 0, 2]), 16)]).unwrap_err();
        assert_eq!(error.errno(), Some(rustix::io::Errno::EXIST));
        assert_eq!(host.link_by_name("nothing").unwrap(), None);
        let error =
            inside.execute(&[path::add_default(eth0.index, IpAddr::from([10, 9, 9, 9]))]).unwrap_err();
        assert!(error.to_string().ends_with(": Nexthop has invalid gateway"), "{error}");
    });
}

fn register(number: u8) -> Register {
    Register(number)
}

fn lookup_and_translate() -> Rule {
    Rule::new(vec![
        Expression::Meta { key: Meta::NetworkProtocol, to: register(0) },
        Expression::Compare { from: register(0), comparison: Comparison::Equal, with: vec![2] },
        Expression::Meta { key: Meta::TransportProtocol, to: register(0) },
        Expression::Payload { base: Base::Transport, offset: 2, length: 2, to: register(1) },
        Expression::Lookup { set: "ports".into(), from: register(0), to: Some(register(4)), inverted: false },
        Expression::TranslateDestination { family: 2, address: register(4), port: Some(register(5)) },
    ])
}

fn accept_answers() -> Rule {
    let bits = STATE_ESTABLISHED | STATE_RELATED;
    Rule::new(vec![
        Expression::Flow { key: Flow::State, to: register(0) },
        Expression::Bitwise {
            from: register(0),
            to: register(0),
            mask: bits.to_ne_bytes().to_vec(),
            xor: vec![0; 4],
        },
        Expression::Compare { from: register(0), comparison: Comparison::NotEqual, with: vec![0; 4] },
        Expression::Counter,
        Expression::Verdict(Verdict::Accept),
    ])
    .comment("answers")
}

fn accept_translated() -> Rule {
    Rule::new(vec![
        Expression::Flow { key: Flow::Status, to: register(0) },
        Expression::Bitwise {
            from: register(0),
            to: register(0),
            mask: STATUS_DESTINATION_TRANSLATED.to_ne_bytes().to_vec(),
            xor: vec![0; 4],
        },
        Expression::Compare { from: register(0), comparison: Comparison::NotEqual, with: vec![0; 4] },
        Expression::Verdict(Verdict::Goto("more".into())),
    ])
}

fn local_destination() -> Rule {
    Rule::new(vec![
        Expression::DestinationKind { to: register(0) },
        Expression::Compare {
            from: register(0),
            comparison: Comparison::Equal,
            with: netlink::nft::expression::ADDRESS_LOCAL.to_ne_bytes().to_vec(),
        },
        Expression::Verdict(Verdict::Jump("more".into())),
    ])
}

fn whole_table() -> Transaction {
    let base = |kind, hook, priority| Some(BaseChain { kind, hook, priority, drop: false });
    let mut transaction = Transaction::new();
    let (family, table) = (Family::Inet, "t");
    transaction.add_table(family, table);
    transaction.add_set(
        family,
        table,
        &Set {
            name: "ports",
            key: &[DataType::InetProtocol, DataType::InetService],
            values: Values::Data(&[DataType::Ipv4Address, DataType::InetService]),
        },
    );
    transaction.add_set(
        family,
        table,
        &Set { name: "bridges", key: &[DataType::InterfaceName], values: Values::Verdicts },
    );
    transaction.add_chain(family, table, &Chain { name: "more", base: None });
    for (name, kind, hook, priority) in [
        ("prerouting", ChainKind::Nat, Hook::Prerouting, -100),
        ("forward", ChainKind::Filter, Hook::Forward, 0),
        ("postrouting", ChainKind::Nat, Hook::Postrouting, 100),
    ] {
        transaction.add_chain(family, table, &Chain { name, base: base(kind, hook, priority) });
    }
    transaction.add_rule(family, table, "prerouting", &lookup_and_translate());
    transaction.add_rule(family, table, "forward", &accept_answers());
    transaction.add_rule(family, table, "forward", &accept_translated());
    transaction.add_rule(family, table, "forward", &local_destination());
    transaction.add_rule(
        family,
        table,
        "forward",
        &Rule::new(vec![
            Expression::Meta { key: Meta::OutputName, to: register(0) },
            Expression::LookupVerdict { set: "bridges".into(), from: register(0) },
        ]),
    );
    transaction.add_rule(family, table, "postrouting", &Rule::new(vec![Expression::Masquerade]));
    transaction
}

fn port_element() -> Element {
    Element { key: vec![6, 0, 0, 0, 0x1f, 0x90, 0, 0], value: Value::Data(vec![172, 17, 0, 2, 0, 80, 0, 0]) }
}

fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().expect("nft is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rules_read_as_the_nft_program_would_write_them() {
    in_namespace(|| {
        let mut socket = NftSocket::open().unwrap();
        let mut monitor = NftMonitor::open().unwrap();
        socket.commit(whole_table()).unwrap();
        let mut change = Transaction::new();
        change.add_elements(Family::Inet, "t", "ports", &[port_element()]);
        let mut name = b"wharf0".to_vec();
        name.resize(16, 0);
        change.add_elements(
            Family::Inet,
            "t",
            "bridges",
            &[Element { key: name, value: Value::Verdict(Verdict::Jump("more".into())) }],
        );
        socket.commit(change).unwrap();
        let text = nft(&["-y", "list", "table", "inet", "t"]);
        for expected in [
            "type inet_proto . inet_service : ipv4_addr . inet_service",
            "elements = { tcp . 8080 : 172.17.0.2 . 80 }",
            "elements = { \"wharf0\" : jump more }",
            "type nat hook prerouting priority -100; policy accept;",
            "dnat ip to meta l4proto . th dport map @ports",
            "ct state established,related counter packets 0 bytes 0 accept comment \"answers\"",
            "ct status dnat goto more",
            "fib daddr type local jump more",
            "oifname vmap @bridges",
            "masquerade",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        assert_eq!(socket.elements(Family::Inet, "t", "ports").unwrap(), [port_element()]);
        let rules = socket.rules(Family::Inet, "t", "forward").unwrap();
        assert_eq!(rules.len(), 4);
        assert_eq!(rules[0].comment.as_deref(), Some("answers"));
        assert_eq!(rules[1].jump.as_deref(), Some("more"));
        let chains = socket.chains(Family::Inet).unwrap();
        let forward = chains.iter().find(|chain| chain.name == "forward").unwrap();
        assert_eq!((forward.hook, forward.priority, forward.drop), (Some(2), 0, false));
        let mut generations = 0;
        while generations < 2 {
            let all = monitor
                .wait(|notification| {
                    generations += usize::from(matches!(notification.change, Change::Generation { .. }));
                })
                .unwrap();
            assert!(all);
        }
    });
}

#[test]
fn transactions_happen_wholly_or_not_at_all() {
    in_namespace(|| {
        let mut socket = NftSocket::open().unwrap();
        let generation = socket.generation().unwrap();
        socket.commit(whole_table()).unwrap();
        let mut bad = Transaction::new();
        bad.add_elements(Family::Inet, "t", "ports", &[port_element()]);
        bad.add_chain(Family::Inet, "t", &Chain { name: "other", base: None });
        bad.add_rule(Family::Inet, "t", "missing", &Rule::default());
        let error = socket.commit(bad).unwrap_err();
        assert_eq!(error.errno(), Some(rustix::io::Errno::NOENT), "{error}");
        assert!(socket.elements(Family::Inet, "t", "ports").unwrap().is_empty());
        let mut stale = Transaction::new();
        stale.expect_generation(generation);
        stale.delete_table(Family::Inet, "t");
        assert!(socket.commit(stale).is_err());
        assert_eq!(socket.tables(Family::Inet).unwrap(), ["t"]);
        let mut placed = Transaction::new();
        let first = socket.rules(Family::Inet, "t", "forward").unwrap()[0].handle;
        placed.insert_rule(
            Family::Inet,
            "t",
            "forward",
            &Rule::default().comment("second"),
            Place::After(first),
        );
        placed.insert_rule(Family::Inet, "t", "forward", &Rule::default().comment("zeroth"), Place::First);
        socket.commit(placed).unwrap();
        let rules = socket.rules(Family::Inet, "t", "forward").unwrap();
        let comments: Vec<_> = rules.iter().map(|rule| rule.comment.as_deref().unwrap_or("")).collect();
        assert_eq!(comments, ["zeroth", "answers", "second", "", "", ""]);
        let mut end = Transaction::new();
        end.delete_rule(Family::Inet, "t", "forward", rules[0].handle);
        end.delete_elements(Family::Inet, "t", "ports", &[]);
        end.delete_table(Family::Inet, "t");
        socket.commit(end).unwrap();
        assert!(socket.tables(Family::Inet).unwrap().is_empty());
    });
}

#[test]
fn udp_flows_can_be_forgotten() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        route.execute(&[link::up(1)]).unwrap();
        let mut socket = NftSocket::open().unwrap();
        // Tracking starts with the first rule that asks for it.
        let mut change = Transaction::new();
        change.add_table(Family::Inet, "t");
        let output = BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: 0, drop: false };
        change.add_chain(Family::Inet, "t", &Chain { name: "output", base: Some(output) });
        change.add_rule(Family::Inet, "t", "output", &accept_answers());
        socket.commit(change).unwrap();
        let receiver = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut conntrack = ConntrackSocket::open().unwrap();
        let chosen =
            conntrack.delete_where(false, |flow| flow.protocol == 17 && flow.destination_port == port);
        assert_eq!(chosen.unwrap(), 1);
        assert!(conntrack.flows(false).unwrap().iter().all(|flow| flow.destination_port != port));
    });
}
