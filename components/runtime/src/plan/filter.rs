//! The system call filter, compiled by the caller.

use linux::seccomp::{Program, compile};
use oci::runtime::Seccomp;

use crate::error::{Error, Result};

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The program.
    pub(crate) program: Program,
    /// CAP_SYS_ADMIN is needed to install it, because privileges may still be gained.
    pub(crate) needs_privilege: bool,
}

impl Filter {
    /// A compiled program as it is, or a document compiled here.
    pub(crate) fn new(
        bytes: Option<Vec<u8>>,
        document: Option<&Seccomp>,
        no_new_privileges: bool,
    ) -> Result<Option<Self>> {
        let program = match (bytes, document) {
            (Some(bytes), _) => Program::from_bytes(&bytes),
            (None, Some(document)) => compile(document),
            (None, None) => return Ok(None),
        };
        let program = program.map_err(|source| Error::Seccomp { source: Box::new(source) })?;
        Ok(Some(Self { program, needs_privilege: !no_new_privileges }))
    }
}
