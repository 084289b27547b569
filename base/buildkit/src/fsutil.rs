//! `fsutil.types`: files and their bytes as packets.

use std::collections::BTreeMap;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum PacketType {
    /// A file, from the sender, in order; the first one has number 0. Without a file: that was the last one.
    Stat = 0,
    /// The receiver wants the bytes of the file with this number.
    Req = 1,
    /// Bytes of a file; none: that was the last of them.
    Data = 2,
    /// The receiver has everything; the sender says the same, and that ends it.
    Fin = 3,
    /// It failed; the bytes say why.
    Err = 4,
}

/// The bits of a mode as Go has them, not as the kernel does.
pub mod mode {
    /// A directory.
    pub const DIR: u32 = 1 << 31;
    /// A symbolic link.
    pub const SYMLINK: u32 = 1 << 27;
    /// A device.
    pub const DEVICE: u32 = 1 << 26;
    /// A named pipe.
    pub const NAMED_PIPE: u32 = 1 << 25;
    /// A socket.
    pub const SOCKET: u32 = 1 << 24;
    /// Set user id.
    pub const SETUID: u32 = 1 << 23;
    /// Set group id.
    pub const SETGID: u32 = 1 << 22;
    /// A device is one of characters.
    pub const CHAR_DEVICE: u32 = 1 << 21;
    /// Sticky.
    pub const STICKY: u32 = 1 << 20;
    /// Neither file, directory nor any of these.
    pub const IRREGULAR: u32 = 1 << 19;
    /// All bits that say the kind; none of them: a file.
    pub const KIND: u32 = DIR | SYMLINK | NAMED_PIPE | SOCKET | DEVICE | CHAR_DEVICE | IRREGULAR;
}

/// A file, without its bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stat {
    /// Below the folder, with `/`, without one at the start.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Kind and permissions, in Go's bits ([`mode`]).
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    /// Its owner.
    #[prost(uint32, tag = "3")]
    pub uid: u32,
    /// Its group.
    #[prost(uint32, tag = "4")]
    pub gid: u32,
    /// Bytes.
    #[prost(int64, tag = "5")]
    pub size: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub mod_time: i64,
    /// What a symbolic link says; of a file: the earlier path it is a hard link to.
    #[prost(string, tag = "7")]
    pub linkname: String,
    /// Of a device.
    #[prost(int64, tag = "8")]
    pub devmajor: i64,
    /// Of a device.
    #[prost(int64, tag = "9")]
    pub devminor: i64,
    /// Extended attributes.
    #[prost(btree_map = "string, bytes", tag = "10")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What goes between sender and receiver.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packet {
    /// What it is.
    #[prost(enumeration = "PacketType", tag = "1")]
    pub r#type: i32,
    /// A file.
    #[prost(message, tag = "2")]
    pub stat: Option<Stat>,
    /// The number of a file.
    #[prost(uint32, tag = "3")]
    pub id: u32,
    /// Bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}
