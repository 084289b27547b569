//! Netlink messages: building them attribute by attribute, and reading attributes back.

/// Length of a netlink header in bytes.
pub const HEADER_LENGTH: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_ECHO`.
pub const ECHO: u16 = 8;
/// `NLM_F_DUMP`.
pub const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;

/// One message being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of the given type; `REQUEST` is added to the flags.
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes }
    }

    /// Appends the family's fixed header.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Adds flags.
    pub fn add_flags(&mut self, flags: u16) {
        let all = self.flags() | flags;
        if let Some(field) = self.bytes.get_mut(6..8) {
            field.copy_from_slice(&all.to_ne_bytes());
        }
    }

    fn flags(&self) -> u16 {
        read_u16(&self.bytes, 6).unwrap_or(0)
    }

    /// An attribute of raw bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + ATTRIBUTE_HEADER).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// An attribute of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// An attribute in host byte order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// An attribute in host byte order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// An attribute in network byte order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// An attribute in network byte order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text attribute with its closing zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// An attribute holding attributes.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested_plain(kind | NESTED, fill)
    }

    /// As [`Self::nested`], without the nested flag (rtnetlink's older attributes).
    pub fn nested_plain(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes(kind, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// Raw bytes without an attribute header (the fixed header inside `VETH_INFO_PEER`).
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Appends the finished message to a send buffer.
    pub(crate) fn write_to(&self, buffer: &mut Vec<u8>, sequence: u32) {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        buffer.extend_from_slice(&length.to_ne_bytes());
        buffer.extend_from_slice(self.bytes.get(4..8).unwrap_or_default());
        buffer.extend_from_slice(&sequence.to_ne_bytes());
        buffer.extend_from_slice(self.bytes.get(12..).unwrap_or_default());
    }

    /// What follows the netlink header, for golden tests.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_LENGTH..).unwrap_or_default()
    }
}

pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(crate) fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

/// One message received.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Message type.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Which request it answers.
    pub sequence: u32,
    /// What follows the netlink header.
    pub body: &'a [u8],
}

/// Splits a datagram into messages; stops at the first malformed one.
pub fn split(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = read_u32(bytes, 0)? as usize;
        let received = Received {
            kind: read_u16(bytes, 4)?,
            flags: read_u16(bytes, 6)?,
            sequence: read_u32(bytes, 8)?,
            body: bytes.get(HEADER_LENGTH..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(received)
    })
}

/// Attributes of a received message.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes in these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All attributes: type and value.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut bytes = self.0;
        std::iter::from_fn(move || {
            let length = usize::from(read_u16(bytes, 0)?);
            let kind = read_u16(bytes, 2)? & TYPE_MASK;
            let value = bytes.get(ATTRIBUTE_HEADER..length)?;
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    /// The value of the first attribute of that type.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside the attribute of that type.
    pub fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Self)
    }

    /// A text value without its closing zero.
    pub fn text(self, kind: u16) -> Option<&'a str> {
        let value = self.get(kind)?;
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        std::str::from_utf8(value.get(..end)?).ok()
    }

    /// A value in host byte order.
    pub fn u32(self, kind: u16) -> Option<u32> {
        read_u32(self.get(kind)?, 0)
    }

    /// A value in network byte order.
    pub fn be32(self, kind: u16) -> Option<u32> {
        self.u32(kind).map(u32::from_be)
    }

    /// A value in network byte order.
    pub fn be64(self, kind: u16) -> Option<u64> {
        self.get(kind)?.get(..8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// A value of one byte.
    pub fn u8(self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_reads_back() {
        let mut message = Message::new(16, CREATE).fixed(&[7; 16]);
        message.text(3, "eth0").u32(4, 1500).nested(18, |inner| {
            inner.text(1, "veth").be32(2, 9);
        });
        let mut wire = Vec::new();
        message.write_to(&mut wire, 42);
        assert_eq!(wire.len() % 4, 0);
        let received: Vec<_> = split(&wire).collect();
        assert_eq!((received[0].kind, received[0].sequence, received.len()), (16, 42, 1));
        assert_eq!(received[0].flags, CREATE | REQUEST);
        let attributes = Attributes::new(&received[0].body[16..]);
        assert_eq!(attributes.text(3), Some("eth0"));
        assert_eq!(attributes.u32(4), Some(1500));
        let inner = attributes.nested(18).unwrap();
        assert_eq!((inner.text(1), inner.be32(2), inner.get(9)), (Some("veth"), Some(9), None));
    }

    #[test]
    fn malformed_input_ends_the_iteration() {
        for bytes in [&[][..], &[1, 2, 3], &[255; 16], &[0; 20], &[8, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(split(bytes).count() <= 1);
            assert!(Attributes::new(bytes).iter().count() <= 2, "{bytes:?}");
        }
    }
}
