//! How many questions a document comes to.

use super::*;

/// Ada with twenty orders.
async fn twenty(fixture: &Fixture) -> Caller {
    let ada = ada(fixture).await;
    let id = ada.account().expect("logged in").id.clone();
    for n in 0..20 {
        fixture.project(&format!("o{n:02}"), &id, 1);
        let mut shop = fixture.shop.lock();
        let order = shop.orders.get_mut(&format!("o{n:02}")).expect("there");
        let mut second = order.lines[0].clone();
        second.sku = format!("B{n}");
        order.lines.push(second);
    }
    ada
}

#[tokio::test]
async fn a_page_of_orders_with_timelines_and_products_is_three_questions() {
    let fixture = Fixture::new().await;
    let ada = twenty(&fixture).await;
    let page = "{ orders(first: 20) { edges { node { id timeline { type summary } \
                lines { sku product { sku available price { amount } } } } } } }";
    let response = run(&fixture, ada, page, json!({})).await;
    assert!(response["errors"].is_null(), "{response}");
    let mut asked = fixture.shop.lock().asked.clone();
    asked.sort_unstable();
    assert_eq!(asked, ["GetProducts", "GetTimelines", "ListOrders"]);
    let edges = response["data"]["orders"]["edges"].as_array().expect("edges");
    assert_eq!(edges.len(), 20);
    for (n, edge) in edges.iter().enumerate() {
        let id = format!("o{n:02}");
        assert_eq!(edge["node"]["timeline"][0]["summary"], format!("2 of A in {id}"), "each order its own");
        let products: Vec<_> = (0..2).map(|line| edge["node"]["lines"][line]["product"]["sku"].clone()).collect();
        assert_eq!(products, [json!("A"), json!(format!("B{n}"))]);
    }
}

#[tokio::test]
async fn a_product_that_is_gone_is_null_in_its_line_and_the_others_are_there() {
    let fixture = Fixture::new().await;
    let ada = twenty(&fixture).await;
    fixture.shop.lock().orders.get_mut("o07").expect("there").lines[1].sku = "GONE".into();
    let response = run(&fixture, ada, "{ orders { nodes { lines { product { sku } } } } }", json!({})).await;
    assert!(response["errors"].is_null(), "{response}");
    let lines = &response["data"]["orders"]["nodes"][7]["lines"];
    assert_eq!(*lines, json!([{ "product": { "sku": "A" } }, { "product": null }]));
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_loaded() {
    let fixture = Fixture::new().await;
    let ada = twenty(&fixture).await;
    run(&fixture, ada, "{ orders { nodes { id lines { sku } } } }", json!({})).await;
    assert_eq!(fixture.shop.lock().asked, ["ListOrders"]);
}

#[tokio::test]
async fn a_loader_answers_nobody_with_what_another_may_see() {
    let fixture = Fixture::new().await;
    let ada = twenty(&fixture).await;
    let page = "{ orders { nodes { timeline { type } } } }";
    let count = |response: &Value| response["data"]["orders"]["nodes"][0]["timeline"].as_array().map(Vec::len);
    // The fake lists everybody's orders to everybody, on purpose: the timelines come
    // only to whom they belong.
    let bob = fixture.api.sign_up("bob@example.com", "long enough", None, None).await.expect("signs up");
    let (hers, his) =
        tokio::join!(run(&fixture, ada, page, json!({})), run(&fixture, Caller::Account(bob.account), page, json!({})));
    assert_eq!((count(&hers), count(&his)), (Some(1), Some(0)));
}

#[tokio::test]
async fn connections_say_where_they_begin_and_end() {
    let fixture = Fixture::new().await;
    let ada = twenty(&fixture).await;
    let info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
    let page = run(&fixture, ada.clone(), &format!("{{ orders(after: \"o00\") {{ {info} }} }}"), json!({})).await;
    let expected = json!({ "hasNextPage": false, "hasPreviousPage": true, "startCursor": "o00", "endCursor": "o19" });
    assert_eq!(page["data"]["orders"]["pageInfo"], expected);
    let first = run(&fixture, ada, &format!("{{ products(first: 2) {{ {info} }} }}"), json!({})).await;
    let expected = json!({ "hasNextPage": true, "hasPreviousPage": false, "startCursor": "c0", "endCursor": "c1" });
    assert_eq!(first["data"]["products"]["pageInfo"], expected);
}
