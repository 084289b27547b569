//! Go's text templates, as `--format` takes them: parse once, run over values.
//!
//! [`syntax`] is the tree, [`lexer`] cuts actions into tokens, [`parser`] builds the tree, [`eval`] walks it over a
//! [`Value`]; [`function`] holds Go's and docker's functions, [`verb`] the verbs of `printf`.

mod eval;
mod function;
mod lexer;
mod parser;
mod print;
mod syntax;
#[cfg(test)]
mod tests;
mod value;
mod verb;

pub use eval::ExecError;
pub use lexer::ParseError;
pub use value::{Document, Object, Shape, Value};

use std::collections::BTreeMap;

/// A parsed template with the templates it defines.
#[derive(Debug)]
pub struct Template {
    root: Vec<syntax::Node>,
    defined: BTreeMap<String, Vec<syntax::Node>>,
    source: String,
    name: &'static str,
}

impl Template {
    /// Parses the text.
    ///
    /// # Errors
    /// With Go's wording: `template: :1: unclosed action` and such.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let (root, defined) = parser::parse(source)?;
        Ok(Self { root, defined, source: source.to_owned(), name: "" })
    }

    /// The same under a name, which messages tell.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Runs the template over a value.
    ///
    /// # Errors
    /// With Go's wording: `template: :1:2: executing "" at <.X>: ...`.
    pub fn execute(&self, data: &Value) -> Result<String, ExecError> {
        eval::run(self, data, false).map_err(|error| error.within(self.name))
    }

    /// Runs the template over the headings of a table: docker's functions leave those as they are.
    ///
    /// # Errors
    /// As [`Template::execute`].
    pub fn execute_headings(&self, data: &Value) -> Result<String, ExecError> {
        eval::run(self, data, true).map_err(|error| error.within(self.name))
    }

    /// Whether the template names the field anywhere.
    pub fn mentions(&self, field: &str) -> bool {
        self.source.contains(field)
    }
}
