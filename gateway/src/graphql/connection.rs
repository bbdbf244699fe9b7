//! Lists in the Relay cursor form, read forward.

use std::borrow::Cow;

use async_graphql::connection::PageInfo;
use async_graphql::{Object, OutputType, TypeName};

use super::objects;
use crate::api::{self, Page};

/// A page of a list, its rows as `T` shows them.
pub(super) struct Connection<T> {
    edges: Vec<Edge<T>>,
    has_next_page: bool,
    has_previous_page: bool,
    total: i64,
}

/// A row with its cursor.
pub(super) struct Edge<T> {
    cursor: String,
    node: T,
}

impl<V, T: From<V>> From<Page<V>> for Connection<T> {
    fn from(page: Page<V>) -> Self {
        let Page { edges, has_next_page, has_previous_page, total } = page;
        let edge = |edge: api::Edge<V>| Edge { cursor: edge.cursor, node: T::from(edge.node) };
        Self { edges: edges.into_iter().map(edge).collect(), has_next_page, has_previous_page, total }
    }
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

impl<T: OutputType> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// One page of a list.
#[Object(name_type)]
impl<T: OutputType> Connection<T> {
    /// The rows, each with its cursor.
    async fn edges(&self) -> &[Edge<T>] {
        &self.edges
    }

    /// The rows alone.
    async fn nodes(&self) -> Vec<&T> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Whether there is more, and where it begins.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous_page,
            has_next_page: self.has_next_page,
            start_cursor: self.edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.clone()),
        }
    }

    /// Rows of the whole list.
    async fn total_count(&self) -> i32 {
        objects::int(self.total)
    }
}

/// A row of a list.
#[Object(name_type)]
impl<T: OutputType> Edge<T> {
    /// Opaque; give it as `after` to go on behind this row.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The row.
    async fn node(&self) -> &T {
        &self.node
    }
}
