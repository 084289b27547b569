//! System call filters: compiled once for each profile and capability set.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use linux::seccomp::{Host, Profile};

use super::security::SecurityOptions;
use crate::config::SeccompDefault;
use crate::{Error, Result};

/// Programs kept; profiles given as text are rare, so this is never reached by honest use.
const KEPT: usize = 64;

/// A profile's text (empty for Docker's) and capabilities.
type Key = (String, Vec<String>);

/// Compiled programs by profile and capabilities.
#[derive(Debug, Default)]
pub(crate) struct FilterCache {
    programs: Mutex<HashMap<Key, Arc<Vec<u8>>>>,
}

/// Which profile a container gets: its name in the cache and its text; `None` means no filter.
fn choose(
    options: &SecurityOptions,
    privileged: bool,
    default: &SeccompDefault,
) -> Option<(String, Option<String>)> {
    match options.seccomp.as_deref() {
        Some("unconfined") => None,
        Some("builtin") => Some((String::new(), None)),
        Some(text) => Some((text.to_owned(), Some(text.to_owned()))),
        None if privileged => None,
        None => match default {
            SeccompDefault::Builtin => Some((String::new(), None)),
            SeccompDefault::Unconfined => None,
            SeccompDefault::File { text, .. } => Some((text.clone(), Some(text.clone()))),
        },
    }
}

impl FilterCache {
    /// The program for a container with these capabilities; empty means no filter.
    ///
    /// # Errors
    /// `Decoding seccomp profile failed: ...`.
    pub(crate) fn program(
        &self,
        options: &SecurityOptions,
        privileged: bool,
        default: &SeccompDefault,
        capabilities: &[String],
    ) -> Result<Arc<Vec<u8>>> {
        let Some((name, text)) = choose(options, privileged, default) else {
            return Ok(Arc::default());
        };
        let key = (name, capabilities.to_vec());
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(&key) {
            return Ok(Arc::clone(program));
        }
        let profile = match &text {
            None => Profile::standard().map_err(|error| Error::caused("seccomp profile", error))?,
            Some(text) => Profile::parse(text.as_bytes())
                .map_err(|error| Error::caused("Decoding seccomp profile failed", error))?,
        };
        let document = profile.resolve(capabilities, &Host::detect());
        let program = linux::seccomp::compile(&document)
            .map_err(|error| Error::caused("compiling seccomp profile", error))?;
        if programs.len() >= KEPT {
            programs.clear();
        }
        let bytes = Arc::new(program.to_bytes());
        programs.insert(key, Arc::clone(&bytes));
        Ok(bytes)
    }
}
