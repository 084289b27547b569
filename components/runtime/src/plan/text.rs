//! Strings from documents as the kernel takes them.

use std::ffi::CString;

use crate::error::{Error, Result};

/// A zero-terminated copy; a zero inside is refused.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|error| {
        let text = String::from_utf8_lossy(&error.into_vec()).into_owned();
        Error::spec(format!("{text:?} contains a zero byte"))
    })
}

/// An absolute path without `.`, `..` (as far as text goes) and double slashes.
pub(crate) fn clean(path: &str) -> String {
    model::path::clean(&format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_become_absolute() {
        for (path, cleaned) in [("", "/"), ("a//b/./c", "/a/b/c"), ("/../../a/../b", "/b"), ("/a/", "/a")] {
            assert_eq!(clean(path), cleaned);
        }
    }
}
