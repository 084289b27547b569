//! Zero-terminated string lists as `execve` takes them, built before a clone and usable after it.

use std::ffi::{CStr, CString, c_char};

/// An argument or environment list.
#[derive(Debug)]
pub struct Arguments {
    strings: Vec<CString>,
    /// One per string, then the final null; with a spare slot there are two nulls.
    pointers: Vec<*const c_char>,
    spare: Option<Box<[u8]>>,
}

// SAFETY: the pointers lead only into the heap blocks that `strings` and `spare` own and nobody changes through `&self`.
unsafe impl Send for Arguments {}
// SAFETY: as above.
unsafe impl Sync for Arguments {}

/// A string has a zero byte inside.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} contains a zero byte")]
pub struct ZeroByte {
    /// The string.
    pub text: String,
}

impl Arguments {
    /// A list of strings.
    pub fn new<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Result<Self, ZeroByte> {
        let strings = strings
            .into_iter()
            .map(|text| {
                let text = text.as_ref();
                CString::new(text).map_err(|_| ZeroByte { text: String::from_utf8_lossy(text).into_owned() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Ok(Self { strings, pointers, spare: None })
    }

    /// Leaves room for one more string of at most `capacity` bytes, set later without allocation.
    pub fn with_spare(mut self, capacity: usize) -> Self {
        self.spare = Some(vec![0; capacity + 1].into_boxed_slice());
        self.pointers.push(std::ptr::null());
        self
    }

    /// Fills the spare string from pieces; false when there is no room for it.
    pub fn set_spare(&mut self, pieces: &[&[u8]]) -> bool {
        let Some(spare) = self.spare.as_deref_mut() else { return false };
        let mut rest = spare;
        for piece in pieces {
            if piece.len() >= rest.len() || piece.contains(&0) {
                return false;
            }
            let (room, behind) = rest.split_at_mut(piece.len());
            room.copy_from_slice(piece);
            rest = behind;
        }
        let Some(end) = rest.first_mut() else { return false };
        *end = 0;
        let slot = self.strings.len();
        if let (Some(pointer), Some(spare)) = (self.pointers.get_mut(slot), self.spare.as_deref()) {
            *pointer = spare.as_ptr().cast();
        }
        true
    }

    /// The strings, without the spare one.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.strings.iter().map(CString::as_c_str)
    }

    /// The first string.
    pub fn first(&self) -> Option<&CStr> {
        self.strings.first().map(CString::as_c_str)
    }

    /// The value of a `NAME=value` string.
    pub fn value_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().filter_map(|string| string.to_bytes().strip_prefix(name)?.strip_prefix(b"=")).last()
    }

    /// The list for the kernel; it lives as long as `self` and ends with a null.
    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_with_null() {
        let mut list = Arguments::new(["a", "B=c"]).unwrap().with_spare(8);
        assert_eq!(list.pointers.len(), 4);
        assert!(list.pointers[2].is_null());
        assert!(!list.set_spare(&[b"HOME=", b"/root/very/long"]));
        assert!(list.set_spare(&[b"HOME=", b"/x"]));
        assert!(!list.pointers[2].is_null() && list.pointers[3].is_null());
        assert_eq!(list.value_of(b"B"), Some(&b"c"[..]));
        assert_eq!(list.value_of(b"C"), None);
    }

    #[test]
    fn zero_bytes_are_refused() {
        assert_eq!(Arguments::new(["a\0b"]).unwrap_err(), ZeroByte { text: "a\0b".into() });
    }
}
