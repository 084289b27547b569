//! Reading what the kernel tells about tables, chains, rules and elements.

use super::{Element, Family, chain, expression, rule, set, table};
use crate::message::{Attributes, Received};

const HEADER: usize = 4;
const SUBSYSTEM: u16 = 10;
const GENERATION_ID: u16 = 1;
const GENERATION_PROCESS: u16 = 2;

/// A chain that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFound {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Number of the hook it is connected to, if any.
    pub hook: Option<u32>,
    /// Priority at the hook.
    pub priority: i32,
    /// Whether packets nobody decides about are dropped.
    pub drop: bool,
}

/// A rule that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFound {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The kernel's number for it.
    pub handle: u64,
    /// The comment `nft` shows.
    pub comment: Option<String>,
    /// The chain it jumps or goes to unconditionally at its end, if it does.
    pub jump: Option<String>,
}

/// What a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Made.
    New,
    /// Deleted.
    Deleted,
    /// The end of a transaction, with the process that made it (by its thread's id).
    Generation {
        /// Who.
        process: u32,
    },
}

/// What kind of object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A table.
    Table,
    /// A chain.
    Chain,
    /// A rule.
    Rule,
    /// A set or its elements.
    Set,
    /// The whole.
    Ruleset,
}

/// One change of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification<'a> {
    /// What happened.
    pub change: Change,
    /// To what.
    pub object: Object,
    /// The family of its table.
    pub family: Option<Family>,
    /// Its table's name.
    pub table: Option<&'a str>,
}

pub(super) fn attributes(body: &[u8]) -> Option<Attributes<'_>> {
    body.get(HEADER..).map(Attributes::new)
}

pub(super) fn generation(body: &[u8]) -> Option<u32> {
    attributes(body)?.be32(GENERATION_ID)
}

pub(super) fn table_name(body: &[u8]) -> Option<String> {
    attributes(body)?.text(table::NAME).map(str::to_owned)
}

pub(super) fn chain(body: &[u8]) -> Option<ChainFound> {
    let attributes = attributes(body)?;
    let hook = attributes.nested(chain::HOOK);
    let priority = hook.and_then(|hook| hook.be32(chain::HOOK_PRIORITY)).unwrap_or(0);
    Some(ChainFound {
        table: attributes.text(chain::TABLE)?.to_owned(),
        name: attributes.text(chain::NAME)?.to_owned(),
        hook: hook.and_then(|hook| hook.be32(chain::HOOK_NUMBER)),
        priority: priority.cast_signed(),
        drop: attributes.be32(chain::POLICY) == Some(0),
    })
}

pub(super) fn rule(body: &[u8]) -> Option<RuleFound> {
    let attributes = attributes(body)?;
    Some(RuleFound {
        table: attributes.text(rule::TABLE)?.to_owned(),
        chain: attributes.text(rule::CHAIN)?.to_owned(),
        handle: attributes.be64(rule::HANDLE)?,
        comment: attributes.get(rule::USER_DATA).and_then(comment),
        jump: attributes.nested(rule::EXPRESSIONS).and_then(expression::jump_target),
    })
}

fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == rule::COMMENT {
            return std::str::from_utf8(value).ok().map(|text| text.trim_end_matches('\0').to_owned());
        }
        data = rest.get(usize::from(*length)..)?;
    }
    None
}

pub(super) fn elements(body: &[u8]) -> Vec<Element> {
    let list = attributes(body).and_then(|attributes| attributes.nested(set::ELEMENTS));
    list.into_iter()
        .flat_map(Attributes::iter)
        .filter_map(|(_, item)| element(Attributes::new(item)))
        .collect()
}

fn element(item: Attributes<'_>) -> Option<Element> {
    let key = item.nested(set::KEY)?.get(set::DATA_VALUE)?.to_vec();
    let value = match item.nested(set::DATA) {
        None => set::Value::None,
        Some(data) => match data.get(set::DATA_VALUE) {
            Some(bytes) => set::Value::Data(bytes.to_vec()),
            None => set::Value::Verdict(expression::read_verdict(data)?),
        },
    };
    Some(Element { key, value })
}

pub(super) fn notification(received: Received<'_>) -> Option<Notification<'_>> {
    if received.kind >> 8 != SUBSYSTEM {
        return None;
    }
    let attributes = attributes(received.body)?;
    let (change, object) = match received.kind & 0xff {
        0 => (Change::New, Object::Table),
        2 => (Change::Deleted, Object::Table),
        3 => (Change::New, Object::Chain),
        5 => (Change::Deleted, Object::Chain),
        6 => (Change::New, Object::Rule),
        8 => (Change::Deleted, Object::Rule),
        9 | 12 => (Change::New, Object::Set),
        11 | 14 => (Change::Deleted, Object::Set),
        15 => {
            let process = attributes.be32(GENERATION_PROCESS).unwrap_or(0);
            return Some(Notification {
                change: Change::Generation { process },
                object: Object::Ruleset,
                family: None,
                table: None,
            });
        }
        _ => return None,
    };
    // Attribute 1 is the table's name in all of these.
    let family = received.body.first().copied().and_then(Family::from_number);
    Some(Notification { change, object, family, table: attributes.text(1) })
}
