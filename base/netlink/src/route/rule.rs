//! Policy routing rules, read only.

use super::{FAMILY_V4, FAMILY_V6};
use crate::message::{Attributes, Message};

const GET: u16 = 34;
const PRIORITY: u16 = 6;
const TABLE: u16 = 15;

/// A policy rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Lower ones are asked first.
    pub priority: u32,
    /// The table it leads to.
    pub table: u32,
}

pub(super) fn get_all(ipv6: bool) -> Message {
    let family = if ipv6 { FAMILY_V6 } else { FAMILY_V4 };
    Message::new(GET, 0).fixed(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

pub(super) fn parse(body: &[u8]) -> Option<Rule> {
    let attributes = Attributes::new(body.get(12..)?);
    Some(Rule { priority: attributes.u32(PRIORITY).unwrap_or(0), table: attributes.u32(TABLE)? })
}
