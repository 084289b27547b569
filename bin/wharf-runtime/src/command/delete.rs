//! `delete`: removes what is left of a container.

use runtime::store::Error;

use crate::Context;
use crate::arguments::{Flag, parse};
use crate::failure::Result;

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[Flag::short_switch("force", 'f')], false)?;
    let (id, force) = (parsed.id("delete")?, parsed.has("force"));
    match context.store.load(id) {
        Ok(container) => container.remove(force)?,
        // A creation that was cut short leaves a directory without a record.
        Err(Error::Absent) if context.store.forget(id).is_ok() || force => {}
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}
