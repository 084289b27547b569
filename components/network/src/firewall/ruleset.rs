//! The rules of our table, as a pure value.
//!
//! ```text
//! prerouting (raw)   127.0.0.0/8 from or to containers is dropped before anything else
//! prerouting, output a local address and a published port: translated by the maps
//! forward            answers pass; into a bridge only from itself (if containers may talk) or by translation
//! postrouting        out of a subnet: masqueraded; in from 127.0.0.0/8 or from the same bridge: masqueraded
//! ```

use std::collections::BTreeMap;

use netlink::nft::expression::{
    ADDRESS_LOCAL, Base, Comparison, Flow, Meta, STATE_ESTABLISHED, STATE_RELATED,
    STATUS_DESTINATION_TRANSLATED,
};
use netlink::nft::{
    BaseChain, Chain, ChainKind, Expression, Family, Hook, Register, Rule, Transaction, Verdict,
};

use super::published::{self, Translation};
use crate::record::Subnet;

/// Our table sees both families.
pub(super) const FAMILY: Family = Family::Inet;

const GUARD: &str = "guard";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const PUBLISH: &str = "publish";
const FORWARD: &str = "forward";
const POSTROUTING: &str = "postrouting";

const PRIORITY_RAW: i32 = -300;
const PRIORITY_DESTINATION: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SOURCE: i32 = 100;

const V4: u8 = 2;
const V6: u8 = 10;

/// What the rules of one bridge depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeRules {
    /// The bridge's interface.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
    /// Whether what leaves gets the host's address.
    pub masquerade: bool,
    /// Whether its containers may talk to each other.
    pub inter_container: bool,
    /// Whether there is no way in or out.
    pub internal: bool,
}

impl BridgeRules {
    fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.address.is_ipv6())
    }
}

const FIRST: Register = Register(0);

fn compare(with: &[u8], comparison: Comparison) -> Expression {
    Expression::Compare { from: FIRST, comparison, with: with.to_vec() }
}

fn interface(key: Meta, name: &str, comparison: Comparison) -> [Expression; 2] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    [Expression::Meta { key, to: FIRST }, compare(&bytes, comparison)]
}

fn from_bridge(name: &str) -> [Expression; 2] {
    interface(Meta::InputName, name, Comparison::Equal)
}

fn to_bridge(name: &str) -> [Expression; 2] {
    interface(Meta::OutputName, name, Comparison::Equal)
}

fn not_to_bridge(name: &str) -> [Expression; 2] {
    interface(Meta::OutputName, name, Comparison::NotEqual)
}

fn network_protocol(family: u8) -> [Expression; 2] {
    [Expression::Meta { key: Meta::NetworkProtocol, to: FIRST }, compare(&[family], Comparison::Equal)]
}

/// An address of the packet is in the range.
fn in_range(range: Subnet, source: bool) -> Vec<Expression> {
    let (family, length, offset) = match (range.address.is_ipv4(), source) {
        (true, true) => (V4, 4, 12),
        (true, false) => (V4, 4, 16),
        (false, true) => (V6, 16, 8),
        (false, false) => (V6, 16, 24),
    };
    let all: u128 = if length == 4 { u128::from(u32::MAX) } else { u128::MAX };
    let hosts = range.size().saturating_sub(1);
    let mask_bytes = (all & !hosts).to_be_bytes();
    let mask = mask_bytes.get(16 - length..).unwrap_or_default().to_vec();
    let network = match range.network() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut expressions = network_protocol(family).to_vec();
    expressions.extend([
        Expression::Payload {
            base: Base::Network,
            offset,
            length: u32::try_from(length).unwrap_or(4),
            to: FIRST,
        },
        Expression::Bitwise { from: FIRST, to: FIRST, mask, xor: vec![0; length] },
        compare(&network, Comparison::Equal),
    ]);
    expressions
}

fn loopback_range() -> Subnet {
    Subnet { address: std::net::Ipv4Addr::new(127, 0, 0, 0).into(), prefix: 8 }
}

fn loopback_v6() -> Subnet {
    Subnet { address: std::net::Ipv6Addr::LOCALHOST.into(), prefix: 128 }
}

fn flow_bits(key: Flow, bits: u32) -> [Expression; 3] {
    [
        Expression::Flow { key, to: FIRST },
        Expression::Bitwise { from: FIRST, to: FIRST, mask: bits.to_ne_bytes().to_vec(), xor: vec![0; 4] },
        compare(&[0; 4], Comparison::NotEqual),
    ]
}

fn translated() -> [Expression; 3] {
    flow_bits(Flow::Status, STATUS_DESTINATION_TRANSLATED)
}

fn rule(parts: &[&[Expression]], end: Expression) -> Rule {
    let mut expressions: Vec<Expression> = parts.iter().flat_map(|part| part.iter().cloned()).collect();
    expressions.push(end);
    Rule::new(expressions)
}

fn accept() -> Expression {
    Expression::Verdict(Verdict::Accept)
}

fn discard() -> Expression {
    Expression::Verdict(Verdict::Drop)
}

/// Loads address (if asked for), protocol and port as the maps' keys are laid out, looks up, translates.
fn translate(family: u8, map: &str, with_address: bool) -> Rule {
    let (offset, length, words) = if family == V4 { (16, 4, 1) } else { (24, 16, 4) };
    let start = if with_address { words } else { 0 };
    let mut expressions = network_protocol(family).to_vec();
    if with_address {
        expressions.push(Expression::Payload { base: Base::Network, offset, length, to: FIRST });
    }
    expressions.extend([
        Expression::Meta { key: Meta::TransportProtocol, to: Register(start) },
        Expression::Payload { base: Base::Transport, offset: 2, length: 2, to: Register(start + 1) },
        Expression::Lookup { set: map.to_owned(), from: FIRST, to: Some(Register(8)), inverted: false },
        Expression::TranslateDestination { family, address: Register(8), port: Some(Register(8 + words)) },
    ]);
    Rule::new(expressions)
}

fn local_to_publish() -> Rule {
    Rule::new(vec![
        Expression::DestinationKind { to: FIRST },
        compare(&ADDRESS_LOCAL.to_ne_bytes(), Comparison::Equal),
        Expression::Verdict(Verdict::Jump(PUBLISH.to_owned())),
    ])
}

fn chain_into(bridge: &str) -> String {
    format!("into-{bridge}")
}

/// Every chain with its rules, in the order in which chains have to be made.
fn chains(bridges: &[&BridgeRules]) -> Vec<(String, Option<BaseChain>, Vec<Rule>)> {
    let base = |kind, hook, priority| Some(BaseChain { kind, hook, priority, drop: false });
    let publish = vec![
        translate(V4, published::ADDRESS_V4, true),
        translate(V4, published::ANY_V4, false),
        // A packet to ::1 cannot leave by another interface: a forwarder listens there.
        rule(&[&in_range(loopback_v6(), false)], Expression::Verdict(Verdict::Return)),
        translate(V6, published::ADDRESS_V6, true),
        translate(V6, published::ANY_V6, false),
    ];
    let mut all = vec![(PUBLISH.to_owned(), None, publish)];
    for bridge in bridges {
        all.push((chain_into(&bridge.name), None, into_rules(bridge, bridges)));
    }
    all.extend([
        (
            GUARD.to_owned(),
            base(ChainKind::Filter, Hook::Prerouting, PRIORITY_RAW),
            bridges.iter().flat_map(|bridge| guard_rules(bridge)).collect(),
        ),
        (
            PREROUTING.to_owned(),
            base(ChainKind::Nat, Hook::Prerouting, PRIORITY_DESTINATION),
            vec![local_to_publish()],
        ),
        (
            OUTPUT.to_owned(),
            base(ChainKind::Nat, Hook::Output, PRIORITY_DESTINATION),
            vec![local_to_publish()],
        ),
        (FORWARD.to_owned(), base(ChainKind::Filter, Hook::Forward, PRIORITY_FILTER), forward_rules(bridges)),
        (
            POSTROUTING.to_owned(),
            base(ChainKind::Nat, Hook::Postrouting, PRIORITY_SOURCE),
            bridges.iter().flat_map(|bridge| postrouting_rules(bridge)).collect(),
        ),
    ]);
    all
}

fn guard_rules(bridge: &BridgeRules) -> [Rule; 2] {
    let from = from_bridge(&bridge.name);
    [
        rule(&[&from, &in_range(loopback_range(), false)], discard()),
        rule(&[&from, &in_range(loopback_range(), true)], discard()),
    ]
}

fn forward_rules(bridges: &[&BridgeRules]) -> Vec<Rule> {
    let answers = flow_bits(Flow::State, STATE_ESTABLISHED | STATE_RELATED);
    let mut rules = vec![rule(&[&answers], accept())];
    for bridge in bridges {
        let name = &bridge.name;
        if bridge.internal {
            rules.push(rule(&[&from_bridge(name), &not_to_bridge(name)], discard()));
        }
        rules.push(rule(&[&to_bridge(name)], Expression::Verdict(Verdict::Goto(chain_into(name)))));
    }
    rules
}

fn into_rules(bridge: &BridgeRules, bridges: &[&BridgeRules]) -> Vec<Rule> {
    let mut rules = Vec::new();
    if bridge.has_ipv6() {
        // Frames pass here where br_netfilter is on; elsewhere the table of frames does the same.
        rules.push(rule(&[&from_bridge(&bridge.name), &router_advertisement()], discard()));
    }
    if bridge.inter_container {
        rules.push(rule(&[&from_bridge(&bridge.name)], accept()));
    }
    if !bridge.internal {
        let others = bridges.iter().filter(|other| other.name != bridge.name);
        rules.extend(others.map(|other| rule(&[&from_bridge(&other.name)], discard())));
        rules.push(rule(&[&translated()], accept()));
    }
    rules.push(rule(&[], discard()));
    rules
}

fn postrouting_rules(bridge: &BridgeRules) -> Vec<Rule> {
    let to = to_bridge(&bridge.name);
    let mut rules = Vec::new();
    for subnet in &bridge.subnets {
        if bridge.masquerade && !bridge.internal {
            let out = not_to_bridge(&bridge.name);
            rules.push(rule(&[&in_range(*subnet, true), &out], Expression::Masquerade));
        }
        // A container reaching another one (or itself) by a published port: the answer has to come back through here.
        rules.push(rule(&[&in_range(*subnet, true), &to, &translated()], Expression::Masquerade));
    }
    rules.push(rule(&[&in_range(loopback_range(), true), &to], Expression::Masquerade));
    rules
}

/// The transaction that replaces our table, whatever is there, by the wanted one.
pub(super) fn whole<'a>(
    table: &str,
    bridges: impl Iterator<Item = &'a BridgeRules>,
    translations: &[&Translation],
) -> Transaction {
    let bridges: Vec<&BridgeRules> = bridges.collect();
    let mut transaction = Transaction::new();
    // Deleting what is not there is refused, so it is made first.
    transaction.add_table(FAMILY, table).delete_table(FAMILY, table).add_table(FAMILY, table);
    published::add_maps(&mut transaction, table);
    let chains = chains(&bridges);
    for (name, base, _) in &chains {
        transaction.add_chain(FAMILY, table, &Chain { name, base: *base });
    }
    for (name, _, rules) in &chains {
        for rule in rules {
            transaction.add_rule(FAMILY, table, name, rule);
        }
    }
    published::add(&mut transaction, table, translations.iter().copied());
    transaction
}

const FRAMES: Family = Family::Bridge;
const PRIORITY_BRIDGE_FILTER: i32 = -200;
const ICMP_V6: u8 = 58;
const ROUTER_ADVERTISEMENT: u8 = 134;

fn router_advertisement() -> [Expression; 4] {
    [
        Expression::Meta { key: Meta::TransportProtocol, to: FIRST },
        compare(&[ICMP_V6], Comparison::Equal),
        Expression::Payload { base: Base::Transport, offset: 0, length: 1, to: FIRST },
        compare(&[ROUTER_ADVERTISEMENT], Comparison::Equal),
    ]
}

/// The transaction that replaces our table of frames: on bridges with IPv6 no container may act as a router for the
/// others (CVE-2020-13401).
pub(super) fn frames<'a>(table: &str, bridges: impl Iterator<Item = &'a BridgeRules>) -> Transaction {
    let mut transaction = Transaction::new();
    let guarded: Vec<&BridgeRules> = bridges.filter(|bridge| bridge.has_ipv6()).collect();
    if guarded.is_empty() {
        return transaction;
    }
    transaction.add_table(FRAMES, table).delete_table(FRAMES, table).add_table(FRAMES, table);
    let base = BaseChain {
        kind: ChainKind::Filter,
        hook: Hook::Forward,
        priority: PRIORITY_BRIDGE_FILTER,
        drop: false,
    };
    transaction.add_chain(FRAMES, table, &Chain { name: FORWARD, base: Some(base) });
    for bridge in guarded {
        let on = interface(Meta::InputBridgeName, &bridge.name, Comparison::Equal);
        transaction.add_rule(FRAMES, table, FORWARD, &rule(&[&on, &router_advertisement()], discard()));
    }
    transaction
}

/// The transaction that removes our tables; each need not exist.
pub(super) fn nothing(table: &str, family: Family) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.add_table(family, table).delete_table(family, table);
    transaction
}

/// How many rules each chain has to have.
pub(super) fn rule_counts<'a>(bridges: impl Iterator<Item = &'a BridgeRules>) -> BTreeMap<String, usize> {
    let bridges: Vec<&BridgeRules> = bridges.collect();
    chains(&bridges).into_iter().map(|(name, _, rules)| (name, rules.len())).collect()
}
