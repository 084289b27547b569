//! The error document that every failed call answers.

use serde::{Deserialize, Serialize};

/// `{"message": "..."}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponse {
    /// What went wrong, for people.
    pub message: String,
}
