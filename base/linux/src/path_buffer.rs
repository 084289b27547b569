//! A path built in place, without allocation, for code that runs between clone and exec.

use std::ffi::CStr;

use crate::{Errno, SysResult};

/// As long as the kernel accepts paths, with the final zero.
const CAPACITY: usize = 4096;

/// A zero-terminated path of at most 4095 bytes on the stack.
pub struct PathBuffer {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl PathBuffer {
    /// The empty path.
    pub fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0 }
    }

    /// A copy of a path.
    pub fn from_bytes(path: &[u8]) -> SysResult<Self> {
        let mut buffer = Self::new();
        buffer.append(path)?;
        Ok(buffer)
    }

    /// Appends bytes as they are; ENAMETOOLONG when they do not fit, EINVAL for a zero byte.
    pub fn append(&mut self, bytes: &[u8]) -> SysResult<()> {
        if bytes.contains(&0) {
            return Err(Errno::INVAL);
        }
        let end = self.length + bytes.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(Errno::NAMETOOLONG)?;
        if end >= CAPACITY {
            return Err(Errno::NAMETOOLONG);
        }
        room.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Appends a component, with a slash before it where one is needed.
    pub fn push(&mut self, component: &[u8]) -> SysResult<()> {
        if self.length > 0 && !self.as_bytes().ends_with(b"/") {
            self.append(b"/")?;
        }
        self.append(component)
    }

    /// Removes the last component; nothing remains of a single one.
    pub fn pop(&mut self) {
        let end = self.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.truncate(end);
    }

    /// Cuts to a length.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.bytes[length..self.length].fill(0);
            self.length = length;
        }
    }

    /// The path's bytes without the final zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The path for a system call.
    pub fn as_c_str(&self) -> &CStr {
        // A zero always follows: `append` leaves at least one byte and `truncate` clears what it cuts.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Default for PathBuffer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_and_shrink() {
        let mut path = PathBuffer::new();
        path.push(b"a").unwrap();
        path.push(b"bc").unwrap();
        assert_eq!(path.as_c_str(), c"a/bc");
        path.pop();
        assert_eq!(path.as_c_str(), c"a");
        path.pop();
        assert_eq!(path.as_c_str(), c"");
    }

    #[test]
    fn limits_hold() {
        let mut path = PathBuffer::from_bytes(&[b'x'; 4095]).unwrap();
        assert_eq!(path.append(b"y"), Err(Errno::NAMETOOLONG));
        assert_eq!(path.as_c_str().count_bytes(), 4095);
        assert!(PathBuffer::from_bytes(&[b'x'; 4096]).is_err());
        assert!(matches!(PathBuffer::from_bytes(b"a\0b"), Err(Errno::INVAL)));
    }
}
