//! What templates work on: Go's values as far as documents and tables have them.

use std::rc::Rc;

use serde_json::Value as Json;

/// How Go would have typed a null or a map, which decides how it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A slice.
    List,
    /// A map with free keys.
    Map,
    /// A struct with fixed fields.
    Struct,
    /// A pointer or interface.
    Pointer,
}

/// Something with computed fields: a row of a table.
pub trait Object {
    /// The value of a field or the answer of a method; None when there is no such one.
    fn field(&self, name: &str, arguments: &[Value]) -> Option<Value>;
    /// Go's name of the type, for messages.
    fn type_name(&self) -> &str;
    /// All fields, for `json`.
    fn to_json(&self) -> Json;
}

/// A document of a named type, whose unknown fields are told with that name.
pub struct Document {
    type_name: &'static str,
    json: Json,
}

impl Document {
    /// As a value for templates.
    #[expect(clippy::new_ret_no_self, reason = "documents only exist as values")]
    pub fn new(type_name: &'static str, json: Json) -> Value {
        Value::Object(Rc::new(Self { type_name, json }))
    }
}

impl Object for Document {
    fn field(&self, name: &str, _arguments: &[Value]) -> Option<Value> {
        self.json.get(name).map(|value| Value::convert(value, name, ""))
    }

    fn type_name(&self) -> &str {
        self.type_name
    }

    fn to_json(&self) -> Json {
        self.json.clone()
    }
}

/// A value.
#[derive(Clone)]
pub enum Value {
    /// Nothing at all (a missing map entry).
    Missing,
    /// A null of some type.
    Null(Shape),
    /// true or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(Rc<str>),
    /// A slice.
    List(Rc<Vec<Value>>),
    /// A map or struct; maps are sorted, structs in the order of the document.
    Map(Rc<Vec<(Rc<str>, Value)>>, Shape),
    /// A row.
    Object(Rc<dyn Object>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&super::print::plain(self))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// Keys whose values are maps with free keys in Docker's documents.
const MAPS: [&str; 24] = [
    "Labels",
    "Annotations",
    "Options",
    "DriverOpts",
    "Ports",
    "Networks",
    "Volumes",
    "ExposedPorts",
    "Sysctls",
    "Tmpfs",
    "PortBindings",
    "Data",
    "StorageOpt",
    "AuxiliaryAddresses",
    "AuxAddress",
    "Containers",
    "Services",
    "IndexConfigs",
    "Runtimes",
    "Attributes",
    "Metadata",
    "Details",
    "Storage",
    "TLSMaterial",
];
const POINTERS: [&str; 16] = [
    "IPAMConfig",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Healthcheck",
    "Health",
    "Init",
    "StopTimeout",
    "Status",
    "ClusterVolume",
    "UsageData",
    "Descriptor",
    "LastTagTime",
    "RuntimeOptions",
    "Commit",
    "Condition",
];

fn shape_of(key: &str, parent: &str) -> Shape {
    // `Config` is a struct in a container and a map in LogConfig; `Containers` is a map only in networks.
    match (parent, key) {
        (_, "Config") => {
            if parent == "LogConfig" {
                Shape::Map
            } else {
                Shape::Struct
            }
        }
        (_, "Status" | "UsageData") => Shape::Struct,
        _ if MAPS.contains(&key) => Shape::Map,
        _ => Shape::Struct,
    }
}

impl Value {
    /// From a document as the engine sent it.
    pub fn from_json(json: &Json) -> Self {
        Self::convert(json, "", "")
    }

    /// From a map with free keys.
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let mut entries: Vec<(Rc<str>, Self)> =
            entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        Self::Map(Rc::new(entries), Shape::Map)
    }

    fn convert(json: &Json, key: &str, parent: &str) -> Self {
        match json {
            Json::Null if POINTERS.contains(&key) => Self::Null(Shape::Pointer),
            Json::Null if shape_of(key, parent) == Shape::Map => Self::Null(Shape::Map),
            Json::Null => Self::Null(Shape::List),
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Array(items) => {
                Self::List(Rc::new(items.iter().map(|item| Self::convert(item, "", key)).collect()))
            }
            Json::Object(fields) => {
                let shape = shape_of(key, parent);
                let mut entries: Vec<(Rc<str>, Self)> = fields
                    .iter()
                    .map(|(name, value)| {
                        // The keys of a free map say nothing about the types of its values.
                        let hint = if shape == Shape::Map { "" } else { name.as_str() };
                        (name.as_str().into(), Self::convert(value, hint, key))
                    })
                    .collect();
                if shape == Shape::Map {
                    entries.sort_by(|one, other| one.0.cmp(&other.0));
                }
                Self::Map(Rc::new(entries), shape)
            }
        }
    }

    /// As JSON, fields in their order.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Missing | Self::Null(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Text(text) => Json::String(text.to_string()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries, _) => {
                Json::Object(entries.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect())
            }
            Self::Object(object) => object.to_json(),
        }
    }

    /// Go's truth: zero, empty and null are false.
    pub fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Null(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(_, Shape::Struct) | Self::Object(_) => true,
            Self::Map(entries, _) => !entries.is_empty(),
        }
    }

    /// The entry of a map or struct.
    pub fn entry(&self, key: &str) -> Option<Self> {
        match self {
            Self::Map(entries, _) => {
                entries.iter().find(|(held, _)| &**held == key).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// Go's name of the type, for messages.
    pub fn type_name(&self) -> String {
        match self {
            Self::Missing => "<nil>".to_owned(),
            Self::Null(Shape::Map) | Self::Map(..) => "map[string]interface {}".to_owned(),
            Self::Null(Shape::List) | Self::List(_) => "[]interface {}".to_owned(),
            Self::Null(_) => "interface {}".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::Text(_) => "string".to_owned(),
            Self::Object(object) => object.type_name().to_owned(),
        }
    }
}
