//! The expressions rules are made of.

use crate::message::{Attributes, Message};

const LIST_ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const IMMEDIATE_DATA: u16 = 2;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;
const CONTINUE: i32 = -1;

/// A 4-byte register, 0 to 15. Longer values take several in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Register(pub u8);

impl Register {
    /// Number of register 0 in the kernel's naming (`NFT_REG32_00`).
    fn number(self) -> u32 {
        8 + u32::from(self.0)
    }
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Goes on to the next hook's chain.
    Accept,
    /// Ends here.
    Drop,
    /// Goes on with the next rule.
    Continue,
    /// Goes back to the calling chain.
    Return,
    /// Goes through a chain and comes back.
    Jump(String),
    /// Goes to a chain and does not come back.
    Goto(String),
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Continue => CONTINUE,
            Self::Jump(_) => JUMP,
            Self::Goto(_) => GOTO,
            Self::Return => RETURN,
        }
    }

    pub(super) fn write(&self, data: &mut Message) {
        data.nested(VERDICT, |verdict| {
            verdict.bytes(VERDICT_CODE, &self.code().to_be_bytes());
            if let Self::Jump(chain) | Self::Goto(chain) = self {
                verdict.text(VERDICT_CHAIN, chain);
            }
        });
    }
}

pub(super) fn read_verdict(data: Attributes<'_>) -> Option<Verdict> {
    let verdict = data.nested(VERDICT)?;
    let chain = || verdict.text(VERDICT_CHAIN).map(str::to_owned);
    Some(match verdict.be32(VERDICT_CODE)?.cast_signed() {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        JUMP => Verdict::Jump(chain()?),
        GOTO => Verdict::Goto(chain()?),
        RETURN => Verdict::Return,
        CONTINUE => Verdict::Continue,
        _ => return None,
    })
}

/// What is known about a packet besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meta {
    /// Number of the interface it came by (4 bytes).
    InputIndex,
    /// Number of the interface it leaves by (4 bytes).
    OutputIndex,
    /// Name of the interface it came by (16 bytes).
    InputName,
    /// Name of the interface it leaves by (16 bytes).
    OutputName,
    /// 2 for IPv4, 10 for IPv6 (1 byte).
    NetworkProtocol,
    /// 6 tcp, 17 udp, ... (1 byte).
    TransportProtocol,
    /// The packet's mark (4 bytes).
    Mark,
    /// Name of the bridge whose port it came by (16 bytes).
    InputBridgeName,
}

impl Meta {
    fn number(self) -> u32 {
        match self {
            Self::Mark => 3,
            Self::InputIndex => 4,
            Self::OutputIndex => 5,
            Self::InputName => 6,
            Self::OutputName => 7,
            Self::NetworkProtocol => 15,
            Self::TransportProtocol => 16,
            Self::InputBridgeName => 17,
        }
    }
}

/// Where payload offsets count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base {
    /// The link-layer header.
    Link,
    /// The IP header.
    Network,
    /// The TCP or UDP header.
    Transport,
}

/// What conntrack knows of a packet's flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Bits [`STATE_ESTABLISHED`], ... (4 bytes).
    State,
    /// Bits [`STATUS_DESTINATION_TRANSLATED`], ... (4 bytes).
    Status,
    /// The flow's mark (4 bytes).
    Mark,
}

/// Flow state: not known to be part of anything.
pub const STATE_INVALID: u32 = 1;
/// Flow state: packets were seen both ways.
pub const STATE_ESTABLISHED: u32 = 2;
/// Flow state: belongs to another flow (ICMP errors).
pub const STATE_RELATED: u32 = 4;
/// Flow state: the first packet.
pub const STATE_NEW: u32 = 8;
/// Flow status: its destination was translated.
pub const STATUS_DESTINATION_TRANSLATED: u32 = 1 << 5;
/// Address kind of `fib`: one of this host's.
pub const ADDRESS_LOCAL: u32 = 2;

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less, by the bytes' order.
    Less,
    /// Greater, by the bytes' order.
    Greater,
}

/// One expression; registers carry values from one to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// Loads what is known about the packet.
    Meta {
        /// What.
        key: Meta,
        /// Where to.
        to: Register,
    },
    /// Sets what is known about the packet.
    SetMeta {
        /// What.
        key: Meta,
        /// The value's register.
        from: Register,
    },
    /// Loads bytes of the packet.
    Payload {
        /// Where the offset counts from.
        base: Base,
        /// In bytes.
        offset: u32,
        /// In bytes.
        length: u32,
        /// Where to.
        to: Register,
    },
    /// Goes on only if the comparison holds.
    Compare {
        /// The value's register.
        from: Register,
        /// How.
        comparison: Comparison,
        /// With what.
        with: Vec<u8>,
    },
    /// `to = (from & mask) ^ xor`.
    Bitwise {
        /// The value's register.
        from: Register,
        /// Where to.
        to: Register,
        /// Bits kept.
        mask: Vec<u8>,
        /// Bits flipped.
        xor: Vec<u8>,
    },
    /// Loads what conntrack knows.
    Flow {
        /// What.
        key: Flow,
        /// Where to.
        to: Register,
    },
    /// Goes on only if the key is in the set; with `to`, loads the map's value.
    Lookup {
        /// Name of the set or map.
        set: String,
        /// The key's register.
        from: Register,
        /// Where the value goes (maps).
        to: Option<Register>,
        /// Goes on only if the key is not in the set.
        inverted: bool,
    },
    /// Looks the key up in a verdict map and follows the verdict.
    LookupVerdict {
        /// Name of the verdict map.
        set: String,
        /// The key's register.
        from: Register,
    },
    /// Loads a constant.
    Immediate {
        /// Where to.
        to: Register,
        /// The constant.
        data: Vec<u8>,
    },
    /// Decides.
    Verdict(Verdict),
    /// Translates the flow's destination.
    TranslateDestination {
        /// `NFPROTO_*` of the addresses (2 or 10).
        family: u8,
        /// The new address's register.
        address: Register,
        /// The new port's register.
        port: Option<Register>,
    },
    /// Translates the flow's source.
    TranslateSource {
        /// `NFPROTO_*` of the addresses (2 or 10).
        family: u8,
        /// The new address's register.
        address: Register,
    },
    /// Translates the flow's source to the address of the interface it leaves by.
    Masquerade,
    /// Loads the kind of the destination address ([`ADDRESS_LOCAL`], ...).
    DestinationKind {
        /// Where to.
        to: Register,
    },
    /// Counts packets and bytes.
    Counter,
}

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } | Self::SetMeta { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::Compare { .. } => "cmp",
            Self::Bitwise { .. } => "bitwise",
            Self::Flow { .. } => "ct",
            Self::Lookup { .. } | Self::LookupVerdict { .. } => "lookup",
            Self::Immediate { .. } | Self::Verdict(_) => "immediate",
            Self::TranslateDestination { .. } | Self::TranslateSource { .. } => "nat",
            Self::Masquerade => "masq",
            Self::DestinationKind { .. } => "fib",
            Self::Counter => "counter",
        }
    }

    pub(super) fn write(&self, list: &mut Message) {
        list.nested(LIST_ELEMENT, |item| {
            item.text(NAME, self.name()).nested(DATA, |data| self.write_data(data));
        });
    }

    fn write_data(&self, data: &mut Message) {
        match self {
            Self::Meta { key, to } => {
                data.be32(2, key.number()).be32(1, to.number());
            }
            Self::SetMeta { key, from } => {
                data.be32(2, key.number()).be32(3, from.number());
            }
            Self::Payload { base, offset, length, to } => {
                let base = match base {
                    Base::Link => 0,
                    Base::Network => 1,
                    Base::Transport => 2,
                };
                data.be32(1, to.number()).be32(2, base).be32(3, *offset).be32(4, *length);
            }
            Self::Compare { from, comparison, with } => write_compare(data, *from, *comparison, with),
            Self::Bitwise { from, to, mask, xor } => {
                data.be32(1, from.number()).be32(2, to.number());
                data.be32(3, u32::try_from(mask.len()).unwrap_or(0));
                value(data, 4, mask);
                value(data, 5, xor);
            }
            Self::Flow { key, to } => {
                let key = match key {
                    Flow::State => 0,
                    Flow::Status => 2,
                    Flow::Mark => 3,
                };
                data.be32(2, key).be32(1, to.number());
            }
            Self::DestinationKind { to } => {
                data.be32(3, 2).be32(2, 3).be32(1, to.number());
            }
            Self::Masquerade | Self::Counter => {}
            _ => self.write_action(data),
        }
    }

    fn write_action(&self, data: &mut Message) {
        match self {
            Self::Lookup { set, from, to, inverted } => {
                data.text(1, set).be32(2, from.number());
                if let Some(to) = to {
                    data.be32(3, to.number());
                }
                if *inverted {
                    data.be32(5, 1);
                }
            }
            Self::LookupVerdict { set, from } => {
                data.text(1, set).be32(2, from.number()).be32(3, 0);
            }
            Self::Immediate { to, data: constant } => {
                data.be32(1, to.number());
                value(data, IMMEDIATE_DATA, constant);
            }
            Self::Verdict(verdict) => {
                data.be32(1, 0).nested(IMMEDIATE_DATA, |data| verdict.write(data));
            }
            Self::TranslateDestination { family, address, port } => {
                write_translation(data, 1, *family, *address, *port);
            }
            Self::TranslateSource { family, address } => write_translation(data, 0, *family, *address, None),
            _ => {}
        }
    }
}

fn value(data: &mut Message, kind: u16, bytes: &[u8]) {
    data.nested(kind, |nested| {
        nested.bytes(VALUE, bytes);
    });
}

fn write_compare(data: &mut Message, from: Register, comparison: Comparison, with: &[u8]) {
    let operation = match comparison {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::Less => 2,
        Comparison::Greater => 4,
    };
    data.be32(1, from.number()).be32(2, operation);
    value(data, 3, with);
}

fn write_translation(data: &mut Message, kind: u32, family: u8, address: Register, port: Option<Register>) {
    data.be32(1, kind).be32(2, u32::from(family)).be32(3, address.number());
    if let Some(port) = port {
        data.be32(5, port.number());
    }
}

/// The chain the last expression of a rule jumps or goes to.
pub(super) fn jump_target(expressions: Attributes<'_>) -> Option<String> {
    let (_, last) = expressions.iter().last()?;
    let data = Attributes::new(last).nested(DATA)?;
    match read_verdict(data.nested(IMMEDIATE_DATA)?)? {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}
