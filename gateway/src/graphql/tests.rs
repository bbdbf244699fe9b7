//! The schema over fake services: names, codes, limits.

mod batching;
mod deadline;
mod persisted;
mod roads;

use std::path::PathBuf;

use async_graphql::{Request, Variables};
use serde_json::{Value, json};

use super::*;
use crate::api::Caller;
use crate::fakes::Fixture;

async fn run(fixture: &Fixture, caller: Caller, query: &str, variables: Value) -> Value {
    let request = Request::new(query).variables(Variables::from_json(variables));
    let response = GraphQl::new(fixture.api.clone()).execute(Asker { caller, from: None }, request).await;
    serde_json::to_value(response).expect("JSON")
}

async fn anonymous(fixture: &Fixture, query: &str) -> Value {
    run(fixture, Caller::Anonymous, query, json!({})).await
}

async fn ada(fixture: &Fixture) -> Caller {
    Caller::Account(fixture.ada().await.account)
}

async fn operator(fixture: &Fixture) -> Caller {
    Caller::Account(fixture.operator().await.account)
}

fn codes(response: &Value) -> Vec<&str> {
    let errors = response["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("no code")).collect()
}

#[test]
fn the_committed_schema_is_the_schema() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, sdl()).expect("writes schema.graphql");
    }
    let committed = std::fs::read_to_string(&path).expect("schema.graphql is there");
    assert!(
        committed == sdl(),
        "schema.graphql is not what the code says; if that was meant, `orderly schema graphql > schema.graphql` \
         or UPDATE_SCHEMA=1 writes it anew"
    );
}

#[test]
fn the_fixed_names_are_in_the_schema() {
    let sdl = sdl();
    for fixed in [
        "products(",
        "product(",
        "orders(",
        "notifications(",
        "me: Account",
        "signUp(",
        "logIn(",
        "placeOrder(",
        "payOrder(",
        "upsertProduct(",
        "adjustStock(",
        "type ProductConnection",
        "type OrderConnection",
        "type NotificationConnection",
        "type Session",
        "AWAITING_PAYMENT",
        "placedAt: DateTime!",
        "payBefore: DateTime\n",
        "timeline: [TimelineEntry!]!",
        "input PlaceOrderInput",
    ] {
        assert!(sdl.contains(fixed), "{fixed}");
    }
}

#[tokio::test]
async fn a_document_that_is_wrong_is_bad_user_input_and_never_a_panic() {
    let fixture = Fixture::new().await;
    let bomb = (0..28).fold(String::from("{ ...f0 } fragment f28 on Query { me { id } }"), |text, n| {
        text + &format!(" fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1)
    });
    for wrong in [
        "",
        "{",
        "}",
        "\0",
        "{ nothing }",
        "{ me }",
        "{ product }",
        "{ product(sku: [1]) { sku } }",
        "{ products(first: 99999999999) { totalCount } }",
        "{ products(first: 0) { totalCount } }",
        "{ products(first: -2147483648) { totalCount } }",
        "{ products(first: 2147483647) { nodes { sku } } }",
        "{ products(first: \"1\") { totalCount } }",
        "{ products(after: \"\\u0000\") { totalCount } }",
        "{ products(search: \"a\\u0000\") { totalCount } }",
        "{ product(sku: \"' OR 1=1\") { sku } }",
        "query A { me { id } } query B { me { id } }",
        "subscription { x }",
        "{ me { id @skip(if: 3) } }",
        "query($x: Nope) { me { id } }",
        "query($first: Int!) { products(first: $first) { nodes { sku } } }",
        "mutation { logIn(email: 1, password: 2) { token } }",
        "mutation { logIn(email: \"a@b.cd\", password: \"longenough\", idempotencyKey: \"\") { token } }",
        &bomb,
        &"{a".repeat(200_000),
        &"[".repeat(500_000),
        &format!("{{ product(sku: {}1{}) {{ sku }} }}", "[".repeat(60), "]".repeat(60)),
        &format!("{{ {} }}", "me { id } ".repeat(15_000)),
    ] {
        let response = anonymous(&fixture, wrong).await;
        let codes = codes(&response);
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == "BAD_USER_INPUT"), "{wrong:.60}: {response}");
    }
}

#[tokio::test]
async fn what_costs_too_much_is_refused_and_what_clients_do_is_not() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    let Caller::Account(account) = &ada else { unreachable!("logged in") };
    fixture.project("o", &account.id, 1);
    let fields = "id version status statusReason lines { sku name quantity unitPrice { amount currency } } \
                  total { amount currency } placedAt payBefore timeline { at service type summary eventId }";
    let aliases: String = (0..25).map(|n| format!("o{n}: order(id: \"o\") {{ {fields} }} ")).collect();
    let response = run(&fixture, ada.clone(), &format!("{{ {aliases} }}"), json!({})).await;
    assert!(response["errors"].is_null(), "{response}");
    assert_eq!(response["data"]["o24"]["timeline"][0]["type"], "OrderPlaced");

    let page = format!("{{ orders(first: 100) {{ nodes {{ {fields} }} }} }}");
    let response = run(&fixture, ada.clone(), &page, json!({})).await;
    assert!(response["errors"].is_null(), "{response}");

    let greedy: String = (0..30).map(|n| format!("o{n}: orders(first: 100) {{ nodes {{ {fields} }} }} ")).collect();
    assert_eq!(codes(&run(&fixture, ada, &format!("{{ {greedy} }}"), json!({})).await), ["BAD_USER_INPUT"]);

    let log_in = "logIn(email: \"a@b.cd\", password: \"longenough\") { token }";
    let hashes: String = (0..30).map(|n| format!("l{n}: {log_in} ")).collect();
    assert_eq!(codes(&anonymous(&fixture, &format!("mutation {{ {hashes} }}")).await), ["BAD_USER_INPUT"]);
}

#[tokio::test]
async fn introspection_works() {
    let fixture = Fixture::new().await;
    let deep = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
                ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }";
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} types {{ ...FullType }} \
         directives {{ name description locations args {{ ...InputValue }} }} }} }} \
         fragment FullType on __Type {{ kind name description fields(includeDeprecated: true) {{ name description \
         args {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }} inputFields {{ ...InputValue }} \
         interfaces {{ ...TypeRef }} enumValues(includeDeprecated: true) {{ name }} possibleTypes {{ ...TypeRef }} }} \
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }} \
         fragment TypeRef on __Type {{ {deep} }}"
    );
    let response = anonymous(&fixture, &query).await;
    assert!(response["errors"].is_null(), "{}", response["errors"]);
}

#[tokio::test]
async fn an_internal_cause_is_never_told() {
    let fixture = Fixture::new().await;
    let broken = anonymous(&fixture, "{ product(sku: \"broken\") { sku } }").await;
    assert_eq!(codes(&broken), ["UNAVAILABLE"]);
    let busy = anonymous(&fixture, "{ product(sku: \"busy\") { sku } }").await;
    assert_eq!(codes(&busy), ["OVERLOADED"]);
    assert!(!format!("{broken}{busy}").contains("10.0.0.1"), "{broken} {busy}");
}

#[tokio::test]
async fn the_catalogue_is_open_to_everybody_and_the_rest_is_not() {
    let fixture = Fixture::new().await;
    let page = anonymous(&fixture, "{ products { nodes { sku } edges { cursor node { sku } } totalCount pageInfo { hasNextPage endCursor } } me { id } }").await;
    assert_eq!(page["data"]["products"]["nodes"].as_array().map(Vec::len), Some(24));
    assert_eq!(page["data"]["products"]["pageInfo"], json!({ "hasNextPage": true, "endCursor": "c23" }));
    assert_eq!(page["data"]["me"], Value::Null);
    assert!(page["errors"].is_null());
    let none = anonymous(&fixture, "{ product(sku: \"none\") { sku } }").await;
    assert_eq!(none, json!({ "data": { "product": null } }));
    for closed in [
        "{ orders { totalCount } }",
        "{ order(id: \"o\") { id } }",
        "{ notifications { totalCount } }",
        "mutation { placeOrder(input: { lines: [{ sku: \"A\", quantity: 1 }] }) { id } }",
        "mutation { payOrder(orderId: \"o\", card: \"4242424242424242\") { id } }",
        "mutation { adjustStock(sku: \"A\", delta: 1) { sku } }",
        "mutation { upsertProduct(input: { sku: \"A\", name: \"A\", price: { amount: 1, currency: \"GBP\" } }) { sku } }",
    ] {
        assert_eq!(codes(&anonymous(&fixture, closed).await), ["UNAUTHENTICATED"], "{closed}");
    }
}

#[tokio::test]
async fn only_operators_run_the_shop() {
    let fixture = Fixture::new().await;
    let (ada, operator) = (ada(&fixture).await, operator(&fixture).await);
    let adjust =
        "mutation($delta: Int!) { adjustStock(sku: \"a\", delta: $delta, idempotencyKey: \"k\") { sku available } }";
    assert_eq!(codes(&run(&fixture, ada.clone(), adjust, json!({ "delta": 5 })).await), ["FORBIDDEN"]);
    let done = run(&fixture, operator.clone(), adjust, json!({ "delta": 5 })).await;
    assert_eq!(done["data"]["adjustStock"], json!({ "sku": "A", "available": 12 }));
    assert_eq!(codes(&run(&fixture, operator.clone(), adjust, json!({ "delta": -8 })).await), ["OUT_OF_STOCK"]);
    assert_eq!(
        codes(&run(&fixture, operator, adjust, json!({ "delta": 2_147_483_648_i64 })).await),
        ["BAD_USER_INPUT"]
    );
    let for_another =
        "mutation { placeOrder(input: { customer: \"17850\", lines: [{ sku: \"A\", quantity: 1 }] }) { id } }";
    assert_eq!(codes(&run(&fixture, ada, for_another, json!({})).await), ["FORBIDDEN"]);
}

#[tokio::test]
async fn an_order_is_placed_with_a_token_and_never_with_a_card_s_number() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    let place = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { id version status total { amount currency } \
                 placedAt payBefore statusReason timeline { type } } }";
    let input = json!({
        "lines": [{ "sku": "b", "quantity": 1 }, { "sku": 85123, "quantity": 2 }, { "sku": "B", "quantity": 3 }],
        "idempotencyKey": "k1", "card": "4242 4242 4242 4242",
        "address": { "recipient": "Ada", "street": "1 Main St", "city": "London", "country": "GB" },
    });
    let response = run(&fixture, ada.clone(), place, json!({ "input": input })).await;
    let expected = json!({
        "id": "order-1", "version": 1, "status": "PLACED", "total": { "amount": 100, "currency": "GBP" },
        "placedAt": "2023-11-14T22:13:20+00:00", "payBefore": "2023-11-14T22:28:20+00:00", "statusReason": null,
        "timeline": [{ "type": "OrderPlaced" }],
    });
    assert_eq!(response, json!({ "data": { "placeOrder": expected } }));
    let shop = fixture.shop.lock();
    let sent = &shop.placed[0];
    let Caller::Account(account) = ada else { unreachable!("logged in") };
    assert_eq!(sent.command_id, format!("{}/placeOrder/k1", account.id));
    assert_eq!((sent.customer_id.as_str(), sent.customer_email.as_str()), (account.id.as_str(), "ada@example.com"));
    assert_eq!(
        sent.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect::<Vec<_>>(),
        [("B", 4), ("85123", 2)]
    );
    assert_eq!(sent.card.as_ref().map(|card| (card.token.as_str(), card.last4.as_str())), Some(("tok_1", "4242")));
    assert_eq!(shop.tokenized, ["4242424242424242"]);
}

#[tokio::test]
async fn an_operator_places_for_an_account_or_for_a_reference() {
    let fixture = Fixture::new().await;
    let (ada, operator) = (fixture.ada().await.account, operator(&fixture).await);
    let place = "mutation($customer: String) { placeOrder(input: { customer: $customer, lines: [{ sku: \"A\", quantity: 1 }] }) { id } }";
    let mut ids = Vec::new();
    for customer in ["ADA@example.com", ada.id.as_str(), "17850", "guest"] {
        let response = run(&fixture, operator.clone(), place, json!({ "customer": customer })).await;
        assert!(response["errors"].is_null(), "{response}");
        ids.push(fixture.shop.lock().placed.last().expect("placed").customer_id.clone());
    }
    assert_eq!(ids, [ada.id.as_str(), ada.id.as_str(), "ref:17850", "ref:guest"]);
    let slip = run(&fixture, operator.clone(), place, json!({ "customer": "adda@example.com" })).await;
    assert_eq!(codes(&slip), ["NOT_FOUND"]);
    for wrong in ["", "a\u{0}b", &"x".repeat(65)] {
        assert_eq!(
            codes(&run(&fixture, operator.clone(), place, json!({ "customer": wrong })).await),
            ["BAD_USER_INPUT"]
        );
    }
}

#[tokio::test]
async fn nobody_sees_somebody_else_s_orders() {
    let fixture = Fixture::new().await;
    let (ada, operator) = (ada(&fixture).await, operator(&fixture).await);
    fixture.project("theirs", "somebody", 3);
    let order = "{ order(id: \"theirs\") { version } }";
    assert_eq!(run(&fixture, ada.clone(), order, json!({})).await, json!({ "data": { "order": null } }));
    assert_eq!(run(&fixture, operator.clone(), order, json!({})).await["data"]["order"]["version"], 3);
    run(&fixture, ada.clone(), "{ orders { totalCount } }", json!({})).await;
    run(&fixture, operator.clone(), "{ orders { totalCount } }", json!({})).await;
    let Caller::Account(account) = &ada else { unreachable!("logged in") };
    assert_eq!(fixture.shop.lock().listed_for, [account.id.as_str(), ""]);
    let stale = run(&fixture, operator, "{ order(id: \"theirs\", minVersion: 4) { version } }", json!({})).await;
    assert_eq!(codes(&stale), ["STALE"]);
}

#[tokio::test]
async fn a_timeline_is_read_only_if_it_is_asked_for_and_with_its_order() {
    let fixture = Fixture::new().await;
    let operator = operator(&fixture).await;
    fixture.project("o", "somebody", 1);
    run(&fixture, operator.clone(), "{ order(id: \"o\") { id timeline { type } } }", json!({})).await;
    assert_eq!(fixture.shop.lock().asked, ["GetOrder"], "one question for both");
    let place = "mutation { placeOrder(input: { lines: [{ sku: \"A\", quantity: 1 }] }) { id } }";
    run(&fixture, operator, place, json!({})).await;
    assert_eq!(fixture.shop.lock().asked, ["GetOrder"], "nobody asked");
}

#[tokio::test]
async fn an_amount_beyond_an_int_is_an_error_and_a_count_beyond_is_the_largest() {
    let fixture = Fixture::new().await;
    let huge = anonymous(&fixture, "{ product(sku: \"huge\") { price { amount } } }").await;
    assert_eq!(codes(&huge), ["BAD_USER_INPUT"]);
    let many = anonymous(&fixture, "{ product(sku: \"a\") { available } }").await;
    assert_eq!(many["data"]["product"]["available"], i32::MAX);
}

#[tokio::test]
async fn a_session_tells_who_it_is() {
    let fixture = Fixture::new().await;
    let log_in =
        "mutation { logIn(email: \"operator@example.com\", password: \"orderly\") { token account { email role } } }";
    let session = anonymous(&fixture, log_in).await;
    assert_eq!(session["data"]["logIn"]["account"], json!({ "email": "operator@example.com", "role": "operator" }));
    assert_eq!(session["data"]["logIn"]["token"].as_str().map(str::len), Some(64));
    let wrong = "mutation { logIn(email: \"operator@example.com\", password: \"wrong one\") { token } }";
    assert_eq!(codes(&anonymous(&fixture, wrong).await), ["UNAUTHENTICATED"]);
    let taken = "mutation { signUp(email: \"ADA@example.com\", password: \"long enough\") { token } }";
    assert_eq!(codes(&anonymous(&fixture, taken).await), ["CONFLICT"]);
}
