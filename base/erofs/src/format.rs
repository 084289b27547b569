//! The numbers of the on-disk format.

use crate::ErofsError;

/// Bytes in a block, of the image and of its devices.
pub(crate) const BLOCK: u64 = 512;
/// Exponent of that.
pub(crate) const BLOCK_BITS: u8 = 9;
/// Where the superblock is.
pub(crate) const SUPER: usize = 1024;
/// Bytes of the superblock, and of an entry in the table of devices behind it.
pub(crate) const SUPER_SIZE: usize = 128;
pub(crate) const DEVICE_SIZE: usize = 128;
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;
/// Times in inodes are those of modification.
pub(crate) const COMPATIBLE_MTIME: u32 = 0x2;
pub(crate) const CHUNKED: u32 = 0x4;
pub(crate) const DEVICE_TABLE: u32 = 0x8;

/// Unit of inode numbers, bytes.
pub(crate) const SLOT: u64 = 32;
/// Bytes of an inode.
pub(crate) const INODE: u64 = 64;
/// Inodes have 64 bytes (the other form has 32 and no time).
pub(crate) const EXTENDED: u16 = 1;

/// Where an inode's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In blocks of the image.
    Plain = 0,
    /// Behind the inode.
    Inline = 2,
    /// In chunks listed behind the inode.
    Chunks = 4,
}

/// Each chunk has an entry of eight bytes, with a device.
pub(crate) const CHUNK_INDEXES: u16 = 0x20;
pub(crate) const CHUNK_BITS: u16 = 0x1f;
pub(crate) const CHUNK_ENTRY: u64 = 8;
/// The block of a hole.
pub(crate) const HOLE: u32 = u32::MAX;

/// Bytes before a name in a directory.
pub(crate) const DIRENT: usize = 12;

/// Bytes of the header before an inode's attributes.
pub(crate) const XATTR_HEADER: u64 = 12;
/// Prefixes of attributes and their numbers.
pub(crate) const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

pub(crate) const S_IFMT: u16 = 0o170_000;
pub(crate) const S_IFIFO: u16 = 0o010_000;
pub(crate) const S_IFCHR: u16 = 0o020_000;
pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFBLK: u16 = 0o060_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;

/// The kind of a node in a directory's entry.
pub(crate) fn entry_kind(mode: u16) -> u8 {
    match mode & S_IFMT {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// A device's numbers as one.
pub(crate) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

pub(crate) fn decode_device(number: u32) -> (u32, u32) {
    ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00))
}

/// Reads little-endian numbers at places of an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'image>(pub(crate) &'image [u8]);

impl<'image> Bytes<'image> {
    pub(crate) fn get(self, at: u64, length: u64) -> Result<&'image [u8], ErofsError> {
        let range = || {
            let start = usize::try_from(at).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            self.0.get(start..end)
        };
        range().ok_or(ErofsError::Damaged { what: "something is beyond its end" })
    }

    fn array<const N: usize>(self, at: u64) -> Result<[u8; N], ErofsError> {
        let bytes = self.get(at, N as u64)?;
        bytes.try_into().map_err(|_| ErofsError::Damaged { what: "something is beyond its end" })
    }

    pub(crate) fn u8(self, at: u64) -> Result<u8, ErofsError> {
        self.array(at).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(self, at: u64) -> Result<u16, ErofsError> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(self, at: u64) -> Result<u32, ErofsError> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(self, at: u64) -> Result<u64, ErofsError> {
        self.array(at).map(u64::from_le_bytes)
    }
}
