//! A batch of changes that happen together.

use super::{Chain, Element, Family, Place, Rule, Set, chain, rule, set, table};
use crate::Message;

const BEGIN: u16 = 16;
const END: u16 = 17;
const ACKNOWLEDGE: u16 = crate::message::ACKNOWLEDGE;
const GENERATION: u16 = 1;

/// Changes to be made all at once.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    changes: Vec<Message>,
    generation: Option<u32>,
    next_set_id: u32,
}

impl Transaction {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuse the whole transaction unless the rules are still in the state of that number.
    pub fn expect_generation(&mut self, generation: u32) -> &mut Self {
        self.generation = Some(generation);
        self
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn push(&mut self, message: Message) -> &mut Self {
        self.changes.push(message);
        self
    }

    /// Makes a table; no error when it is there.
    pub fn add_table(&mut self, family: Family, name: &str) -> &mut Self {
        self.push(table::add(family, name))
    }

    /// Deletes a table with all it holds. Add it first where it may be missing.
    pub fn delete_table(&mut self, family: Family, name: &str) -> &mut Self {
        self.push(table::delete(family, name))
    }

    /// Makes a chain; no error when it is there.
    pub fn add_chain(&mut self, family: Family, table: &str, chain: &Chain<'_>) -> &mut Self {
        self.push(chain::add(family, table, chain))
    }

    /// Deletes an empty chain.
    pub fn delete_chain(&mut self, family: Family, table: &str, name: &str) -> &mut Self {
        self.push(chain::delete(family, table, name))
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, family: Family, table: &str, chain: &str) -> &mut Self {
        self.push(rule::delete_all(family, table, chain))
    }

    /// Adds a rule at the chain's end.
    pub fn add_rule(&mut self, family: Family, table: &str, chain: &str, rule: &Rule) -> &mut Self {
        self.insert_rule(family, table, chain, rule, Place::Last)
    }

    /// Adds a rule at a place of the chain.
    pub fn insert_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        rule: &Rule,
        place: Place,
    ) -> &mut Self {
        self.push(rule::add(family, table, chain, rule, place))
    }

    /// Deletes one rule by its handle.
    pub fn delete_rule(&mut self, family: Family, table: &str, chain: &str, handle: u64) -> &mut Self {
        self.push(rule::delete(family, table, chain, handle))
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, family: Family, table: &str, set: &Set<'_>) -> &mut Self {
        self.next_set_id += 1;
        let id = self.next_set_id;
        self.push(set::add(family, table, set, id))
    }

    /// Adds elements; one that is there with the same value is no error.
    pub fn add_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element],
    ) -> &mut Self {
        if elements.is_empty() { self } else { self.push(set::add_elements(family, table, set, elements)) }
    }

    /// Deletes elements by key.
    pub fn delete_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element],
    ) -> &mut Self {
        if elements.is_empty() { self } else { self.push(set::delete_elements(family, table, set, elements)) }
    }

    /// Deletes all elements.
    pub fn flush_set(&mut self, family: Family, table: &str, set: &str) -> &mut Self {
        self.push(set::delete_elements(family, table, set, &[]))
    }

    /// The messages to be sent and the place of the last change; `None` when there is none.
    pub(super) fn finish(mut self) -> Option<(Vec<Message>, usize)> {
        self.changes.last_mut()?.add_flags(ACKNOWLEDGE);
        let last = self.changes.len();
        let subsystem = [0, 0, 0, 10];
        let mut begin = Message::new(BEGIN, 0).fixed(&subsystem);
        if let Some(generation) = self.generation {
            begin.be32(GENERATION, generation);
        }
        let mut messages = Vec::with_capacity(last + 2);
        messages.push(begin);
        messages.append(&mut self.changes);
        messages.push(Message::new(END, 0).fixed(&subsystem));
        Some((messages, last))
    }
}
