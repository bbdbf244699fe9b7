//! Documents that go by their hash.

use async_graphql::Value as GraphQlValue;
use sha2::{Digest, Sha256};

use super::*;

fn hash(document: &str) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn send(schema: &GraphQl, document: &str, hash: &str, variables: Value) -> Value {
    let mut request = Request::new(document).variables(Variables::from_json(variables));
    let asked = json!({ "version": 1, "sha256Hash": hash });
    request.extensions.insert("persistedQuery".into(), GraphQlValue::from_json(asked).expect("JSON"));
    let response = schema.execute(Asker { caller: Caller::Anonymous, from: None }, request).await;
    serde_json::to_value(response).expect("JSON")
}

#[tokio::test]
async fn a_document_is_sent_once_and_goes_by_its_hash_from_then_on() {
    let fixture = Fixture::new().await;
    let schema = GraphQl::new(fixture.api.clone());
    let document = "query($sku: ID!) { product(sku: $sku) { sku } }";
    let unknown = send(&schema, "", &hash(document), json!({ "sku": "a" })).await;
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound", "the word that clients look for");
    assert_eq!(codes(&unknown), ["NOT_FOUND"]);
    for (sent, sku) in [(document, "A"), ("", "B")] {
        let answer = send(&schema, sent, &hash(document), json!({ "sku": sku })).await;
        assert_eq!(answer, json!({ "data": { "product": { "sku": sku } } }));
    }
}

#[tokio::test]
async fn only_what_was_found_valid_is_kept() {
    let fixture = Fixture::new().await;
    let schema = GraphQl::new(fixture.api.clone());
    let costly: String =
        (0..30).map(|n| format!("o{n}: orders(first: 100) {{ nodes {{ lines {{ sku }} }} }} ")).collect();
    for wrong in [
        "{ nothing }".to_owned(),
        "{".to_owned(),
        format!("{{ {costly} }}"),
        "subscription { orderUpdates { id } }".to_owned(),
        "{ ".repeat(100),
    ] {
        assert_eq!(codes(&send(&schema, &wrong, &hash(&wrong), json!({})).await), ["BAD_USER_INPUT"], "{wrong:.40}");
        let again = send(&schema, "", &hash(&wrong), json!({})).await;
        assert_eq!(again["errors"][0]["message"], "PersistedQueryNotFound", "{wrong:.40}");
    }
}

#[tokio::test]
async fn a_hash_that_is_not_the_document_s_is_refused() {
    let fixture = Fixture::new().await;
    let schema = GraphQl::new(fixture.api.clone());
    let other = hash("{ me { id } }");
    assert_eq!(codes(&send(&schema, "{ me { email } }", &other, json!({})).await), ["BAD_USER_INPUT"]);
    assert_eq!(codes(&send(&schema, "", "' OR 1=1 --", json!({})).await), ["BAD_USER_INPUT"]);
    assert_eq!(codes(&send(&schema, "", &other, json!({})).await), ["NOT_FOUND"], "and was not kept");
}
