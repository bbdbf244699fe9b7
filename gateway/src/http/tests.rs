//! The endpoint under bad treatment.

mod over_socket;
mod socket_rules;

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::fakes::Fixture;

async fn send(router: &Router, request: Request<Body>) -> (u16, Value) {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn posted(body: impl Into<Body>) -> Request<Body> {
    Request::post("/graphql")
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body.into())
        .expect("a request")
}

fn query(text: &str) -> String {
    json!({ "query": text }).to_string()
}

fn code(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("no code")
}

#[tokio::test]
async fn a_body_that_is_no_request_is_bad_user_input() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{\"query\": 3}",
        b"{\"query\": \"{ me { id } }\", \"variables\": 3}",
        b"{\"query\": \"\xff\xfe\"}",
        b"\xff",
        b"{\"query\": \"\\ud800\"}",
    ];
    for body in bodies {
        let (status, response) = send(&router, posted(body)).await;
        assert_eq!((status, code(&response)), (400, "BAD_USER_INPUT"), "{}", String::from_utf8_lossy(body));
        assert!(response["data"].is_null());
    }
    let tower = "[".repeat(500_000);
    assert_eq!(send(&router, posted(tower)).await.0, 400);
    let (status, response) = send(&router, posted("{}")).await;
    assert_eq!((status, code(&response)), (200, "BAD_USER_INPUT"), "an empty document is the executor's to refuse");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let (status, response) = send(&router, posted(vec![b' '; 10 << 20])).await;
    assert_eq!((status, code(&response)), (413, "BAD_USER_INPUT"));
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65_536])));
    assert_eq!(send(&router, posted(Body::from_stream(endless))).await.0, 413);
    let mut largest = query("{ me { id } }");
    largest.push_str(&" ".repeat(LARGEST_BODY - largest.len()));
    assert_eq!(send(&router, posted(largest)).await.0, 200);
}

#[tokio::test]
async fn another_content_type_or_method_is_refused() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let request = Request::post("/graphql").header(CONTENT_TYPE, wrong).body(query("{ me { id } }").into());
        let (status, response) = send(&router, request.expect("a request")).await;
        assert_eq!((status, code(&response)), (415, "BAD_USER_INPUT"), "{wrong}");
    }
    for method in ["GET", "PUT", "OPTIONS", "DELETE"] {
        let request = Request::builder().method(method).uri("/graphql").body(Body::empty()).expect("a request");
        assert_eq!(send(&router, request).await.0, 405, "{method}");
    }
}

#[tokio::test]
async fn a_bearer_token_says_who_sends_and_a_wrong_one_is_refused() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let with = |authorization: &str| {
        let mut request = posted(query("{ me { email } }"));
        request.headers_mut().insert(AUTHORIZATION, authorization.parse().expect("a header"));
        request
    };
    let session = fixture.ada().await;
    for scheme in ["Bearer", "bearer"] {
        let (status, response) = send(&router, with(&format!("{scheme} {}", session.token))).await;
        assert_eq!((status, &response["data"]["me"]["email"]), (200, &json!("ada@example.com")));
    }
    fixture.api.log_out(&session.token).await.expect("logs out");
    let ended = format!("Bearer {}", session.token);
    for wrong in [ended.as_str(), "Bearer x", "Bearer", "Bearer ", "Basic YTpi", "' OR 1=1"] {
        let (_, response) = send(&router, with(wrong)).await;
        assert_eq!(code(&response), "UNAUTHENTICATED", "{wrong}");
    }
    let mut cookie = posted(query("{ me { email } }"));
    let session = fixture.ada().await;
    cookie.headers_mut().insert("cookie", format!("session={}", session.token).parse().expect("a header"));
    assert_eq!(send(&router, cookie).await.1["data"]["me"], Value::Null, "cookies are not looked at");
}

#[tokio::test]
async fn the_answer_to_a_bad_request_does_not_repeat_it() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let script = "<script>alert(1)</script>";
    for body in [script.to_owned(), format!("{{\"query\": {script:?}, \"variables\": {script:?}}}")] {
        let (_, response) = send(&router, posted(body)).await;
        assert!(!response.to_string().contains("<script>"), "{response}");
    }
}

#[tokio::test]
async fn a_browser_is_led_to_the_explorer_and_a_program_is_told_to_post() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let get = |accept: &str| {
        Request::get("/graphql?query={me{id}}").header(ACCEPT, accept).body(Body::empty()).expect("a request")
    };
    let led = router.clone().oneshot(get("text/html,application/xhtml+xml,*/*;q=0.8")).await.expect("infallible");
    assert_eq!((led.status().as_u16(), &led.headers()["location"]), (303, &HeaderValue::from_static("/explorer")));
    for accept in ["application/json", "*/*"] {
        let (status, response) = send(&router, get(accept)).await;
        assert_eq!((status, code(&response)), (405, "BAD_USER_INPUT"), "{accept}");
    }
}

#[tokio::test]
async fn a_mutation_is_not_done_by_get_in_whatever_dress() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let mutation = "query=mutation%7BadjustStock(sku%3A%22A%22%2Cdelta%3A1)%7Bsku%7D%7D";
    let token = format!("Bearer {}", fixture.operator().await.token);
    for accept in ["application/json", "text/html"] {
        let request = Request::get(format!("/graphql?{mutation}")).header(ACCEPT, accept).header(AUTHORIZATION, &token);
        let request = request.header(CONTENT_TYPE, "application/json").body(Body::empty()).expect("a request");
        let status = router.clone().oneshot(request).await.expect("infallible").status();
        assert!(matches!(status.as_u16(), 303 | 405), "{status}");
    }
    assert!(fixture.shop.lock().adjusted.is_empty());
}

#[tokio::test]
async fn several_documents_in_one_body_are_no_request() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let one = query("{ me { id } }");
    let (status, response) = send(&router, posted(format!("[{one},{one}]"))).await;
    assert_eq!((status, code(&response)), (400, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn a_subscription_is_sent_to_the_web_socket() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let (status, response) = send(&router, posted(query("subscription { orderUpdates { id } }"))).await;
    assert_eq!((status, code(&response)), (200, "BAD_USER_INPUT"));
    assert!(response["errors"][0]["message"].as_str().is_some_and(|message| message.contains("graphql-transport-ws")));
}

#[tokio::test]
async fn log_ins_are_limited_by_the_address_that_the_connection_has() {
    let fixture = Fixture::new().await;
    let router = router(fixture.api.clone());
    let attempt = |from: [u8; 4], n: usize| {
        let text = format!("mutation {{ logIn(email: \"a{n}@example.com\", password: \"x\") {{ token }} }}");
        let mut request = posted(query(&text));
        request.headers_mut().insert("x-forwarded-for", format!("198.51.100.{n}").parse().expect("a header"));
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((from, 50_000))));
        request
    };
    for n in 0..30 {
        assert_eq!(code(&send(&router, attempt([203, 0, 113, 7], n)).await.1), "UNAUTHENTICATED");
    }
    let (_, response) = send(&router, attempt([203, 0, 113, 7], 30)).await;
    assert_eq!(response["errors"][0]["extensions"], json!({ "code": "RATE_LIMITED", "retryAfter": 2 }));
    for elsewhere in [[203, 0, 113, 8], [127, 0, 0, 1]] {
        assert_eq!(code(&send(&router, attempt(elsewhere, 31)).await.1), "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn the_schema_can_be_read_in_a_browser() {
    let fixture = Fixture::new().await;
    let request = Request::get("/graphql/schema").body(Body::empty()).expect("a request");
    let response = router(fixture.api.clone()).oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    assert_eq!(body, sdl());
}
