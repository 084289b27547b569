//! What a version of the API shows of an answer; the engine's documents are complete, older and newer clients see less.

mod container;
mod event;
mod image;
mod network;
mod system;

pub(crate) use container::{inspect as container_inspect, summary as container_summary};
pub(crate) use event::{content_type as event_content_type, event};
pub(crate) use image::{inspect as image_inspect, summaries as image_summaries};
pub(crate) use network::{inspect as network_inspect, list as network_list};
pub(crate) use system::{Usage, disk_usage, info};

use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// The document as a tree that fields can be taken out of.
fn tree(document: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(500, error.to_string()))
}

/// Takes fields out of an object, keeping the order of the rest.
fn take_out(value: Option<&mut Value>, fields: &[&str]) {
    if let Some(Value::Object(map)) = value {
        for field in fields {
            map.shift_remove(*field);
        }
    }
}
