//! Requests to `/graphql` that are wrong as a whole: bodies, headers, documents, keys, tokens.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::post::Sender;
use super::visitor::Visitor;
use super::{APPROVED, CUSTOMER, OPERATOR, PLENTY, assert_none, assert_well, shop};

const BAD: &str = "BAD_USER_INPUT";
const ME: &str = "{\"query\":\"{ me { id } }\"}";

#[tokio::test]
async fn a_body_that_is_no_graphql_request_is_bad_user_input() {
    let sender = Sender::of(CUSTOMER).await;
    let query = |document: String| json!({ "query": document }).to_string().into_bytes();
    let deep_json =
        format!("{{\"query\":\"{{ me {{ id }} }}\",\"variables\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no JSON", b"query { me { id } }".to_vec()),
        ("half of it", b"{\"query\":\"{ me".to_vec()),
        ("more than one", format!("{ME}{ME}").into_bytes()),
        ("an array of requests", format!("[{ME},{ME}]").into_bytes()),
        ("a number", b"7".to_vec()),
        ("null", b"null".to_vec()),
        ("an object of something else", b"{\"quarry\":\"{ me { id } }\"}".to_vec()),
        ("a document that is a number", b"{\"query\":1}".to_vec()),
        ("a document that is null", b"{\"query\":null}".to_vec()),
        ("variables that are a list", b"{\"query\":\"{ me { id } }\",\"variables\":[1]}".to_vec()),
        ("bytes that are no UTF-8", b"{\"query\":\"{ me { id } } # \xff\xfe\"}".to_vec()),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        ("NUL", b"{\"query\":\"{ me { id } }\0\"}".to_vec()),
        ("NUL in the document", query("{ me\0 { id } }".into())),
        ("JSON a hundred thousand deep", deep_json.into_bytes()),
        ("unknown fields", query("{ me { nothing } }".into())),
        ("an unknown argument", query("{ product(sku: \"A\", colour: \"<script>alert(1)</script>\") { sku } }".into())),
        ("a field of its own name", query("{ <script>alert(1)</script> }".into())),
        ("a mutation as a query", query("{ placeOrder { id } }".into())),
        (
            "an unknown operation",
            json!({ "query": "query A { me { id } }", "operationName": "B" }).to_string().into_bytes(),
        ),
        ("fields a thousand deep", query("{ me ".repeat(1_000) + &"}".repeat(1_000))),
        ("a tower of brackets", query("[".repeat(200_000))),
        (
            "an alias bomb",
            query(format!("{{ {} }}", (0..20_000).map(|n| format!("a{n}:me{{id}}")).collect::<String>())),
        ),
        (
            "a thousand costly lists",
            query(format!(
                "{{ {} }}",
                (0..1_000).map(|n| format!("a{n}:products(first:100){{nodes{{sku name}}}}")).collect::<String>()
            )),
        ),
        (
            "a hundred log-ins",
            query(format!(
                "mutation {{ {} }}",
                (0..100)
                    .map(|n| format!("a{n}:logIn(email:\"a@b.cd\",password:\"long enough\"){{token}}"))
                    .collect::<String>()
            )),
        ),
        ("directives", query(format!("{{ me {} {{ id }} }}", "@skip(if: false) ".repeat(5_000)))),
        ("fragments in a circle", query("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".into())),
    ];
    let mut wrong = Vec::new();
    for (what, body) in bodies {
        let answer = sender.post(body).await;
        if answer.fault.is_some() || answer.code() != BAD {
            wrong.push(format!("{what}: HTTP {} {:?} {:.200}", answer.status, answer.fault, answer.json.to_string()));
        }
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let sender = Sender::of(CUSTOMER).await;
    for body in [
        vec![b' '; 10 << 20],
        json!({ "query": "{ me { id } }", "variables": { "x": "x".repeat(10 << 20) } }).to_string().into_bytes(),
    ] {
        let answer = sender.post(body).await;
        assert_eq!((answer.status, answer.code(), answer.fault.as_deref()), (413, BAD, None));
    }
    assert_well(shop().await).await;
}

#[tokio::test]
async fn only_posted_json_is_a_request() {
    let sender = Sender::anonymous().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = sender.send(method.clone(), HeaderMap::new(), Vec::new()).await;
        assert_eq!((answer.status, answer.code(), answer.fault.as_deref()), (405, BAD, None), "{method}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "text/html",
        "\u{e9}",
    ] {
        let answer = sender.post_with(CONTENT_TYPE, kind.as_bytes(), ME).await;
        assert_eq!((answer.status, answer.code(), answer.fault.as_deref()), (415, BAD, None), "{kind}");
    }
    let bare = sender.send(Method::POST, HeaderMap::new(), ME.into()).await;
    assert_eq!((bare.status, bare.code()), (415, BAD));
    let good = sender.post_with(CONTENT_TYPE, b"Application/JSON; charset=utf-8", ME).await;
    assert_eq!((good.status, good.json), (200, json!({ "data": { "me": null } })));
}

#[tokio::test]
async fn a_token_that_is_none_or_has_ended_is_unauthenticated() {
    let sender = Sender::anonymous().await;
    let long = format!("Bearer {}", "a".repeat(8_000));
    let tokens: [&[u8]; 10] = [
        b"Bearer",
        b"Bearer ",
        b"Bearer garbage",
        b"Bearer ' OR '1'='1",
        b"Bearer <script>alert(1)</script>",
        b"Bearer \xff\xfe",
        b"Basic YWRhQGV4YW1wbGUuY29tOm9yZGVybHk=",
        b"orderly",
        b"",
        long.as_bytes(),
    ];
    for token in tokens {
        let answer = sender.post_with(AUTHORIZATION, token, ME).await;
        assert_eq!(
            (answer.code(), answer.fault.as_deref()),
            ("UNAUTHENTICATED", None),
            "{}",
            String::from_utf8_lossy(token)
        );
    }

    // A session that was ended, though its token was good a moment ago.
    let ada = Sender::of(CUSTOMER).await;
    assert!(ada.post(ME).await.json["data"]["me"]["id"].is_string());
    let mut visitor = Visitor::new(shop().await.base_url());
    visitor.set_cookie("orderly_session", ada.token.as_deref().unwrap_or_default());
    visitor.get("/orders").await;
    assert_eq!(visitor.post("/logout", &[]).await.status, 303);
    assert_eq!(ada.post(ME).await.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_cookie_is_no_log_in_for_graphql() {
    let ada = Sender::of(CUSTOMER).await;
    let cookie = format!("orderly_session={}", ada.token.unwrap_or_default());
    let answer = Sender::anonymous().await.post_with(reqwest::header::COOKIE, cookie.as_bytes(), ME).await;
    assert_eq!(answer.json, json!({ "data": { "me": null } }));
}

#[tokio::test]
async fn the_same_key_with_another_request_is_a_conflict() {
    let (ada, operator) = (Sender::of(CUSTOMER).await, Sender::of(OPERATOR).await);
    let key = || uuid::Uuid::new_v4().to_string();
    let place = |quantity: i64, key: &str| {
        let input = json!({ "lines": [{ "sku": PLENTY, "quantity": quantity }], "idempotencyKey": key });
        ("mutation($x: PlaceOrderInput!) { made: placeOrder(input: $x) { id } }", json!({ "x": input }))
    };
    let upsert = |name: &str, key: &str| {
        let input = json!({ "sku": "KEYED-1", "name": name, "price": { "amount": 5, "currency": "GBP" } });
        let document =
            "mutation($x: ProductInput!, $k: String) { made: upsertProduct(input: $x, idempotencyKey: $k) { name } }";
        (document, json!({ "x": input, "k": key }))
    };
    let adjust = |delta: i64, key: &str| {
        let document = "mutation($d: Int!, $k: String) { made: adjustStock(sku: \"KEYED-1\", delta: $d, idempotencyKey: $k) { available } }";
        (document, json!({ "d": delta, "k": key }))
    };
    let same_then_other = async |sender: &Sender, first: (&str, Value), other: (&str, Value)| {
        let one = sender.ask(first.0, &first.1.to_string()).await;
        let again = sender.ask(first.0, &first.1.to_string()).await;
        assert_eq!((one.code(), &one.json), ("", &again.json));
        let refused = sender.ask(other.0, &other.1.to_string()).await;
        assert_eq!((refused.code(), refused.fault.as_deref()), ("CONFLICT", None), "{}", other.0);
    };
    let k = key();
    same_then_other(&ada, place(1, &k), place(2, &k)).await;
    let k = key();
    same_then_other(&operator, upsert("Cup", &k), upsert("Mug", &k)).await;
    let k = key();
    same_then_other(&operator, adjust(4, &k), adjust(5, &k)).await;

    let (document, variables) = place(1, &key());
    let order = ada.ask(document, &variables.to_string()).await.json["data"]["made"]["id"].clone();
    let id = order.as_str().expect("an id");
    let waiting = shop().await.client().log_in(CUSTOMER, super::PASSWORD).await.expect("logs in");
    waiting.await_status(id, "AWAITING_PAYMENT", super::PATIENCE).await.expect("waits for its card");
    let pay = |card: &str, key: &str| {
        let document = "mutation($id: ID!, $c: String!, $k: String) { made: payOrder(orderId: $id, card: $c, idempotencyKey: $k) { id } }";
        (document, json!({ "id": id, "c": card, "k": key }))
    };
    let k = key();
    same_then_other(&ada, pay(APPROVED, &k), pay("4000 0000 0000 0002", &k)).await;
    waiting.await_any_status(id, &super::SOLD, super::PATIENCE).await.expect("is paid with the first card");
    // And what is paid takes no other card.
    let (document, variables) = pay(APPROVED, &key());
    assert_eq!(ada.ask(document, &variables.to_string()).await.code(), "CONFLICT");
    assert_well(shop().await).await;
}

#[tokio::test]
async fn headers_of_nonsense_change_nothing() {
    let sender = Sender::anonymous().await;
    let nonsense: [&[u8]; 3] = [b"<script>alert(1)</script>", b"\xff", b"' OR 1=1"];
    for name in
        ["origin", "accept", "accept-encoding", "traceparent", "x-forwarded-for", "x-orderly-account", "x-orderly-role"]
    {
        for value in nonsense {
            let name = name.parse().expect("a header's name");
            let answer = sender.post_with(name, value, ME).await;
            assert_eq!((answer.json, answer.fault), (json!({ "data": { "me": null } }), None));
        }
    }
    // The services' own headers are the gateway's to set: a stranger's are not passed on.
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    headers.insert("x-orderly-account", HeaderValue::from_static("demo"));
    headers.insert("x-orderly-role", HeaderValue::from_static("operator"));
    let adjust = json!({ "query": "mutation { adjustStock(sku: \"PLENTY-1\", delta: 1) { sku } }" });
    let answer = sender.send(Method::POST, headers, adjust.to_string().into_bytes()).await;
    assert_eq!(answer.code(), "UNAUTHENTICATED");
}
