//! Checks a runtime against the OCI runtime specification, section by section, through runc's command line.
//!
//! The runtime is `wharf-runtime` from the same build, or the program that `CONFORMANCE_RUNTIME` names: runc and crun
//! run the same checks, which shows whether a check asks for something only we do. Checks of things that are newer than the
//! compared runtime print why they are passed over.
//!
//! It owns bundles, state directories and cgroups of its own and removes them. It must not know how wharf is built:
//! everything is seen through the command line, the container's own output and the kernel's files.
//!
//! Reading order: [`runtime`] (which program, and running it), [`bundle`] (a container of a check's own); the checks are
//! in the test binary, a file for each section of the specification.

pub mod bundle;
pub mod runtime;

pub use bundle::{Bundle, Ended};
pub use runtime::{is_wharf, needs};
