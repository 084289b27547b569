//! Reads JSON as leniently as Go does: `null` is the zero value of anything, field names match in any case.
//!
//! A deserializer that wraps serde_json's: it learns each struct's field names from the derive, so no document needs
//! attributes for this. Duplicate fields are an error (row 17 of the security list), unlike in Go. Errors inside a
//! field begin with its name: `HostConfig: Memory: invalid type: ...`.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};

/// Reads one whole document.
///
/// # Errors
/// When the text is no JSON, has something after the document, or holds a value of the wrong type.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Lenient(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Reads a document from an already parsed value.
///
/// # Errors
/// When a value has the wrong type.
pub fn decode_value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, serde_json::Error> {
    T::deserialize(Lenient(value))
}

/// The wrapper around a deserializer, a seed or an access.
pub struct Lenient<D>(pub D);

/// What kind of zero value a `null` becomes.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Number,
    Text,
    List,
    Map,
    Struct(&'static [&'static str]),
}

/// Asks a typed question of a value known not to be null.
trait Ask<'de, V: Visitor<'de>> {
    fn ask<D: Deserializer<'de>>(self, input: D) -> Result<V::Value, D::Error>;
}

struct Typed<V> {
    kind: Kind,
    visitor: V,
    how: How,
}

/// Which of serde's questions to pass on.
#[derive(Clone, Copy)]
enum How {
    Bool,
    I64,
    U64,
    F64,
    Str,
    Seq,
    Map,
}

impl<'de, V: Visitor<'de>> Ask<'de, V> for Typed<V> {
    fn ask<D: Deserializer<'de>>(self, input: D) -> Result<V::Value, D::Error> {
        let visitor = Wrapped { visitor: self.visitor, kind: self.kind };
        match self.how {
            How::Bool => input.deserialize_bool(visitor),
            How::I64 => input.deserialize_i64(visitor),
            How::U64 => input.deserialize_u64(visitor),
            How::F64 => input.deserialize_f64(visitor),
            How::Str => input.deserialize_str(visitor),
            How::Seq => input.deserialize_seq(visitor),
            How::Map => input.deserialize_map(visitor),
        }
    }
}

/// Receives `none` for null and `some` for the rest.
impl<'de, V: Visitor<'de>> Visitor<'de> for Typed<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(out)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visit_unit()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.kind {
            Kind::Bool => self.visitor.visit_bool(false),
            Kind::Number => self.visitor.visit_u64(0),
            Kind::Text => self.visitor.visit_str(""),
            Kind::List => self.visitor.visit_seq(Nothing(std::marker::PhantomData)),
            Kind::Map | Kind::Struct(_) => self.visitor.visit_map(Nothing(std::marker::PhantomData)),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<V::Value, D::Error> {
        self.ask(input)
    }
}

/// An empty list or map.
struct Nothing<E>(std::marker::PhantomData<E>);

impl<'de, E: Error> SeqAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _seed: T) -> Result<Option<T::Value>, E> {
        Ok(None)
    }
}

impl<'de, E: Error> MapAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _seed: K) -> Result<Option<K::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _seed: S) -> Result<S::Value, E> {
        Err(E::custom("no value"))
    }
}

/// Passes values to the real visitor, wrapping everything nested.
struct Wrapped<V> {
    visitor: V,
    kind: Kind,
}

macro_rules! pass_on {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        fn $name<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$name(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrapped<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(out)
    }

    pass_on! {
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64,
        visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Lenient(input))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, input: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Lenient(input))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Lenient(access))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        match self.kind {
            Kind::Struct(fields) => self.visitor.visit_map(Fields { access, fields, current: None }),
            _ => self.visitor.visit_map(Lenient(access)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lenient<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Lenient(input))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Lenient(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Lenient<A> {
    type Error = A::Error;

    /// Keys stay as they are: map keys are data.
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Lenient(seed))
    }
}

/// The fields of a struct: keys become the spelling the struct knows.
struct Fields<A> {
    access: A,
    fields: &'static [&'static str],
    /// The field whose value comes next, when the struct knows it.
    current: Option<&'static str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.current = None;
        self.access.next_key_seed(FieldName { seed, fields: self.fields, found: &mut self.current })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.access.next_value_seed(Lenient(seed)).map_err(|error| match self.current {
            Some(name) => Error::custom(format_args!("{name}: {error}")),
            None => error,
        })
    }
}

struct FieldName<'f, K> {
    seed: K,
    fields: &'static [&'static str],
    found: &'f mut Option<&'static str>,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for FieldName<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<K::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for FieldName<'_, K> {
    type Value = K::Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<K::Value, E> {
        let exact = self.fields.iter().find(|field| **field == name);
        *self.found =
            exact.or_else(|| self.fields.iter().find(|field| field.eq_ignore_ascii_case(name))).copied();
        self.seed.deserialize(self.found.unwrap_or(name).into_deserializer())
    }
}

macro_rules! typed {
    ($($name:ident: $kind:ident, $how:ident;)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_option(Typed { kind: Kind::$kind, visitor, how: How::$how })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lenient<D> {
    type Error = D::Error;

    typed! {
        deserialize_bool: Bool, Bool;
        deserialize_i8: Number, I64;
        deserialize_i16: Number, I64;
        deserialize_i32: Number, I64;
        deserialize_i64: Number, I64;
        deserialize_u8: Number, U64;
        deserialize_u16: Number, U64;
        deserialize_u32: Number, U64;
        deserialize_u64: Number, U64;
        deserialize_f32: Number, F64;
        deserialize_f64: Number, F64;
        deserialize_char: Text, Str;
        deserialize_str: Text, Str;
        deserialize_string: Text, Str;
        deserialize_bytes: Text, Str;
        deserialize_byte_buf: Text, Str;
        deserialize_seq: List, Seq;
        deserialize_map: Map, Map;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Wrapped { visitor, kind: Kind::Map })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Wrapped { visitor, kind: Kind::Map })
    }

    /// Arrays of fixed length pad with zero values through the element type's own null.
    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Typed { kind: Kind::Struct(fields), visitor, how: How::Map })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Inner {
        name: String,
        count: u16,
        size: [u32; 2],
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Outer {
        text: String,
        list: Vec<String>,
        maybe: Option<Vec<Inner>>,
        map: BTreeMap<String, String>,
        inner: Inner,
        flag: bool,
        ratio: f64,
    }

    #[test]
    fn null_is_zero_everywhere() {
        let all_null =
            r#"{"Text":null,"List":null,"Maybe":null,"Map":null,"Inner":null,"Flag":null,"Ratio":null}"#;
        assert_eq!(decode::<Outer>(all_null.as_bytes()).unwrap(), Outer::default());
        let nested = decode::<Outer>(br#"{"List":[null,"a"],"Map":{"k":null},"Maybe":[null]}"#).unwrap();
        assert_eq!(nested.list, ["", "a"]);
        assert_eq!(nested.map["k"], "");
        assert_eq!(nested.maybe, Some(vec![Inner::default()]));
    }

    #[test]
    fn names_match_in_any_case_and_keys_stay() {
        let outer = decode::<Outer>(
            br#"{"tExT":"a","inner":{"NAME":"n","count":3,"SIZE":[1,2]},"x":{"y":[1]},"map":{"TEXT":"b"}}"#,
        )
        .unwrap();
        assert_eq!(outer.text, "a");
        assert_eq!(outer.inner, Inner { name: "n".into(), count: 3, size: [1, 2] });
        assert_eq!(outer.map["TEXT"], "b");
        assert_eq!(
            decode_value::<Outer>(&serde_json::json!({"TEXT": "a", "list": ["q"]})).unwrap().list,
            ["q"]
        );
    }

    #[test]
    fn wrong_documents_are_refused() {
        for text in
            ["", "{", "{}x", r#"{"Text":1}"#, r#"{"Text":"a","text":"b"}"#, r#"{"List":"a"}"#, "[]", "1"]
        {
            assert!(decode::<Outer>(text.as_bytes()).is_err(), "{text}");
        }
        for (text, wanted) in [
            (r#"{"text":1}"#, "Text: invalid type: integer `1`, expected a string"),
            (r#"{"Maybe":[{"Count":"x"}]}"#, "Maybe: Count: invalid type: string \"x\", expected u16"),
        ] {
            let error = decode::<Outer>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
        assert!(decode::<Outer>(b"null").is_ok());
    }
}
