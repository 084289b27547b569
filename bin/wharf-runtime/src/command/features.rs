//! `features`: what the runtime can do.

use crate::failure::Result;

pub(crate) fn run() -> Result<i32> {
    super::print(&runtime::features::features())?;
    Ok(0)
}
