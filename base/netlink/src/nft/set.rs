//! Sets and maps.

use super::{Family, Verdict, message};
use crate::Message;
use crate::message::CREATE;

const NEW: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const GET_ELEMENTS: u16 = 13;
const DELETE_ELEMENTS: u16 = 14;

const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_LENGTH: u16 = 5;
const DATA_TYPE: u16 = 6;
const DATA_LENGTH: u16 = 7;
const ID: u16 = 10;
const USER_DATA: u16 = 13;

const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
pub(super) const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
pub(super) const KEY: u16 = 1;
pub(super) const DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;

const FLAG_MAP: u32 = 8;
const VERDICT_TYPE: u32 = 0xffff_ff00;
const VERDICT_LENGTH: u32 = 16;
const TYPE_BITS: u32 = 6;

/// Types of keys and values; several in a row are a concatenation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// 4 bytes.
    Ipv4Address,
    /// 16 bytes.
    Ipv6Address,
    /// 1 byte.
    InetProtocol,
    /// 2 bytes.
    InetService,
    /// 16 bytes.
    InterfaceName,
}

impl DataType {
    /// The number `nft` knows the type by.
    fn number(self) -> u32 {
        match self {
            Self::Ipv4Address => 7,
            Self::Ipv6Address => 8,
            Self::InetProtocol => 12,
            Self::InetService => 13,
            Self::InterfaceName => 41,
        }
    }

    fn length(self) -> u32 {
        match self {
            Self::Ipv4Address => 4,
            Self::Ipv6Address | Self::InterfaceName => 16,
            Self::InetProtocol => 1,
            Self::InetService => 2,
        }
    }
}

fn number_of(types: &[DataType]) -> u32 {
    types.iter().fold(0, |number, kind| number << TYPE_BITS | kind.number())
}

/// Members of a concatenation are padded to 4 bytes each.
fn length_of(types: &[DataType]) -> u32 {
    match types {
        [single] => single.length(),
        several => several.iter().map(|kind| kind.length().next_multiple_of(4)).sum(),
    }
}

/// What a set's elements lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values<'a> {
    /// Nothing: a set.
    None,
    /// Data of these types: a map.
    Data(&'a [DataType]),
    /// Verdicts: a verdict map.
    Verdicts,
}

/// A set or map to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Types of the keys.
    pub key: &'a [DataType],
    /// What the keys lead to.
    pub values: Values<'a>,
}

/// What one element leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing (sets).
    None,
    /// Data (maps), members of a concatenation padded to 4 bytes.
    Data(Vec<u8>),
    /// A verdict (verdict maps).
    Verdict(Verdict),
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key, members of a concatenation padded to 4 bytes.
    pub key: Vec<u8>,
    /// What it leads to.
    pub value: Value,
}

pub(super) fn add(family: Family, table: &str, set: &Set<'_>, id: u32) -> Message {
    let mut message = message(NEW, CREATE, family.number());
    message.text(TABLE, table).text(NAME, set.name).be32(ID, id);
    message.be32(FLAGS, if set.values == Values::None { 0 } else { FLAG_MAP });
    message.be32(KEY_TYPE, number_of(set.key)).be32(KEY_LENGTH, length_of(set.key));
    if set.key == [DataType::InterfaceName] {
        // Only for people: tells the nft program that the key's bytes are in host order.
        let [a, b, c, d] = 1u32.to_ne_bytes();
        message.bytes(USER_DATA, &[0, 4, a, b, c, d]);
    }
    match set.values {
        Values::None => &mut message,
        Values::Data(types) => message.be32(DATA_TYPE, number_of(types)).be32(DATA_LENGTH, length_of(types)),
        Values::Verdicts => message.be32(DATA_TYPE, VERDICT_TYPE).be32(DATA_LENGTH, VERDICT_LENGTH),
    };
    message
}

fn elements(kind: u16, flags: u16, family: Family, table: &str, set: &str, elements: &[Element]) -> Message {
    let mut message = message(kind, flags, family.number());
    message.text(ELEMENTS_TABLE, table).text(ELEMENTS_SET, set);
    if !elements.is_empty() {
        message.nested(ELEMENTS, |list| elements.iter().for_each(|element| write_element(list, element)));
    }
    message
}

fn write_element(list: &mut Message, element: &Element) {
    list.nested(LIST_ELEMENT, |item| {
        item.nested(KEY, |key| {
            key.bytes(DATA_VALUE, &element.key);
        });
        match &element.value {
            Value::None => {}
            Value::Data(data) => {
                item.nested(DATA, |value| {
                    value.bytes(DATA_VALUE, data);
                });
            }
            Value::Verdict(verdict) => {
                item.nested(DATA, |value| verdict.write(value));
            }
        }
    });
}

pub(super) fn add_elements(family: Family, table: &str, set: &str, list: &[Element]) -> Message {
    elements(NEW_ELEMENTS, CREATE, family, table, set, list)
}

pub(super) fn delete_elements(family: Family, table: &str, set: &str, list: &[Element]) -> Message {
    elements(DELETE_ELEMENTS, 0, family, table, set, list)
}

pub(super) fn get_elements(family: Family, table: &str, set: &str) -> Message {
    elements(GET_ELEMENTS, 0, family, table, set, &[])
}
