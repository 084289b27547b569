//! `pause` and `resume`.

use crate::Context;
use crate::arguments::parse;
use crate::failure::Result;

pub(crate) fn pause(context: &Context, arguments: &[String]) -> Result<i32> {
    context.store.load(parse(arguments, &[], false)?.id("pause")?)?.pause()?;
    Ok(0)
}

pub(crate) fn resume(context: &Context, arguments: &[String]) -> Result<i32> {
    context.store.load(parse(arguments, &[], false)?.id("resume")?)?.resume()?;
    Ok(0)
}
