//! Chains.

use super::{Family, message};
use crate::Message;
use crate::message::CREATE;

const NEW: u16 = 3;
const GET: u16 = 4;
const DELETE: u16 = 5;
pub(super) const TABLE: u16 = 1;
pub(super) const NAME: u16 = 3;
pub(super) const HOOK: u16 = 4;
pub(super) const POLICY: u16 = 5;
pub(super) const KIND: u16 = 7;
pub(super) const HOOK_NUMBER: u16 = 1;
pub(super) const HOOK_PRIORITY: u16 = 2;

/// Where packets enter a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
}

impl Hook {
    /// `NF_INET_*`.
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainKind {
    /// Accept and drop.
    Filter,
    /// Translate addresses; sees a flow's first packet only.
    Nat,
}

/// How a chain is connected to the packets' way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What it may do.
    pub kind: ChainKind,
    /// Where packets enter.
    pub hook: Hook,
    /// Lower ones see packets first (raw -300, destination translation -100, filter 0, source translation 100).
    pub priority: i32,
    /// Whether packets that no rule decides about are dropped.
    pub drop: bool,
}

/// A chain to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `None` for chains that rules jump to.
    pub base: Option<BaseChain>,
}

pub(super) fn add(family: Family, table: &str, chain: &Chain<'_>) -> Message {
    let mut message = message(NEW, CREATE, family.number());
    message.text(TABLE, table).text(NAME, chain.name);
    if let Some(base) = chain.base {
        message.nested(HOOK, |hook| {
            hook.be32(HOOK_NUMBER, base.hook.number());
            hook.bytes(HOOK_PRIORITY, &base.priority.to_be_bytes());
        });
        message.be32(POLICY, u32::from(!base.drop));
        message.text(KIND, if base.kind == ChainKind::Nat { "nat" } else { "filter" });
    }
    message
}

pub(super) fn delete(family: Family, table: &str, name: &str) -> Message {
    let mut message = message(DELETE, 0, family.number());
    message.text(TABLE, table).text(NAME, name);
    message
}

pub(super) fn get_all(family: Family) -> Message {
    message(GET, 0, family.number())
}
