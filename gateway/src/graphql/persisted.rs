//! Persisted queries: a document that was sent once goes by its hash from then on.
//!
//! The protocol is Apollo's *automatic persisted queries*. A client sends only the
//! SHA-256 of its document. If the gateway does not know it, it says so, the client
//! sends hash and document together once, and the hash is enough from then on. It
//! saves upload and nothing else: what is known is parsed, weighed and validated
//! like anything that is sent (`documents.rs`). Only documents that passed all of that are kept, the
//! least recently used goes first, and a gateway that forgot one is told it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{Request, ServerError, ValidationResult, Value};
use platform::error::Code;
use sha2::{Digest, Sha256};

use super::recent::Recent;
use crate::api::ApiError;

/// Documents that are kept.
const MOST: usize = 1_000;
/// And their bytes together: 4 MiB.
const MOST_BYTES: usize = 4 << 20;

type Hash = [u8; 32];

/// The documents that are known. Cheap to clone; clones are one store.
#[derive(Clone)]
pub(super) struct Persisted {
    known: Arc<Mutex<Recent<Hash, Arc<str>>>>,
}

impl Default for Persisted {
    fn default() -> Self {
        Self { known: Arc::new(Mutex::new(Recent::new(MOST, MOST_BYTES))) }
    }
}

/// A document to keep if it proves valid.
struct Candidate {
    hash: Hash,
    document: Arc<str>,
}

impl Persisted {
    /// Completes a request that has only a hash, or remembers to keep the document of
    /// one that has both. One without a hash is left as it is.
    ///
    /// # Errors
    /// `NOT_FOUND` with the protocol's own word for an unknown hash; `BAD_USER_INPUT`
    /// for a hash that is not the document's.
    pub(super) fn resolve(&self, request: &mut Request) -> Result<(), ApiError> {
        let Some(asked) = request.extensions.remove("persistedQuery") else { return Ok(()) };
        let hash = read(&asked).ok_or_else(|| {
            ApiError::bad_input("persistedQuery has a version, which is 1, and a sha256Hash of 64 hex digits")
        })?;
        if request.query.is_empty() {
            let known = self.lock().get(&hash);
            // The very word that clients look for.
            let document = known.ok_or_else(|| ApiError::new(Code::NotFound, "PersistedQueryNotFound"))?;
            request.query = document.to_string();
        } else if Hash::from(Sha256::digest(request.query.as_bytes())) == hash {
            request.data.insert(Candidate { hash, document: request.query.as_str().into() });
        } else {
            return Err(ApiError::bad_input("the sha256Hash is not that of the query"));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Hash, Arc<str>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash in a request's extension.
fn read(asked: &Value) -> Option<Hash> {
    let Value::Object(fields) = asked else { return None };
    let (Value::Number(version), Value::String(hash)) = (fields.get("version")?, fields.get("sha256Hash")?) else {
        return None;
    };
    if version.as_u64() != Some(1) || hash.len() != 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Hash::default();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Keeps what the executor has found valid, and nothing else.
impl ExtensionFactory for Persisted {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(self.clone())
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Persisted {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        if let Some(candidate) = ctx.data_opt::<Candidate>() {
            self.lock().keep(candidate.hash, Arc::clone(&candidate.document), candidate.document.len());
        }
        Ok(valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_hash_of_the_first_version_is_read() {
        let asked = |version: i32, hash: &str| {
            let json = serde_json::json!({ "version": version, "sha256Hash": hash });
            read(&Value::from_json(json).expect("JSON"))
        };
        let right = "ab".repeat(32);
        assert_eq!(asked(1, &right), Some([0xab; 32]));
        assert_eq!(asked(1, &right.to_uppercase()), Some([0xab; 32]));
        assert_eq!(asked(2, &right), None);
        for wrong in ["", "ab", &"xy".repeat(32), &"ä".repeat(32), &"+a".repeat(32)] {
            assert_eq!(asked(1, wrong), None, "{wrong}");
        }
        assert_eq!(read(&Value::Null), None);
    }
}
