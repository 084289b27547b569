//! nf_tables: tables, chains, rules, sets and maps, changed in transactions.
//!
//! A [`Transaction`] collects changes; [`NftSocket::commit`] makes all of them happen at once or none.

pub mod chain;
pub mod expression;
pub mod read;
pub mod rule;
pub mod set;
pub mod table;
pub mod transaction;

pub use chain::{BaseChain, Chain, ChainKind, Hook};
pub use expression::{Expression, Register, Verdict};
pub use read::{ChainFound, Notification, RuleFound};
pub use rule::{Place, Rule};
pub use set::{DataType, Element, Set};
pub use transaction::Transaction;

use crate::{Error, Message, Protocol, Socket};

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Frames on bridges.
    Bridge,
}

impl Family {
    /// `NFPROTO_*`.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
            Self::Bridge => 7,
        }
    }

    /// From `NFPROTO_*`.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6, Self::Bridge].into_iter().find(|family| family.number() == number)
    }
}

const SUBSYSTEM: u16 = 10 << 8;
const GET_GENERATION: u16 = SUBSYSTEM | 16;
/// Bit of multicast group `NFNLGRP_NFTABLES` (7).
const CHANGES_GROUP: u32 = 1 << 6;

/// A message to nf_tables, `struct nfgenmsg` included.
fn message(kind: u16, flags: u16, family: u8) -> Message {
    Message::new(SUBSYSTEM | kind, flags).fixed(&[family, 0, 0, 0])
}

/// A socket to the rules of the namespace of the thread that opened it. Keep it open: closing one after deletions waits
/// about 12 ms.
#[derive(Debug)]
pub struct NftSocket(Socket);

impl NftSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> Result<Self, Error> {
        Socket::open(Protocol::Netfilter).map(Self)
    }

    /// Carries out all changes or none.
    ///
    /// # Errors
    /// The first refusal (the index counts the changes from 1).
    pub fn commit(&mut self, transaction: Transaction) -> Result<(), Error> {
        match transaction.finish() {
            Some((messages, last)) => self.0.execute_batch(&messages, last),
            None => Ok(()),
        }
    }

    /// The number of the present state of all rules; it grows with every change.
    ///
    /// # Errors
    /// A refusal.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let request = Message::new(GET_GENERATION, 0).fixed(&[0; 4]);
        self.0.get(&request, |received| read::generation(received.body)).map(Option::unwrap_or_default)
    }

    /// Names of all tables of a family.
    ///
    /// # Errors
    /// A refusal.
    pub fn tables(&mut self, family: Family) -> Result<Vec<String>, Error> {
        self.0.dump(&table::get_all(family), |received| read::table_name(received.body))
    }

    /// All chains of a family, with hook and policy.
    ///
    /// # Errors
    /// A refusal.
    pub fn chains(&mut self, family: Family) -> Result<Vec<ChainFound>, Error> {
        self.0.dump(&chain::get_all(family), |received| read::chain(received.body))
    }

    /// The rules of a chain in order.
    ///
    /// # Errors
    /// A refusal.
    pub fn rules(&mut self, family: Family, table: &str, chain: &str) -> Result<Vec<RuleFound>, Error> {
        let wanted = |found: &RuleFound| found.table == table && found.chain == chain;
        self.0.dump(&rule::get_all(family, table, chain), |received| read::rule(received.body).filter(wanted))
    }

    /// The keys and values of a set or map, as the kernel keeps them.
    ///
    /// # Errors
    /// A refusal.
    pub fn elements(&mut self, family: Family, table: &str, set: &str) -> Result<Vec<Element>, Error> {
        let request = set::get_elements(family, table, set);
        Ok(self
            .0
            .dump(&request, |received| Some(read::elements(received.body)))?
            .into_iter()
            .flatten()
            .collect())
    }
}

/// A socket that hears of every change of rules in its namespace.
#[derive(Debug)]
pub struct NftMonitor(Socket);

impl NftMonitor {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> Result<Self, Error> {
        Socket::open_with_groups(Protocol::Netfilter, CHANGES_GROUP).map(Self)
    }

    /// Waits for changes and hands them to the closure. `false` when some were lost.
    ///
    /// # Errors
    /// A failure of the socket.
    pub fn wait(&mut self, mut read: impl FnMut(Notification<'_>)) -> Result<bool, Error> {
        self.0.notifications(|received| {
            if let Some(notification) = read::notification(received) {
                read(notification);
            }
        })
    }
}

impl std::os::fd::AsFd for NftMonitor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
