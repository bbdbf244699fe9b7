//! Rows as structs: one way of reading them for both engines.
//!
//! A row type is a struct with `#[derive(Deserialize)]` whose fields have the names of the
//! columns; or a tuple, which has the columns in their order. Columns are TEXT and BIGINT (and here and there a condition, which is a BOOL on
//! Postgres and a number on SQLite), so three kinds of value and NULL are all there is.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor, value};
use serde::forward_to_deserialize_any;
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use super::StoreError;

/// A row type that both engines can fill.
pub trait Row: DeserializeOwned + Send + 'static {}
impl<T: DeserializeOwned + Send + 'static> Row for T {}

/// What stands in a column.
#[derive(Clone, Copy)]
pub(super) enum Value<'r> {
    Null,
    Number(i64),
    Text(&'r str),
    Truth(bool),
}

/// A row of either engine.
pub(super) trait Columns {
    fn count(&self) -> usize;
    fn name(&self, index: usize) -> &str;
    /// # Errors
    /// It is of a type that no column of ours has.
    fn value(&self, index: usize) -> Result<Value<'_>, String>;
}

/// Reads a row.
///
/// # Errors
/// [`StoreError::Refused`]: its columns are not those of the struct.
pub(super) fn read<T: Row>(row: &impl Columns) -> Result<T, StoreError> {
    T::deserialize(Fields { row, next: 0 }).map_err(|error| StoreError::Refused(format!("a row: {error}")))
}

/// A row's columns, one after the other.
struct Fields<'r, C> {
    row: &'r C,
    next: usize,
}

impl<'de, C: Columns> Deserializer<'de> for Fields<'_, C> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _count: usize, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple_struct map struct enum identifier ignored_any
    }
}

impl<C: Columns> Fields<'_, C> {
    fn value_of_next<'de, V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, value::Error> {
        let index = self.next;
        self.next += 1;
        let named = |error: String| value::Error::custom(format!("column {:?}: {error}", self.row.name(index)));
        let value = self.row.value(index).map_err(named)?;
        seed.deserialize(Field(value)).map_err(|error| named(error.to_string()))
    }
}

impl<'de, C: Columns> SeqAccess<'de> for Fields<'_, C> {
    type Error = value::Error;

    fn next_element_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<Option<V::Value>, Self::Error> {
        if self.next == self.row.count() { Ok(None) } else { self.value_of_next(seed).map(Some) }
    }
}

impl<'de, C: Columns> MapAccess<'de> for Fields<'_, C> {
    type Error = value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        if self.next == self.row.count() {
            return Ok(None);
        }
        seed.deserialize(StrDeserializer::new(self.row.name(self.next))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        self.value_of_next(seed)
    }
}

struct Field<'r>(Value<'r>);

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            Value::Number(number) => visitor.visit_i64(number),
            Value::Text(text) => visitor.visit_str(text),
            Value::Truth(truth) => visitor.visit_bool(truth),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            Value::Number(_) | Value::Text(_) | Value::Truth(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Number(number) => visitor.visit_bool(number != 0),
            Value::Null | Value::Text(_) | Value::Truth(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl Columns for PgRow {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, index: usize) -> &str {
        self.column(index).name()
    }

    fn value(&self, index: usize) -> Result<Value<'_>, String> {
        let raw = self.try_get_raw(index).map_err(|error| error.to_string())?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let kind = raw.type_info();
        match kind.name() {
            "INT8" => self.try_get(index).map(Value::Number),
            "INT4" => self.try_get::<i32, _>(index).map(|number| Value::Number(number.into())),
            "BOOL" => self.try_get(index).map(Value::Truth),
            "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => self.try_get(index).map(Value::Text),
            other => return Err(format!("a {other}, which no row of ours holds")),
        }
        .map_err(|error| error.to_string())
    }
}
