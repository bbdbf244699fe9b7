//! How long a page may take: one **deadline** for all that it asks for.
//!
//! A form that is not answered in time is drawn again, which asks for more. Each question has ten
//! seconds of its own; all of them together have little more, so that a visitor is told that a
//! part of the shop is resting while there is still somebody to tell. The live news of a page are a
//! stream, and only its beginning is bounded.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use platform::grpc::deadline;

/// The ten seconds that a command may take, and two to draw the page that says so.
const LONGEST: Duration = Duration::from_secs(12);

/// Middleware: whatever the page asks the services is over by then.
pub(crate) async fn bounded(request: Request, next: Next) -> Response {
    deadline::within(LONGEST, next.run(request)).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn what_a_page_asks_has_a_deadline() {
        let page = get(|| async { deadline::current().is_some().to_string() });
        let pages = Router::new().route("/", page).layer(middleware::from_fn(bounded));
        let answer = pages.oneshot(Request::new(Body::empty())).await.expect("answers");
        assert_eq!(to_bytes(answer.into_body(), 100).await.expect("is read"), "true");
    }
}
