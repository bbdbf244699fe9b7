//! The same for calling off, sending back, mail, moments of the past, and the operators' reports.

use serde_json::{Value, json};

use super::{BAD, FINE, Field, HERE, NO_INT, Senders, Who, bad, key, known_key};
use crate::bad_input::hostile::{self, Hostile};
use crate::bad_input::post::Sender;
use crate::bad_input::{APPROVED, CUSTOMER, OPERATOR, PATIENCE, PLENTY, assert_none, assert_well, roads, shop};

const CANCEL: &str = "mutation($id: ID!, $r: String, $k: String) {
    changed: cancelOrder(orderId: $id, reason: $r, idempotencyKey: $k) { id status statusReason } }";
const RETURN: &str = "mutation($id: ID!, $l: [OrderLineInput!], $r: String, $k: String) {
    changed: returnOrder(orderId: $id, lines: $l, reason: $r, idempotencyKey: $k) { id status statusReason } }";
const MAIL: &str =
    "mutation($p: MailPreference!, $k: String) { setMailPreference(preference: $p, idempotencyKey: $k) }";
const AT: &str = "query($id: ID!, $at: DateTime, $v: Int) { order(id: $id, at: $at, minVersion: $v) { id } }";
const SALES: &str = "query($from: DateTime, $to: DateTime, $n: Int) {
    sales(from: $from, to: $to, first: $n) { minute orders } }";

const REASONS: usize = 200;

/// What an id gets that may be somebody's and is nobody's.
fn unknown(text: &Hostile) -> &'static str {
    if text.is_opaque(200) { "NOT_FOUND" } else { BAD }
}

/// What is right with the order that there is not.
fn right_if(right: bool) -> &'static str {
    if right { "NOT_FOUND" } else { BAD }
}

fn reason(text: &Hostile) -> &'static str {
    right_if(text.is_line(0, REASONS))
}

fn key_of_nobody_s(text: &Hostile) -> &'static str {
    right_if(text.is_exact(1, 128))
}

pub(super) fn fields() -> Vec<Field> {
    use Who::{Customer, Operator};
    let field = |what, who, document, variables, code| Field { what, who, document, variables, code };
    let lines = |sku: &str| json!([{ "sku": sku, "quantity": 1 }]);
    let noon = "2026-01-01T12:00:00Z";
    let nobody_s = "nobody-s";
    vec![
        field("cancelOrder.orderId", Customer, CANCEL, json!({ "id": HERE }), unknown),
        field("cancelOrder.reason", Customer, CANCEL, json!({ "id": nobody_s, "r": HERE }), reason),
        field("cancelOrder.idempotencyKey", Customer, CANCEL, json!({ "id": nobody_s, "k": HERE }), key_of_nobody_s),
        field("returnOrder.orderId", Customer, RETURN, json!({ "id": HERE, "l": lines(PLENTY) }), unknown),
        field("returnOrder.lines.sku", Customer, RETURN, json!({ "id": nobody_s, "l": lines(HERE) }), |text| {
            right_if(text.is_key())
        }),
        field("returnOrder.reason", Customer, RETURN, json!({ "id": nobody_s, "r": HERE }), reason),
        field("returnOrder.idempotencyKey", Customer, RETURN, json!({ "id": nobody_s, "k": HERE }), key_of_nobody_s),
        field("setMailPreference.preference", Customer, MAIL, json!({ "p": HERE }), bad),
        field("setMailPreference.idempotencyKey", Customer, MAIL, json!({ "p": "ALL", "k": HERE }), key),
        field("order.id, at", Customer, AT, json!({ "id": HERE, "at": noon }), known_key),
        field("order.at", Customer, AT, json!({ "id": nobody_s, "at": HERE }), bad),
        field("sales.from", Operator, SALES, json!({ "from": HERE }), bad),
        field("sales.to", Operator, SALES, json!({ "to": HERE }), bad),
    ]
}

#[tokio::test]
async fn a_reason_of_any_words_is_kept_as_it_is_by_orders_called_off_and_sent_back() {
    let ada = Sender::of(CUSTOMER).await;
    let (texts, delivered) = (hostile::all(), roads::delivered(hostile::all().len(), 1).await);
    let mut wrong = Vec::new();
    let mut changed = Vec::new();
    for (text, delivered) in texts.iter().zip(delivered) {
        for (document, id, end) in [(CANCEL, roads::awaiting().await, "CANCELLED"), (RETURN, delivered, "REFUNDED")] {
            let answer = ada.ask(document, &json!({ "id": id, "r": text.text }).to_string()).await;
            let wanted = if text.is_line(0, REASONS) { FINE } else { BAD };
            if answer.fault.is_some() || answer.code() != wanted {
                wrong.push(format!("{end}, {}: {:?} {:.200}", text.name, answer.fault, answer.json.to_string()));
            }
            if wanted == FINE {
                changed.push((id, end, text.text.trim()));
            }
        }
    }
    assert_none(&wrong);
    assert!(changed.len() > 20);
    let client = roads::ada().await;
    for (id, end, reason) in changed {
        let order = client.await_status(&id, end, PATIENCE).await.expect("comes to its end");
        let told = order["timeline"].to_string();
        let escaped = json!(reason).to_string();
        assert!(told.contains(escaped.trim_matches('"')), "{reason} is not in {told}");
    }
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_number_of_a_return_has_its_bounds() {
    let ada = Sender::of(CUSTOMER).await;
    let order = roads::delivered(1, 3).await.remove(0);
    let line = |quantity: &str| format!("[{{\"sku\":\"{PLENTY}\",\"quantity\":{quantity}}}]");
    let mut cases: Vec<(String, &str)> = NO_INT.iter().map(|literal| (line(literal), BAD)).collect();
    for quantity in ["0", "-1", "1000001", "2147483647", "-2147483648", "null"] {
        cases.push((line(quantity), BAD));
    }
    cases.extend(["4", "1000000"].map(|quantity| (line(quantity), "CONFLICT")));
    let one = |sku: &str, quantity: i64| json!({ "sku": sku, "quantity": quantity });
    let many = |count: usize| (0..count).map(|n| one(&format!("S-{n}"), 1)).collect::<Vec<_>>();
    for (lines, code) in [
        (json!([]), BAD),
        (json!([null]), BAD),
        (json!({ "sku": PLENTY }), BAD),
        (json!([{ "quantity": 1 }]), BAD),
        (json!([one("NOT-IN-IT", 1)]), BAD),
        (json!([one(PLENTY, 1), one("NOT-IN-IT", 1)]), BAD),
        (json!([one(PLENTY, 2), one("plenty-1", 2)]), "CONFLICT"),
        (json!(vec![one(PLENTY, 1_000_000); 400]), BAD),
        (many(500).into(), BAD),
        (many(501).into(), BAD),
        // The right one last: it takes one of the three.
        (json!([one("plenty-1", 1)]), FINE),
    ] {
        cases.push((lines.to_string(), code));
    }
    let mut wrong = Vec::new();
    for (lines, wanted) in cases {
        let answer = ada.ask(RETURN, &format!("{{\"id\":\"{order}\",\"l\":{lines}}}")).await;
        if answer.fault.is_some() || answer.code() != wanted {
            wrong.push(format!("{lines:.80}: should be {wanted:?} {:.200}", answer.json.to_string()));
        }
    }
    assert_none(&wrong);
    let back = crate::servers::until("one is back", PATIENCE, async || {
        let order = roads::ada().await.order(&order).await?;
        Ok((order["unwinding"] == false).then_some(order))
    });
    let order = back.await.expect("one is back");
    let (status, returned) = (&order["status"], &order["lines"][0]["returned"]);
    assert_eq!((status, returned, &order["refunded"]["amount"]), (&json!("DELIVERED"), &json!(1), &json!(100)));
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_moment_and_every_window_has_its_bounds() {
    let senders = Senders::log_in().await;
    let ada = Sender::of(CUSTOMER).await;
    let order = roads::awaiting().await;
    let mut wrong = Vec::new();
    let mut judge = |what: String, code: &str, fault: Option<String>, wanted: &str| {
        if code != wanted || fault.is_some() {
            wrong.push(format!("{what}: {code:?}, should be {wanted:?} {fault:?}"));
        }
    };
    for (moment, wanted) in [
        (json!("1970-01-01T00:00:00Z"), FINE),
        (json!("9999-12-31T23:59:59.999Z"), FINE),
        (json!("2026-01-01T00:00:00+23:59"), FINE),
        (json!("1969-12-31T23:59:59.999Z"), BAD),
        (json!("1970-01-01T00:00:00+00:01"), BAD),
        (json!("0000-01-01T00:00:00Z"), BAD),
        (json!("-0001-01-01T00:00:00Z"), BAD),
        (json!("+10000-01-01T00:00:00Z"), BAD),
        (json!("+262142-12-31T23:59:59Z"), BAD),
        (json!("+999999-12-31T23:59:59Z"), BAD),
        (json!("2026-02-30T00:00:00Z"), BAD),
        (json!("2026-01-01T25:00:00Z"), BAD),
        (json!("2026-01-01"), BAD),
        (json!("2026-01-01T00:00:00"), BAD),
        (json!("2026-01-01T00:00:00+99:99"), BAD),
        (json!(1_767_225_600_000_i64), BAD),
        (json!(-1), BAD),
    ] {
        let answer = ada.ask(AT, &json!({ "id": order, "at": moment }).to_string()).await;
        judge(format!("order.at {moment}"), answer.code(), answer.fault.clone(), wanted);
        for name in ["from", "to"] {
            let answer = senders.operator.ask(SALES, &json!({ name: moment }).to_string()).await;
            judge(format!("sales.{name} {moment}"), answer.code(), answer.fault.clone(), wanted);
        }
    }
    let both = json!({ "id": order, "at": "2026-01-01T00:00:00Z", "v": 1 });
    let answer = ada.ask(AT, &both.to_string()).await;
    judge("order.at with minVersion".into(), answer.code(), answer.fault.clone(), BAD);
    let turned = json!({ "from": "2030-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z" });
    assert_eq!(senders.operator.ask(SALES, &turned.to_string()).await.json, json!({ "data": { "sales": [] } }));

    let first =
        Field { what: "sales.first", who: Who::Operator, document: SALES, variables: json!({ "n": HERE }), code: bad };
    for literal in NO_INT.iter().chain(&["0", "-1", "1441", "2147483647", "-2147483648"]) {
        wrong.extend(senders.try_literal(&first, literal, BAD).await);
    }
    for literal in ["1", "1440", "null"] {
        wrong.extend(senders.try_literal(&first, literal, FINE).await);
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn the_same_key_with_another_wish_is_a_conflict_after_the_sale_too() {
    let ada = Sender::of(CUSTOMER).await;
    let wishes = |document: &'static str, one: Value, other: Value| (document, one, other);
    let (called_off, kept) = (roads::awaiting().await, roads::awaiting().await);
    let sent_back = roads::delivered(1, 2).await.remove(0);
    let back = |quantity: i64| json!({ "id": sent_back, "l": [{ "sku": PLENTY, "quantity": quantity }] });
    for (document, mut one, mut other) in [
        wishes(CANCEL, json!({ "id": called_off }), json!({ "id": kept })),
        wishes(CANCEL, json!({ "id": called_off, "r": "a" }), json!({ "id": called_off, "r": "b" })),
        wishes(RETURN, back(1), back(2)),
        wishes(MAIL, json!({ "p": "NONE" }), json!({ "p": "ESSENTIAL" })),
    ] {
        let key = uuid::Uuid::new_v4().to_string();
        one["k"] = key.as_str().into();
        other["k"] = key.as_str().into();
        let first = ada.ask(document, &one.to_string()).await;
        let again = ada.ask(document, &one.to_string()).await;
        assert_eq!((first.code(), &first.json), ("", &again.json), "{document}");
        let refused = ada.ask(document, &other.to_string()).await;
        assert_eq!((refused.code(), refused.fault.as_deref()), ("CONFLICT", None), "{document}");
    }
    let client = roads::ada().await;
    assert_eq!(client.order(&kept).await.expect("is hers")["status"], "AWAITING_PAYMENT", "nobody called it off");
    assert_eq!(ada.ask(MAIL, "{\"p\":\"ALL\"}").await.code(), "");
    assert_well(shop().await).await;
}

#[tokio::test]
async fn what_is_too_late_or_too_early_is_a_conflict() {
    let (ada, operator) = (Sender::of(CUSTOMER).await, Sender::of(OPERATOR).await);
    let (waiting, delivered) = (roads::awaiting().await, roads::delivered(1, 1).await.remove(0));
    let ended = roads::awaiting().await;
    let code = async |sender: &Sender, document: &str, id: &str| {
        let answer = sender.ask(document, &json!({ "id": id }).to_string()).await;
        assert_eq!(answer.fault, None);
        answer.code().to_owned()
    };
    assert_eq!(code(&ada, RETURN, &waiting).await, "CONFLICT", "it has not arrived");
    assert_eq!(code(&ada, CANCEL, &delivered).await, "CONFLICT", "it has arrived");
    // An operator may do it for the customer, and twice is once.
    for sender in [&operator, &ada] {
        assert_eq!(code(sender, CANCEL, &ended).await, FINE);
    }
    assert_eq!(code(&ada, RETURN, &ended).await, "CONFLICT");
    let pay = ada.ask(super::PAY, &json!({ "id": ended, "card": APPROVED }).to_string()).await;
    assert_eq!((pay.code(), pay.fault.as_deref()), ("CONFLICT", None), "what is called off takes no card");
    assert_eq!(code(&operator, RETURN, &delivered).await, FINE);
    roads::ada().await.await_status(&delivered, "REFUNDED", PATIENCE).await.expect("all of it goes back");
    for document in [RETURN, CANCEL] {
        assert_eq!(code(&ada, document, &delivered).await, "CONFLICT", "all of it is back");
    }
    assert_well(shop().await).await;
}
