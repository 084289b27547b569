//! `moby.buildkit.v1.sourcepolicy`: rules that allow, deny and replace sources.

use std::collections::BTreeMap;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Action {
    /// Lets a source be used.
    Allow = 0,
    /// Refuses it.
    Deny = 1,
    /// Puts another in its place.
    Convert = 2,
}

/// How a selector's text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum MatchType {
    /// With `*`.
    Wildcard = 0,
    /// Letter by letter.
    Exact = 1,
    /// A regular expression.
    Regex = 2,
}

/// How an attribute is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum AttrMatch {
    /// The same text.
    Equal = 0,
    /// Another text.
    NotEqual = 1,
    /// A regular expression.
    Matches = 2,
}

/// Rules in their order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Policy {
    /// The form of the rules, 1.
    #[prost(int64, tag = "1")]
    pub version: i64,
    /// The rules.
    #[prost(message, repeated, tag = "2")]
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rule {
    /// What it does.
    #[prost(enumeration = "Action", tag = "1")]
    pub action: i32,
    /// To which sources.
    #[prost(message, tag = "2")]
    pub selector: Option<Selector>,
    /// What to put in their place.
    #[prost(message, tag = "3")]
    pub updates: Option<Update>,
}

/// What a source becomes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Update {
    /// Its name.
    #[prost(string, tag = "1")]
    pub identifier: String,
    /// Its attributes.
    #[prost(btree_map = "string, string", tag = "2")]
    pub attrs: BTreeMap<String, String>,
}

/// Which sources a rule is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Selector {
    /// Their names.
    #[prost(string, tag = "1")]
    pub identifier: String,
    /// How the text is meant.
    #[prost(enumeration = "MatchType", tag = "2")]
    pub match_type: i32,
    /// What their attributes have to be.
    #[prost(message, repeated, tag = "3")]
    pub constraints: Vec<AttrConstraint>,
}

/// What an attribute has to be.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttrConstraint {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
    /// How it is compared.
    #[prost(enumeration = "AttrMatch", tag = "3")]
    pub condition: i32,
}
