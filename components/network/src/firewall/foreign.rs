//! A forward chain of somebody else (another engine, ufw) whose policy drops: our bridges are let through there.
//!
//! As Docker does it: accept rules for the bridge in iptables' `filter FORWARD`, behind the jump to `DOCKER-USER` where a
//! person's own rules live, else in front. Which traffic may enter our bridges is decided in our own table, which every
//! packet passes as well. The rules are written the way iptables-nft writes its own, so that `iptables -S` shows them.

use netlink::nft::expression::{Comparison, Meta};
use netlink::nft::{
    ChainFound, Expression, Family, Hook, NftSocket, Place, Register, Rule, RuleFound, Transaction, Verdict,
};

const TABLE: &str = "filter";
const CHAIN: &str = "FORWARD";
const USER_CHAIN: &str = "DOCKER-USER";

fn accept_rule(key: Meta, interface: &str, mark: &str) -> Rule {
    // With the closing zero and no further ones, as iptables-nft compares a whole name.
    let mut name = interface.as_bytes().to_vec();
    name.push(0);
    Rule::new(vec![
        Expression::Meta { key, to: Register(0) },
        Expression::Compare { from: Register(0), comparison: Comparison::Equal, with: name },
        Expression::Counter,
        Expression::Verdict(Verdict::Accept),
    ])
    .comment(mark)
}

fn comment(mark: &str, bridge: &str) -> String {
    format!("{mark}:{bridge}")
}

/// The chains at the forward hook that drop what they do not decide about.
fn dropping(chains: &[ChainFound]) -> impl Iterator<Item = &ChainFound> {
    chains.iter().filter(|chain| chain.hook == Some(Hook::Forward.number()) && chain.drop)
}

/// What has to change in `filter FORWARD`: places of new rules and handles of old ones.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan<'a> {
    missing: Vec<&'a str>,
    stale: Vec<u64>,
}

fn plan<'a>(present: &[RuleFound], mark: &str, bridges: &'a [String]) -> Plan<'a> {
    let of = |text: &str| present.iter().filter(|rule| rule.comment.as_deref() == Some(text)).count();
    let missing: Vec<&str> =
        bridges.iter().map(String::as_str).filter(|bridge| of(&comment(mark, bridge)) != 2).collect();
    let wanted: Vec<String> = bridges
        .iter()
        .filter(|bridge| !missing.contains(&bridge.as_str()))
        .map(|bridge| comment(mark, bridge))
        .collect();
    let stale = ours(present, mark)
        .filter(|rule| !rule.comment.as_ref().is_some_and(|text| wanted.contains(text)))
        .map(|rule| rule.handle)
        .collect();
    Plan { missing, stale }
}

fn ours<'a>(rules: &'a [RuleFound], mark: &'a str) -> impl Iterator<Item = &'a RuleFound> {
    rules.iter().filter(move |rule| {
        rule.comment
            .as_deref()
            .and_then(|text| text.strip_prefix(mark))
            .is_some_and(|rest| rest.starts_with(':'))
    })
}

/// Lets the bridges through a dropping `filter FORWARD`; warnings about chains that can't be handled.
pub(super) fn accept(
    socket: &mut NftSocket,
    family: Family,
    mark: &str,
    bridges: &[String],
) -> Result<Vec<String>, netlink::Error> {
    let chains = socket.chains(family)?;
    let is_iptables = |chain: &ChainFound| chain.table == TABLE && chain.name == CHAIN;
    if dropping(&chains).any(is_iptables) {
        insert(socket, family, mark, bridges)?;
    }
    // Chains of the family that covers both are looked at once, with IPv4.
    let both = if family == Family::Ip { socket.chains(Family::Inet)? } else { Vec::new() };
    let others = dropping(&chains).chain(dropping(&both)).filter(|chain| !is_iptables(chain));
    Ok(others
        .map(|chain| {
            format!(
                "chain {} of nftables table {} drops what it does not know; containers reach the outside only if it \
                 accepts their bridges",
                chain.name, chain.table
            )
        })
        .collect())
}

fn insert(
    socket: &mut NftSocket,
    family: Family,
    mark: &str,
    bridges: &[String],
) -> Result<(), netlink::Error> {
    let present = socket.rules(family, TABLE, CHAIN)?;
    let plan = plan(&present, mark, bridges);
    let mut transaction = Transaction::new();
    for handle in plan.stale {
        transaction.delete_rule(family, TABLE, CHAIN, handle);
    }
    let user_jump = present.iter().find(|rule| rule.jump.as_deref() == Some(USER_CHAIN));
    let place = user_jump.map_or(Place::First, |rule| Place::After(rule.handle));
    for bridge in plan.missing {
        for key in [Meta::InputName, Meta::OutputName] {
            let rule = accept_rule(key, bridge, &comment(mark, bridge));
            transaction.insert_rule(family, TABLE, CHAIN, &rule, place);
        }
    }
    socket.commit(transaction)
}

/// Removes our rules from `filter FORWARD`.
pub(super) fn remove(socket: &mut NftSocket, family: Family, mark: &str) -> Result<(), netlink::Error> {
    let mut transaction = Transaction::new();
    if socket.tables(family)?.iter().any(|name| name == TABLE) {
        for rule in ours(&socket.rules(family, TABLE, CHAIN)?, mark) {
            transaction.delete_rule(family, TABLE, CHAIN, rule.handle);
        }
    }
    socket.commit(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(handle: u64, comment: &str) -> RuleFound {
        let comment = (!comment.is_empty()).then(|| comment.to_owned());
        RuleFound { table: TABLE.to_owned(), chain: CHAIN.to_owned(), handle, comment, jump: None }
    }

    #[test]
    fn only_what_is_missing_is_added_and_only_ours_is_removed() {
        let present = [
            rule(1, ""),
            rule(2, "wharf-a:br0"),
            rule(3, "wharf-a:br0"),
            rule(4, "wharf-a:old"),
            rule(5, "wharf-ab:x"),
        ];
        let bridges = ["br0".to_owned(), "br1".to_owned()];
        assert_eq!(plan(&present, "wharf-a", &bridges), Plan { missing: vec!["br1"], stale: vec![4] });
        let half = [rule(2, "wharf-a:br0")];
        assert_eq!(plan(&half, "wharf-a", &bridges), Plan { missing: vec!["br0", "br1"], stale: vec![2] });
    }
}
