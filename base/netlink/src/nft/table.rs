//! Tables.

use super::{Family, message};
use crate::Message;
use crate::message::CREATE;

const NEW: u16 = 0;
const GET: u16 = 1;
const DELETE: u16 = 2;
pub(super) const NAME: u16 = 1;

pub(super) fn add(family: Family, name: &str) -> Message {
    let mut message = message(NEW, CREATE, family.number());
    message.text(NAME, name);
    message
}

pub(super) fn delete(family: Family, name: &str) -> Message {
    let mut message = message(DELETE, 0, family.number());
    message.text(NAME, name);
    message
}

pub(super) fn get_all(family: Family) -> Message {
    message(GET, 0, family.number())
}
