//! `start`: lets the command of a made container run.

use crate::Context;
use crate::arguments::parse;
use crate::failure::Result;

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[], false)?;
    context.store.load(parsed.id("start")?)?.start()?;
    Ok(0)
}
