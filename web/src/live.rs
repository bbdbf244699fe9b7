//! An order's page, live: *server-sent events* (the browser's `EventSource`).
//!
//! An answer that does not end; each message is `event: order` with a fragment of HTML, drawn by
//! the same template as the page. The first says how things stand, so a browser that reconnects
//! has missed nothing. Comments in between keep proxies from closing a quiet connection.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use gateway::ApiError;
use gateway::api::{OrderStream, OrderWithTimeline};
use platform::error::Code;
use tokio::time::{sleep, timeout};

use crate::Shop;
use crate::error::PageError;
use crate::form::Segment;
use crate::pages::order::{LivePart, not_found, now};
use crate::session::Visitor;

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Then the browser connects anew, and is asked again who it is: a session that has ended does
/// not look on for ever.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// What other services say last (a message was sent) makes no new version of the order. So after
/// each version the timeline is looked at again, this much later each time.
const LATE_WORDS: [Duration; 3] = [Duration::from_millis(400), Duration::from_secs(2), Duration::from_secs(6)];

/// `GET /orders/{id}/events`.
pub(crate) async fn events(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
) -> Result<Response, PageError> {
    let orders = shop.api.watch(&visitor.caller, &id, None).await.map_err(refusal)?;
    let drawn = draw(shop, visitor, orders).take_until(sleep(LONGEST));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    Ok(Sse::new(drawn).keep_alive(keep_alive).into_response())
}

fn refusal(error: ApiError) -> PageError {
    if error.code == Code::NotFound { not_found() } else { error.into() }
}

/// What is being watched, between two messages.
struct Watch {
    shop: Shop,
    visitor: Visitor,
    orders: OrderStream,
    /// How many late words were waited for since the last version.
    looks: usize,
    shown: Option<OrderWithTimeline>,
}

fn draw(shop: Shop, visitor: Visitor, orders: OrderStream) -> impl Stream<Item = Result<Event, Infallible>> {
    let watch = Watch { shop, visitor, orders, looks: 0, shown: None };
    stream::unfold(watch, |mut watch| async move {
        let found = watch.next().await?;
        let html = LivePart::new(&watch.visitor, &found, now(&watch.shop)).render();
        let event = match html {
            // A carriage return would end a line of the stream.
            Ok(html) => Event::default().event("order").data(html.replace('\r', "")),
            Err(cause) => {
                tracing::error!(%cause, "an order could not be drawn");
                return None;
            }
        };
        watch.shown = Some(found);
        Some((Ok(event), watch))
    })
}

impl Watch {
    /// The next version, or the same one with more to tell; `None` when the watch has ended.
    async fn next(&mut self) -> Option<OrderWithTimeline> {
        loop {
            let Some(patience) = LATE_WORDS.get(self.looks).filter(|_| self.shown.is_some()) else {
                let found = self.orders.next().await?;
                self.looks = 0;
                return Some(found);
            };
            match timeout(*patience, self.orders.next()).await {
                Ok(found) => {
                    self.looks = 0;
                    return found;
                }
                Err(_) => {
                    self.looks += 1;
                    if let Some(found) = self.late_word().await {
                        return Some(found);
                    }
                }
            }
        }
    }

    /// The order with a longer timeline than was shown, if there is one. A look that fails is
    /// made up for by the next version.
    async fn late_word(&mut self) -> Option<OrderWithTimeline> {
        let shown = self.shown.as_ref()?;
        let id = &shown.order.id;
        let found = self.shop.api.order_with_timeline(&self.visitor.caller, id, None).await.ok()??;
        let more = found.timeline.len() > shown.timeline.len() && found.order.version >= shown.order.version;
        more.then_some(found)
    }
}
