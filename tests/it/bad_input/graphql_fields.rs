//! Every text and every number of every query and mutation.
//!
//! What comes after the sale, and what operators look at, is in `after_sale.rs`.

mod after_sale;

use serde_json::{Value, json};

use super::hostile::{self, Hostile};
use super::post::Sender;
use super::{APPROVED, CUSTOMER, OPERATOR, PASSWORD, PLENTY, assert_none, assert_well, shop};

const BAD: &str = "BAD_USER_INPUT";
const FINE: &str = "";

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Who {
    Nobody,
    Customer,
    Operator,
}

/// A text of the schema: a document, its variables with [`HERE`] in the place of the text (and
/// [`NEW_EMAIL`] where an address must be a new one), and the code that a text gets.
struct Field {
    what: &'static str,
    who: Who,
    document: &'static str,
    variables: Value,
    code: fn(&Hostile) -> &'static str,
}

/// What GraphQL's `Int` cannot be.
const NO_INT: [&str; 10] =
    ["2147483648", "-2147483649", "18446744073709551616", "1.5", "\"1\"", "true", "[]", "{}", "1e30", "-"];

const HERE: &str = "@here";
const NEW_EMAIL: &str = "@new";

const PLACE: &str = "mutation($x: PlaceOrderInput!) { placeOrder(input: $x) { id } }";
const PAY: &str =
    "mutation($id: ID!, $card: String!, $k: String) { payOrder(orderId: $id, card: $card, idempotencyKey: $k) { id } }";
const UPSERT: &str = "mutation($x: ProductInput!, $k: String) { upsertProduct(input: $x, idempotencyKey: $k) { sku } }";
const ADJUST: &str =
    "mutation($s: ID!, $d: Int!, $k: String) { adjustStock(sku: $s, delta: $d, idempotencyKey: $k) { sku } }";
const SIGN_UP: &str = "mutation($e: String!, $p: String!, $k: String) {
    signUp(email: $e, password: $p, idempotencyKey: $k) { token } }";
const LOG_IN: &str = "mutation($e: String!, $p: String!, $k: String) {
    logIn(email: $e, password: $p, idempotencyKey: $k) { token } }";

fn bad(_: &Hostile) -> &'static str {
    BAD
}

fn known_key(text: &Hostile) -> &'static str {
    if text.is_key() { FINE } else { BAD }
}

fn unauthenticated(_: &Hostile) -> &'static str {
    "UNAUTHENTICATED"
}

fn key(text: &Hostile) -> &'static str {
    if text.is_exact(1, 128) { FINE } else { BAD }
}

fn line<const LEAST: usize, const MOST: usize>(text: &Hostile) -> &'static str {
    if text.is_line(LEAST, MOST) { FINE } else { BAD }
}

fn fields() -> Vec<Field> {
    use Who::{Customer, Nobody, Operator};
    let field = |what, who, document, variables, code| Field { what, who, document, variables, code };
    let place = |name: &str, value: Value| {
        let mut input = json!({ "lines": [{ "sku": PLENTY, "quantity": 1 }] });
        input[name] = value;
        json!({ "x": input })
    };
    let address = |name: &str| {
        let mut address = json!({ "recipient": "Ada", "street": "1 Mill Lane", "city": "Bath", "postalCode": "BA1", "country": "UK" });
        address[name] = HERE.into();
        place("address", address)
    };
    let product = |name: &str| {
        let mut input = json!({ "sku": "HOSTILE-1", "name": "Cup", "price": { "amount": 1, "currency": "GBP" } });
        match name {
            "currency" => input["price"]["currency"] = HERE.into(),
            name => input[name] = HERE.into(),
        }
        json!({ "x": input })
    };
    let mut fields = vec![
        field(
            "products.search",
            Nobody,
            "query($x: String) { products(search: $x) { totalCount } }",
            json!({ "x": HERE }),
            line::<0, 100>,
        ),
        field(
            "products.after",
            Nobody,
            "query($x: String) { products(after: $x) { totalCount } }",
            json!({ "x": HERE }),
            bad,
        ),
        field("product.sku", Nobody, "query($x: ID!) { product(sku: $x) { name } }", json!({ "x": HERE }), known_key),
        field("order.id", Customer, "query($x: ID!) { order(id: $x) { id } }", json!({ "x": HERE }), known_key),
        field(
            "orders.after",
            Customer,
            "query($x: String) { orders(after: $x) { totalCount } }",
            json!({ "x": HERE }),
            bad,
        ),
        field(
            "orders.status",
            Customer,
            "query($x: OrderStatus) { orders(status: $x) { totalCount } }",
            json!({ "x": HERE }),
            bad,
        ),
        field(
            "notifications.after",
            Customer,
            "query($x: String) { notifications(after: $x) { totalCount } }",
            json!({ "x": HERE }),
            bad,
        ),
        field("signUp.email", Nobody, SIGN_UP, json!({ "e": HERE, "p": PASSWORD }), bad),
        field("signUp.password", Nobody, SIGN_UP, json!({ "e": NEW_EMAIL, "p": HERE }), |text| {
            if text.is_exact(7, 200) { FINE } else { BAD }
        }),
        field("signUp.idempotencyKey", Nobody, SIGN_UP, json!({ "e": NEW_EMAIL, "p": PASSWORD, "k": HERE }), key),
        field("logIn.email", Nobody, LOG_IN, json!({ "e": HERE, "p": PASSWORD }), unauthenticated),
        // Of nobody: ten wrong guesses at somebody's lock him out for a while.
        field("logIn.password", Nobody, LOG_IN, json!({ "e": NEW_EMAIL, "p": HERE }), unauthenticated),
        field("logIn.idempotencyKey", Nobody, LOG_IN, json!({ "e": CUSTOMER, "p": PASSWORD, "k": HERE }), key),
        field(
            "placeOrder.lines.sku",
            Customer,
            PLACE,
            place("lines", json!([{ "sku": HERE, "quantity": 1 }])),
            |text| if text.is_key() { "NOT_FOUND" } else { BAD },
        ),
        field("placeOrder.idempotencyKey", Customer, PLACE, place("idempotencyKey", HERE.into()), key),
        field("placeOrder.card", Customer, PLACE, place("card", HERE.into()), bad),
        field("placeOrder.address.recipient", Customer, PLACE, address("recipient"), line::<1, 200>),
        field("placeOrder.address.street", Customer, PLACE, address("street"), line::<1, 200>),
        field("placeOrder.address.city", Customer, PLACE, address("city"), line::<1, 100>),
        field("placeOrder.address.postalCode", Customer, PLACE, address("postalCode"), line::<0, 20>),
        field("placeOrder.address.country", Customer, PLACE, address("country"), line::<1, 100>),
        field("placeOrder.customer", Operator, PLACE, place("customer", HERE.into()), line::<1, 64>),
        field("payOrder.orderId", Customer, PAY, json!({ "id": HERE, "card": APPROVED }), |text| {
            if text.is_opaque(200) { "NOT_FOUND" } else { BAD }
        }),
        field("payOrder.card", Customer, PAY, json!({ "id": "nobody-s", "card": HERE }), bad),
        field(
            "payOrder.idempotencyKey",
            Customer,
            PAY,
            json!({ "id": "nobody-s", "card": APPROVED, "k": HERE }),
            |text| {
                if text.is_exact(1, 128) { "NOT_FOUND" } else { BAD }
            },
        ),
        field("upsertProduct.sku", Operator, UPSERT, product("sku"), known_key),
        field("upsertProduct.name", Operator, UPSERT, product("name"), line::<1, 200>),
        field("upsertProduct.currency", Operator, UPSERT, product("currency"), bad),
        field(
            "upsertProduct.idempotencyKey",
            Operator,
            UPSERT,
            {
                let mut variables = product("none");
                variables["x"].as_object_mut().expect("an object").remove("none");
                variables["k"] = HERE.into();
                variables
            },
            key,
        ),
        field("adjustStock.sku", Operator, ADJUST, json!({ "s": HERE, "d": 1 }), known_key),
        field("adjustStock.idempotencyKey", Operator, ADJUST, json!({ "s": PLENTY, "d": 1, "k": HERE }), key),
    ];
    fields.extend(after_sale::fields());
    fields
}

/// The three who ask.
struct Senders {
    nobody: Sender,
    customer: Sender,
    operator: Sender,
}

impl Senders {
    async fn log_in() -> Self {
        Self {
            nobody: Sender::anonymous().await,
            customer: Sender::of_somebody_new().await,
            operator: Sender::of(OPERATOR).await,
        }
    }

    fn sender(&self, who: Who) -> &Sender {
        match who {
            Who::Nobody => &self.nobody,
            Who::Customer => &self.customer,
            Who::Operator => &self.operator,
        }
    }

    /// What is wrong with the answer to a field with this literal in its place.
    async fn try_literal(&self, field: &Field, literal: &str, wanted: &str) -> Option<String> {
        let email = format!("{}@example.com", uuid::Uuid::new_v4());
        let variables = field.variables.to_string();
        let variables = variables.replace(&json!(HERE).to_string(), literal).replace(NEW_EMAIL, &email);
        let answer = self.sender(field.who).ask(field.document, &variables).await;
        let wrong = match &answer.fault {
            Some(fault) => fault.clone(),
            None if answer.code() != wanted => format!("is {:?}, should be {wanted:?}", answer.code()),
            None => return None,
        };
        let literal: String = literal.chars().take(40).collect();
        Some(format!("{} = {literal}: {wrong} (HTTP {}) {:.200}", field.what, answer.status, answer.json.to_string()))
    }
}

#[tokio::test]
async fn every_text_of_graphql_takes_every_hostile_text_and_answers_with_its_code() {
    let senders = Senders::log_in().await;
    let mut wrong = Vec::new();
    for field in fields() {
        for text in hostile::all() {
            let told = senders.try_literal(&field, &json!(text.text).to_string(), (field.code)(&text)).await;
            wrong.extend(told.map(|told| format!("{}: {told}", text.name)));
        }
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn half_of_a_surrogate_pair_and_values_of_another_type_are_bad_user_input_in_every_text_of_graphql() {
    let senders = Senders::log_in().await;
    let mut wrong = Vec::new();
    for field in fields() {
        for literal in [r#""\ud800""#, r#""\udc00x""#, r#""\u12""#, "true", "1.5", "{}", "{\"a\":1}", "[1]", "1e999"] {
            wrong.extend(senders.try_literal(&field, literal, BAD).await);
        }
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_number_of_graphql_has_its_bounds() {
    let senders = Senders::log_in().await;
    let order =
        senders.customer.ask(PLACE, &json!({ "x": { "lines": [{ "sku": PLENTY, "quantity": 1 }] } }).to_string()).await;
    let order = order.json["data"]["placeOrder"]["id"].as_str().expect("an order").to_owned();
    let numbers = |what, who, document, variables| Field { what, who, document, variables, code: bad };
    let quantity =
        numbers("quantity", Who::Customer, PLACE, json!({ "x": { "lines": [{ "sku": PLENTY, "quantity": HERE }] } }));
    let delta = numbers("delta", Who::Operator, ADJUST, json!({ "s": PLENTY, "d": HERE }));
    let amount = numbers(
        "amount",
        Who::Operator,
        UPSERT,
        json!({ "x": { "sku": "HOSTILE-2", "name": "Cup", "price": { "amount": HERE, "currency": "GBP" } } }),
    );
    let first = |document| numbers("first", Who::Customer, document, json!({ "n": HERE }));
    let version = numbers(
        "minVersion",
        Who::Customer,
        "query($id: ID!, $n: Int) { order(id: $id, minVersion: $n) { id } }",
        json!({ "id": order, "n": HERE }),
    );

    let mut wrong = Vec::new();
    for field in [&quantity, &delta, &amount, &first("query($n: Int!) { orders(first: $n) { totalCount } }"), &version]
    {
        for literal in NO_INT {
            wrong.extend(senders.try_literal(field, literal, BAD).await);
        }
    }
    for (field, cases) in [
        (
            &quantity,
            &[
                ("0", BAD),
                ("-1", BAD),
                ("1000001", BAD),
                ("2147483647", BAD),
                ("-2147483648", BAD),
                ("null", BAD),
                ("7", FINE),
            ][..],
        ),
        (
            &delta,
            &[
                ("0", BAD),
                ("-2147483648", BAD),
                ("2147483647", BAD),
                ("-2147483647", "OUT_OF_STOCK"),
                ("null", BAD),
                ("3", FINE),
            ],
        ),
        (&amount, &[("0", BAD), ("-1", BAD), ("-2147483648", BAD), ("null", BAD), ("2147483647", FINE)]),
        (&version, &[("-1", BAD), ("-2147483648", BAD), ("2147483647", "STALE"), ("0", FINE), ("null", FINE)]),
    ] {
        for (literal, code) in cases {
            wrong.extend(senders.try_literal(field, literal, code).await);
        }
    }
    for document in [
        "query($n: Int) { products(first: $n) { totalCount } }",
        "query($n: Int) { orders(first: $n) { totalCount } }",
        "query($n: Int) { notifications(first: $n) { totalCount } }",
    ] {
        for (literal, code) in
            [("0", BAD), ("-1", BAD), ("101", BAD), ("2147483647", BAD), ("-2147483648", BAD), ("100", FINE)]
        {
            wrong.extend(senders.try_literal(&first(document), literal, code).await);
        }
    }
    assert_none(&wrong);
    // Two of what costs all that an amount can hold.
    let two = json!({ "x": { "lines": [{ "sku": "HOSTILE-2", "quantity": 2 }] } });
    assert_eq!(senders.customer.ask(PLACE, &two.to_string()).await.code(), BAD);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn an_order_of_what_is_not_sold_or_of_too_many_lines_is_refused() {
    let senders = Senders::log_in().await;
    let place = async |lines: Value| {
        let answer = senders.customer.ask(PLACE, &json!({ "x": { "lines": lines } }).to_string()).await;
        assert_eq!(answer.fault, None);
        answer.code().to_owned()
    };
    assert_eq!(place(json!([{ "sku": "NOT-SOLD-HERE", "quantity": 1 }])).await, "NOT_FOUND");
    assert_eq!(
        place(json!([{ "sku": PLENTY, "quantity": 1 }, { "sku": "NOT-SOLD-HERE", "quantity": 1 }])).await,
        "NOT_FOUND"
    );
    assert_eq!(place(json!([])).await, BAD);
    let many = |count: usize| (0..count).map(|n| json!({ "sku": format!("S-{n}"), "quantity": 1 })).collect::<Vec<_>>();
    assert_eq!(place(many(500).into()).await, "NOT_FOUND");
    for lines in [many(501), many(1_000), vec![json!({ "sku": PLENTY, "quantity": 1 }); 1_000]] {
        assert_eq!(place(lines.into()).await, BAD);
    }
    let sum = vec![json!({ "sku": PLENTY, "quantity": 1_000_000 }); 400];
    assert_eq!(place(sum.into()).await, BAD);
    assert_well(shop().await).await;
}
