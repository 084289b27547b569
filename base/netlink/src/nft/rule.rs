//! Rules.

use super::{Expression, Family, message};
use crate::Message;
use crate::message::{APPEND, CREATE};

const NEW: u16 = 6;
const GET: u16 = 7;
const DELETE: u16 = 8;
pub(super) const TABLE: u16 = 1;
pub(super) const CHAIN: u16 = 2;
pub(super) const HANDLE: u16 = 3;
pub(super) const EXPRESSIONS: u16 = 4;
const POSITION: u16 = 6;
pub(super) const USER_DATA: u16 = 7;
/// `nft` and `iptables-nft` show user data of this type as the rule's comment.
pub(super) const COMMENT: u8 = 0;

/// A rule: expressions in order, and a comment that `nft` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// What it does.
    pub expressions: Vec<Expression>,
    /// Shown by `nft`; up to 100 bytes.
    pub comment: Option<String>,
}

impl Rule {
    /// A rule without comment.
    pub fn new(expressions: Vec<Expression>) -> Self {
        Self { expressions, comment: None }
    }

    /// The same rule with a comment.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.to_owned());
        self
    }
}

/// Where a rule goes in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// After the rule with this handle.
    After(u64),
    /// Before the rule with this handle.
    Before(u64),
}

pub(super) fn add(family: Family, table: &str, chain: &str, rule: &Rule, place: Place) -> Message {
    let flags = match place {
        Place::Last | Place::After(_) => CREATE | APPEND,
        Place::First | Place::Before(_) => CREATE,
    };
    let mut message = message(NEW, flags, family.number());
    message.text(TABLE, table).text(CHAIN, chain);
    message.nested(EXPRESSIONS, |list| rule.expressions.iter().for_each(|expression| expression.write(list)));
    if let Place::After(handle) | Place::Before(handle) = place {
        message.be64(POSITION, handle);
    }
    if let Some(comment) = &rule.comment {
        message.bytes(USER_DATA, &comment_bytes(comment));
    }
    message
}

fn comment_bytes(comment: &str) -> Vec<u8> {
    let text = comment.as_bytes().get(..comment.len().min(100)).unwrap_or_default();
    let mut bytes = vec![COMMENT, u8::try_from(text.len() + 1).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes
}

pub(super) fn delete(family: Family, table: &str, chain: &str, handle: u64) -> Message {
    let mut message = message(DELETE, 0, family.number());
    message.text(TABLE, table).text(CHAIN, chain).be64(HANDLE, handle);
    message
}

pub(super) fn delete_all(family: Family, table: &str, chain: &str) -> Message {
    let mut message = message(DELETE, 0, family.number());
    message.text(TABLE, table).text(CHAIN, chain);
    message
}

pub(super) fn get_all(family: Family, table: &str, chain: &str) -> Message {
    let mut message = message(GET, 0, family.number());
    message.text(TABLE, table).text(CHAIN, chain);
    message
}
