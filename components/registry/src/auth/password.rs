//! Passwords: bcrypt hashes, checked one at a time, and remembered for a while when they were right.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A right password is not hashed again for so long.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Right passwords remembered at most.
const MOST: usize = 1024;
/// A hash that no password has: checking it takes as long as checking a real one.
const NOBODY: &str = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8.rG0Q2uJ2oYtdn6eS5v7wq5h0rVbW";
/// Bytes of a password at most (bcrypt looks at 72).
const LONGEST: usize = 1024;

/// Checks passwords.
pub(crate) struct Passwords {
    key: [u8; 32],
    right: Mutex<HashMap<[u8; 32], Instant>>,
    /// Held while hashing, so that guessing costs one processor at most.
    checking: Mutex<()>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        model::id::fill_random(&mut key);
        Self { key, right: Mutex::default(), checking: Mutex::default() }
    }

    /// Whether a password has this hash; without a hash the answer is no, as late as any other.
    pub(crate) fn is_right(&self, hash: Option<&str>, password: &str) -> bool {
        if password.len() > LONGEST {
            return false;
        }
        let mark = self.mark(hash.unwrap_or(NOBODY), password);
        let known = self.right.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).copied();
        if hash.is_some() && known.is_some_and(|since| since.elapsed() < REMEMBERED) {
            return true;
        }
        let fits = {
            let _one = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
            bcrypt::verify(password, hash.unwrap_or(NOBODY)).unwrap_or(false)
        };
        let is_right = fits && hash.is_some();
        if is_right {
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if right.len() >= MOST {
                right.clear();
            }
            right.insert(mark, Instant::now());
        }
        is_right
    }

    /// What stands for hash and password in memory; it tells neither without the key.
    fn mark(&self, hash: &str, password: &str) -> [u8; 32] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.key);
        let mut context = ring::hmac::Context::with_key(&key);
        context.update(hash.as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        let mut mark = [0; 32];
        mark.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        mark
    }
}

/// The hash of a new password, for configuration files.
///
/// # Errors
/// When the password holds a zero byte.
pub fn hash(password: &str) -> Result<String, String> {
    bcrypt::hash(password, 10).map_err(|error| error.to_string())
}

/// Names and hashes of an htpasswd file.
///
/// # Errors
/// When it can't be read, or a line has another hash than bcrypt.
pub(crate) fn htpasswd(path: &Path) -> Result<Vec<(String, String)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (name, hash) = line.split_once(':').unwrap_or((line, ""));
            if name.is_empty() || !hash.starts_with("$2") {
                return Err(format!("{} line {}: only bcrypt hashes are taken", path.display(), number + 1));
            }
            Ok((name.to_owned(), hash.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_right() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let passwords = Passwords::new();
        // A malformed one would be refused without the work, and tell by that.
        assert!(matches!(bcrypt::verify("secret", NOBODY), Ok(false)));
        assert!(passwords.is_right(Some(&hash), "secret"));
        assert!(passwords.is_right(Some(&hash), "secret"), "remembered");
        assert!(!passwords.is_right(Some(&hash), "Secret"));
        assert!(!passwords.is_right(Some("nonsense"), "secret"));
        assert!(!passwords.is_right(None, "secret"));
        assert!(!passwords.is_right(Some(&hash), &"x".repeat(LONGEST + 1)));
        let other = bcrypt::hash("other", 4).unwrap();
        assert!(!passwords.is_right(Some(&other), "secret"), "a changed password counts at once");
    }

    #[test]
    fn files_of_htpasswd() {
        let path = std::env::temp_dir().join(format!("wharf-htpasswd-{}", std::process::id()));
        std::fs::write(&path, "# users\na:$2y$05$x\n\nb:$2b$05$y\n").unwrap();
        assert_eq!(htpasswd(&path).unwrap().len(), 2);
        std::fs::write(&path, "a:plain\n").unwrap();
        assert!(htpasswd(&path).unwrap_err().ends_with("line 1: only bcrypt hashes are taken"));
        std::fs::remove_file(&path).unwrap();
    }
}
