//! Packet rules: one nftables table of our own, and accept rules where a foreign policy drops what is forwarded.
//!
//! [`ruleset`] and [`published`] build pure values, [`foreign`] decides what others' chains need, this module applies
//! them, [`monitor`] hears when somebody else changes rules.

pub(crate) mod foreign;
pub(crate) mod monitor;
pub(crate) mod published;
pub(crate) mod ruleset;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::EndpointId;
use netlink::conntrack::{ConntrackSocket, FlowFound};
use netlink::nft::{Family, NftSocket, Transaction};

use self::published::Translation;
use self::ruleset::BridgeRules;
use crate::port::Protocol;
use crate::sandbox::PortMode;

#[derive(Debug)]
struct State {
    /// None in an engine that leaves the firewall alone.
    socket: Option<NftSocket>,
    bridges: BTreeMap<String, BridgeRules>,
    translations: BTreeMap<EndpointId, Vec<Translation>>,
    applied: bool,
    warnings: Vec<String>,
}

impl State {
    fn commit(&mut self, transaction: Transaction) -> Result<(), netlink::Error> {
        self.socket.as_mut().map_or(Ok(()), |socket| socket.commit(transaction))
    }
}

/// The rules of one engine.
#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    /// Comment of our rules in foreign chains.
    mark: String,
    enabled: bool,
    state: Mutex<State>,
}

impl Firewall {
    /// Rules in a table of that name; nothing is applied before [`Self::apply`].
    pub(crate) fn open(table: String, enabled: bool) -> Result<Self, netlink::Error> {
        let state = State {
            socket: enabled.then(NftSocket::open).transpose()?,
            bridges: BTreeMap::new(),
            translations: BTreeMap::new(),
            applied: false,
            warnings: Vec::new(),
        };
        Ok(Self { mark: table.clone(), table, enabled, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Adds a bridge's rules to the wanted state; [`Self::apply`] makes them real.
    pub(crate) fn want_bridge(&self, rules: BridgeRules) {
        self.lock().bridges.insert(rules.name.clone(), rules);
    }

    /// Takes a bridge's rules out of the wanted state.
    pub(crate) fn forget_bridge(&self, name: &str) {
        self.lock().bridges.remove(name);
    }

    /// Adds translations to the wanted state without applying them (restart).
    pub(crate) fn want_translations(&self, endpoint: EndpointId, translations: Vec<Translation>) {
        self.lock().translations.insert(endpoint, translations);
    }

    /// Replaces our table by the wanted state in one transaction, and cares for foreign policies.
    pub(crate) fn apply(&self) -> Result<(), netlink::Error> {
        if !self.enabled {
            return Ok(());
        }
        let mut state = self.lock();
        let all: Vec<&Translation> = state.translations.values().flatten().collect();
        let transaction = ruleset::whole(&self.table, state.bridges.values(), &all);
        state.commit(transaction)?;
        state.applied = true;
        self.accept_in_foreign_chains(&mut state);
        self.guard_frames(&mut state);
        Ok(())
    }

    /// Makes an endpoint's ports reachable: one transaction.
    pub(crate) fn publish(
        &self,
        endpoint: &EndpointId,
        list: Vec<Translation>,
    ) -> Result<(), netlink::Error> {
        if list.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        if self.enabled {
            let mut transaction = Transaction::new();
            published::add(&mut transaction, &self.table, &list);
            if state.commit(transaction).is_err() {
                // Somebody took our table away and the monitor has not yet put it back.
                let all: Vec<&Translation> = state.translations.values().flatten().chain(&list).collect();
                let whole = ruleset::whole(&self.table, state.bridges.values(), &all);
                state.commit(whole)?;
            }
            forget_flows(&list);
        }
        state.translations.insert(endpoint.clone(), list);
        Ok(())
    }

    /// Takes an endpoint's ports back; what is gone already is no error.
    pub(crate) fn withdraw(&self, endpoint: &EndpointId) {
        let mut state = self.lock();
        let Some(list) = state.translations.remove(endpoint) else { return };
        if !self.enabled {
            return;
        }
        let mut transaction = Transaction::new();
        published::delete(&mut transaction, &self.table, &list);
        // Refused when the table was flushed: then there is nothing to delete.
        let _ = state.commit(transaction);
        drop(state);
        forget_flows(&list);
    }

    /// After foreign changes: puts our table back if something of it is missing, and looks at foreign policies again.
    pub(crate) fn check(&self) -> Result<bool, netlink::Error> {
        let mut state = self.lock();
        if !self.enabled || !state.applied {
            return Ok(false);
        }
        let whole = self.is_whole(&mut state)?;
        if !whole {
            let all: Vec<&Translation> = state.translations.values().flatten().collect();
            let transaction = ruleset::whole(&self.table, state.bridges.values(), &all);
            state.commit(transaction)?;
        }
        self.accept_in_foreign_chains(&mut state);
        if !whole {
            self.guard_frames(&mut state);
        }
        Ok(!whole)
    }

    fn guard_frames(&self, state: &mut State) {
        let transaction = ruleset::frames(&self.table, state.bridges.values());
        let result = state.commit(transaction);
        // Where br_netfilter is on, our other table sees the frames as well.
        if let (Err(error), PortMode::Plain | PortMode::Isolated) = (result, PortMode::choose(true)) {
            state.warnings.push(format!("router advertisements of containers are not filtered: {error}"));
        }
    }

    fn is_whole(&self, state: &mut State) -> Result<bool, netlink::Error> {
        let (family, table) = (ruleset::FAMILY, self.table.as_str());
        let State { socket: Some(socket), bridges, translations, .. } = state else { return Ok(true) };
        if !socket.tables(family)?.iter().any(|name| name == table) {
            return Ok(false);
        }
        for (chain, wanted) in ruleset::rule_counts(bridges.values()) {
            match socket.rules(family, table, &chain) {
                Ok(found) if found.len() == wanted => {}
                _ => return Ok(false),
            }
        }
        for (set, wanted) in published::counts(translations.values().flatten()) {
            match socket.elements(family, table, set) {
                Ok(found) if found.len() == wanted => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn accept_in_foreign_chains(&self, state: &mut State) {
        let names: Vec<String> = state.bridges.keys().cloned().collect();
        state.warnings.clear();
        let tables = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
        state.warnings.extend(legacy_warning(&tables, &names));
        let State { socket: Some(socket), .. } = state else { return };
        for family in [Family::Ip, Family::Ip6] {
            match foreign::accept(socket, family, &self.mark, &names) {
                Ok(warnings) => state.warnings.extend(warnings),
                Err(error) => state.warnings.push(format!("foreign forward chain left as it is: {error}")),
            }
        }
    }

    /// What a person should know about foreign rules.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.lock().warnings.clone()
    }

    /// Removes our table and our rules in foreign chains.
    pub(crate) fn remove(&self) {
        let mut state = self.lock();
        if !self.enabled || !state.applied {
            return;
        }
        state.applied = false;
        for family in [ruleset::FAMILY, Family::Bridge] {
            // Refused where the kernel has no tables of that family: then there is none to remove.
            let _ = state.commit(ruleset::nothing(&self.table, family));
        }
        for family in [Family::Ip, Family::Ip6] {
            if let Some(socket) = &mut state.socket {
                let _ = foreign::remove(socket, family, &self.mark);
            }
        }
    }
}

/// What a person has to do where the old iptables, whose rules nf_tables neither shows nor changes, filters packets.
/// `tables` are its tables in use.
fn legacy_warning(tables: &str, bridges: &[String]) -> Option<String> {
    if !tables.lines().any(|table| table == "filter") {
        return None;
    }
    let allow = bridges.iter().map(|bridge| {
        format!(
            "iptables-legacy -I FORWARD -i {bridge} -j ACCEPT; iptables-legacy -I FORWARD -o {bridge} -m conntrack \
             --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )
    });
    let allow: Vec<String> = allow.collect();
    Some(format!(
        "iptables-legacy filters packets, and wharf leaves its rules alone. If its FORWARD chain drops what no rule allows \
         (iptables-legacy -S FORWARD tells), containers reach nothing outside until you allow them: {}",
        allow.join("; ")
    ))
}

/// UDP flows outlive a change of translation: a client that goes on sending would never reach the new container, or for
/// ever the old one. Flows to the same port of other machines are left alone.
fn forget_flows(list: &[Translation]) {
    for ipv6 in [false, true] {
        let concerned: Vec<&Translation> = list
            .iter()
            .filter(|translation| {
                translation.protocol == Protocol::Udp && translation.target.is_ipv6() == ipv6
            })
            .collect();
        if concerned.is_empty() {
            continue;
        }
        let stale = |flow: &FlowFound| {
            flow.protocol == Protocol::Udp.number()
                && concerned.iter().any(|translation| translation.port == flow.destination_port)
                && (concerned.iter().any(|translation| translation.target.ip() == flow.answered_by)
                    || is_own_address(flow.destination))
        };
        if let Ok(mut conntrack) = ConntrackSocket::open() {
            // Without conntrack in the kernel there are no flows.
            let _ = conntrack.delete_where(ipv6, stale);
        }
    }
}

/// Only the machine's own addresses can be bound.
fn is_own_address(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_iptables_is_told_with_what_to_do() {
        let bridges = ["wharf0".to_owned()];
        assert_eq!(legacy_warning("", &bridges), None);
        assert_eq!(legacy_warning("nat\nmangle\n", &bridges), None);
        assert_eq!(
            legacy_warning("nat\nfilter\n", &bridges).unwrap(),
            "iptables-legacy filters packets, and wharf leaves its rules alone. If its FORWARD chain drops what no rule \
             allows (iptables-legacy -S FORWARD tells), containers reach nothing outside until you allow them: \
             iptables-legacy -I FORWARD -i wharf0 -j ACCEPT; iptables-legacy -I FORWARD -o wharf0 -m conntrack --ctstate \
             RELATED,ESTABLISHED -j ACCEPT"
        );
    }
}
