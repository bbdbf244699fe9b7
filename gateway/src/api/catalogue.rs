//! The catalogue's pages, remembered for a moment: a *micro-cache*.
//!
//! The catalogue is what strangers ask for most, it is the same for everybody, and
//! it is a read model: what it says was true a moment ago, never now. So a page may
//! as well be served for a moment longer. That moment ([`FRESH`]) is far below what
//! a person notices, and a thousand visitors in it cost the query service one
//! question instead of a thousand. Who asks while the question is under way waits
//! for its answer (*single flight*); a failure is nobody's answer, and the next one
//! asks again.
//!
//! Nothing has to be told to it when a product changes: there is nothing to forget
//! that is not forgotten a moment later. One product, by its SKU, is never answered
//! from here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::{ApiError, Page, Product};

/// How long after it was asked for a page is served.
const FRESH: Duration = Duration::from_millis(100);

/// Pages that are remembered at once: a bound on the memory that strangers'
/// searches can take.
const MOST: usize = 256;

/// What tells one page from another: search words, rows, cursor.
pub(super) type Key = (String, i32, Option<String>);

/// The pages. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub(super) struct Catalogue {
    pages: Arc<Mutex<HashMap<Key, Slot>>>,
}

#[derive(Clone)]
struct Slot {
    asked_at: Instant,
    page: Arc<OnceCell<Page<Product>>>,
}

impl Catalogue {
    /// The page under `key`, as `ask` answered it less than [`FRESH`] before `now`, or
    /// answers now.
    pub(super) async fn page<F: Future<Output = Result<Page<Product>, ApiError>>>(
        &self,
        key: Key,
        now: Instant,
        ask: impl FnOnce() -> F,
    ) -> Result<Page<Product>, ApiError> {
        self.slot(key, now).get_or_try_init(ask).await.cloned()
    }

    fn slot(&self, key: Key, now: Instant) -> Arc<OnceCell<Page<Product>>> {
        let is_fresh = |slot: &Slot| now.saturating_duration_since(slot.asked_at) < FRESH;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = pages.get(&key).filter(|slot| is_fresh(slot)) {
            return Arc::clone(&slot.page);
        }
        if pages.len() >= MOST {
            pages.retain(|_, slot| is_fresh(slot));
        }
        let page = Arc::new(OnceCell::new());
        // Still full of what is fresh: this one is asked for and not remembered.
        if pages.len() < MOST {
            pages.insert(key, Slot { asked_at: now, page: Arc::clone(&page) });
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use platform::error::Code;

    use super::*;

    fn key(search: &str) -> Key {
        (search.to_owned(), 20, None)
    }

    fn page(total: i64) -> Page<Product> {
        Page { edges: Vec::new(), has_next_page: false, has_previous_page: false, total }
    }

    #[tokio::test]
    async fn those_who_ask_at_once_are_one_question() {
        let (catalogue, asked, now) = (Catalogue::default(), AtomicUsize::new(0), Instant::now());
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(page(7))
        };
        let answers = join_all((0..50).map(|_| catalogue.page(key("mug"), now, ask))).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok_and(|page| page.total == 7)));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        catalogue.page(key("cup"), now, ask).await.expect("is answered");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_page_is_asked_for_again_once_it_is_no_longer_fresh() {
        let (catalogue, begun) = (Catalogue::default(), Instant::now());
        for (after, answer, expected) in [(Duration::ZERO, 1, 1), (FRESH / 2, 2, 1), (FRESH, 3, 3), (FRESH, 4, 3)] {
            let seen = catalogue.page(key(""), begun + after, || async { Ok(page(answer)) }).await;
            assert_eq!(seen.expect("is answered").total, expected, "{after:?} later");
        }
    }

    #[tokio::test]
    async fn a_failure_is_nobody_s_answer() {
        let (catalogue, now) = (Catalogue::default(), Instant::now());
        let away = || async { Err(ApiError::new(Code::Unavailable, "away")) };
        catalogue.page(key(""), now, away).await.expect_err("it is away");
        let next = catalogue.page(key(""), now, || async { Ok(page(1)) }).await;
        assert_eq!(next.expect("is answered").total, 1);
    }

    #[tokio::test]
    async fn strangers_searches_take_no_more_than_their_room() {
        let (catalogue, begun) = (Catalogue::default(), Instant::now());
        let search = async |number: usize, now: Instant| {
            let answered = catalogue.page(key(&number.to_string()), now, || async { Ok(page(1)) }).await;
            answered.expect("is answered");
            catalogue.pages.lock().expect("is whole").len()
        };
        for number in 0..2 * MOST {
            assert!(search(number, begun).await <= MOST);
        }
        assert_eq!(search(MOST, begun + FRESH).await, 1, "what is no longer fresh makes room");
    }
}
