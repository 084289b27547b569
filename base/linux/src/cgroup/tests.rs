//! Tests against the kernel.
