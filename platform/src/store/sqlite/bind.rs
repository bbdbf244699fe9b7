//! A struct's fields as a statement's parameters, by name.

use std::fmt::Display;

use rusqlite::types::Null;
use rusqlite::{CachedStatement, ToSql};
use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeStruct, Serializer};

/// Binds each field of `row` to the parameter of its name; `names` are the parameters' names
/// in their order. A field that no parameter asks for is left out; a parameter that no field
/// is for is NULL, as a field is that a JSON object does not have.
///
/// # Errors
/// `row` is no struct, or SQLite refuses a value.
pub(super) fn bind(
    statement: &mut CachedStatement<'_>,
    names: &[String],
    row: &impl Serialize,
) -> rusqlite::Result<()> {
    statement.clear_bindings();
    row.serialize(Fields { statement, names, next: 0, key: None }).map_err(|failure| match failure {
        Failure::Sqlite(error) => error,
        Failure::Compound => not_bound("a row is a struct"),
        Failure::Said(said) => not_bound(&said),
    })
}

fn not_bound(why: &str) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(why.into())
}

/// Why a value was not bound.
#[derive(Debug)]
enum Failure {
    Sqlite(rusqlite::Error),
    /// It is a list or an object: its JSON can be bound.
    Compound,
    Said(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Compound => f.write_str("a list or an object"),
            Self::Said(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Failure {}

impl ser::Error for Failure {
    fn custom<T: Display>(said: T) -> Self {
        Self::Said(said.to_string())
    }
}

/// The fields of a row.
struct Fields<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    names: &'s [String],
    /// Which parameter is asked first: fields mostly stand in the order of the parameters.
    next: usize,
    /// Of a map: the key whose value comes next.
    key: Option<String>,
}

impl Fields<'_, '_> {
    fn bind<T: ?Sized + Serialize>(&mut self, key: &str, value: &T) -> Result<(), Failure> {
        let count = self.names.len();
        let Some(index) = (0..count).map(|offset| (self.next + offset) % count).find(|index| self.names[*index] == key)
        else {
            return Ok(());
        };
        self.next = index + 1;
        // Parameters are counted from 1.
        match value.serialize(Value { statement: &mut *self.statement, index: index + 1 }) {
            Err(Failure::Compound) => {
                let json = serde_json::to_string(value).map_err(ser::Error::custom)?;
                Value { statement: &mut *self.statement, index: index + 1 }.set(json)
            }
            other => other,
        }
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), Failure> {
        self.bind(key, value)
    }

    fn end(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl SerializeMap for Fields<'_, '_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Failure> {
        let key = serde_json::to_value(key).map_err(ser::Error::custom)?;
        self.key = key.as_str().map(str::to_owned);
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        match self.key.take() {
            Some(key) => self.bind(&key, value),
            None => Ok(()),
        }
    }

    fn end(self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The methods of a serializer that does not take a list, an object or anything like it.
macro_rules! compounds {
    ($($method:ident($($argument:ty),*) -> $kind:ident;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<Self::$kind, Failure> {
            Err(Failure::Compound)
        }
    )*};
}

/// The methods of a serializer that takes no such value by itself.
macro_rules! scalars {
    ($($method:ident($kind:ty);)*) => {$(
        fn $method(self, _: $kind) -> Result<(), Failure> {
            Err(Failure::Compound)
        }
    )*};
}

impl Serializer for Fields<'_, '_> {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Impossible<(), Failure>;
    type SerializeTuple = Impossible<(), Failure>;
    type SerializeTupleStruct = Impossible<(), Failure>;
    type SerializeTupleVariant = Impossible<(), Failure>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Failure>;

    scalars! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64); serialize_f32(f32);
        serialize_f64(f64); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_unit_struct(&'static str);
    }

    compounds! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
        serialize_unit_variant(&'static str, u32, &'static str) -> Ok;
        serialize_unit() -> Ok;
        serialize_none() -> Ok;
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Failure> {
        Err(Failure::Compound)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Failure> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Failure> {
        Ok(self)
    }
}

/// One parameter.
struct Value<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    index: usize,
}

impl Value<'_, '_> {
    fn set(self, value: impl ToSql) -> Result<(), Failure> {
        self.statement.raw_bind_parameter(self.index, value).map_err(Failure::Sqlite)
    }
}

/// The methods of a serializer that binds such a value as it is.
macro_rules! bound {
    ($($method:ident($kind:ty);)*) => {$(
        fn $method(self, value: $kind) -> Result<(), Failure> {
            self.set(value)
        }
    )*};
}

impl Serializer for Value<'_, '_> {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Impossible<(), Failure>;
    type SerializeTuple = Impossible<(), Failure>;
    type SerializeTupleStruct = Impossible<(), Failure>;
    type SerializeTupleVariant = Impossible<(), Failure>;
    type SerializeMap = Impossible<(), Failure>;
    type SerializeStruct = Impossible<(), Failure>;
    type SerializeStructVariant = Impossible<(), Failure>;

    bound! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_f32(f32); serialize_f64(f64);
        serialize_str(&str);
    }

    compounds! {
        serialize_bytes(&[u8]) -> Ok;
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_u64(self, value: u64) -> Result<(), Failure> {
        match i64::try_from(value) {
            Ok(value) => self.set(value),
            Err(_) => Err(Failure::Said(format!("{value} is more than a BIGINT holds"))),
        }
    }

    fn serialize_char(self, value: char) -> Result<(), Failure> {
        self.set(value.encode_utf8(&mut [0; 4]) as &str)
    }

    fn serialize_none(self) -> Result<(), Failure> {
        self.set(Null)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failure> {
        self.set(Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Failure> {
        self.set(Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Failure> {
        self.set(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Failure> {
        Err(Failure::Compound)
    }
}
