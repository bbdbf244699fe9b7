//! Documents that were admitted: parsed, and of a bearable weight.
//!
//! A program sends the same few documents again and again, with other variables. To parse one
//! costs as much as to answer it, so what was admitted is kept as it was parsed, under its
//! text. Validation is not spared: that is the executor's, and it looks at the variables too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, ServerError};

use super::limits;
use super::recent::Recent;

/// Documents that are kept.
const MOST: usize = 500;
/// And the bytes of their texts together: 512 KiB. Parsed they are about ten times as large.
const MOST_BYTES: usize = 512 << 10;
/// What is longer is not kept: it would push out everything else.
const LONGEST: usize = 16 << 10;

/// The documents that are known. Cheap to clone; clones are one store.
#[derive(Clone)]
pub(super) struct Documents {
    known: Arc<Mutex<Recent<Arc<str>, Arc<ExecutableDocument>>>>,
}

impl Default for Documents {
    fn default() -> Self {
        Self { known: Arc::new(Mutex::new(Recent::new(MOST, MOST_BYTES))) }
    }
}

impl Documents {
    /// Parses a request's document, unless it is known, and tells whether the operation that
    /// is meant is a subscription.
    ///
    /// # Errors
    /// It is no GraphQL, or goes beyond a limit.
    pub(super) fn admit(&self, request: &mut Request) -> Result<bool, ServerError> {
        let known = self.lock().get(request.query.as_str());
        if let Some(document) = known {
            request.set_parsed_query(ExecutableDocument::clone(&document));
        } else {
            limits::admit(request)?;
            if may_be_kept(&request.query) {
                let (text, document) = (Arc::from(request.query.as_str()), Arc::new(request.parsed_query()?.clone()));
                self.lock().keep(text, document, request.query.len());
            }
        }
        limits::subscribes(request)
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Arc<str>, Arc<ExecutableDocument>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document with a text in quotation marks has its values in it instead of in variables: it will
/// hardly come again, and what is in it may be a password.
fn may_be_kept(text: &str) -> bool {
    text.len() <= LONGEST && !text.contains('"')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_known_means_the_same() {
        let documents = Documents::default();
        let text = "query Q { me { id } } subscription S($id: ID!) { orderUpdated(id: $id) { id } }";
        for (name, subscribes) in [("Q", false), ("S", true), ("Q", false), ("S", true)] {
            let mut request = Request::new(text).operation_name(name);
            assert_eq!(documents.admit(&mut request).unwrap(), subscribes, "{name}");
            assert_eq!(request.parsed_query().unwrap().operations.iter().count(), 2);
        }
        assert_eq!(documents.lock().get(text).unwrap().operations.iter().count(), 2);
    }

    #[test]
    fn a_password_is_not_kept() {
        let documents = Documents::default();
        let text = "mutation { logIn(email: \"ada@example.com\", password: \"secret\") { token } }";
        assert!(!documents.admit(&mut Request::new(text)).unwrap());
        assert!(documents.lock().get(text).is_none());
    }

    #[test]
    fn what_is_refused_is_refused_again_and_not_kept() {
        let documents = Documents::default();
        for text in ["{ me { id }".to_owned(), "{ a ".repeat(100), format!("{{ a{} }}", " ".repeat(300 << 10))] {
            for _ in 0..2 {
                assert!(documents.admit(&mut Request::new(text.as_str())).is_err());
            }
            assert!(documents.lock().get(text.as_str()).is_none());
        }
    }
}
