//! The operators' pages, which are not there for others.

use axum::http::StatusCode;
use contracts::query::{ReadModel, SalesMinute};
use platform::audit::{Finding, Report};

use super::browser::TestShop;

const PAGES: [&str; 3] = ["/sales", "/read-models", "/audit"];

#[tokio::test]
async fn what_operators_look_at_is_not_there_for_customers_and_for_nobody_in_particular() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    let mut operator = shop.operator().await;
    for path in PAGES {
        assert_eq!(shop.browser().get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        let hidden = ada.get(path).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!hidden.text.contains("Operations"));
        let seen = operator.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        assert!(seen.text.contains("Operations") && seen.text.contains(&format!("href=\"{path}\" aria-current")));
    }
}

#[tokio::test]
async fn these_pages_keep_themselves_up_to_date_until_they_are_told_to_stand_still() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    for path in PAGES {
        let running = operator.get(path).await;
        assert!(
            running.text.contains("data-refresh") && running.text.contains("<noscript><meta http-equiv=\"refresh\"")
        );
        let still = operator.get(&format!("{path}?still=1")).await;
        assert!(!still.text.contains("data-refresh") && !still.text.contains("http-equiv=\"refresh\""), "{path}");
    }
}

#[tokio::test]
async fn sales_are_shown_minute_by_minute_with_their_sums_and_further_pages() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    assert!(operator.get("/sales").await.text.contains("Nothing sold yet"));
    let minute = |n: i64| SalesMinute {
        minute: n * 60_000,
        currency: "GBP".into(),
        orders: 2,
        pieces: 3,
        revenue: 1_250,
        refunded: if n == 100 { 500 } else { 0 },
    };
    shop.services.state().sales = (1..=100).rev().map(minute).collect();
    let page = operator.get("/sales").await;
    assert_eq!(page.text.matches("<tr>").count(), 61, "a head and sixty minutes");
    assert!(
        page.text.contains("£750.00") && page.text.contains("£5.00") && page.text.contains("1 Jan 1970, 01:40 UTC")
    );
    assert!(page.text.contains("href=\"/sales?before=2460000\""));
    let further = operator.get("/sales?before=2460000").await;
    assert_eq!(further.text.matches("<tr>").count(), 41);
    assert!(!further.text.contains("data-refresh"), "what is past does not change");
    for nonsense in ["x", "-1", "99999999999999999999"] {
        let refused = operator.get(&format!("/sales?before={nonsense}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{nonsense}");
    }
}

#[tokio::test]
async fn read_models_are_shown_with_their_position_and_how_far_behind_they_are() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    let model = |name: &str, lag, folded_at, rebuilding_at| ReadModel {
        name: name.into(),
        generation: 3,
        position: 1_200,
        lag,
        folded_at,
        rebuilding_at,
    };
    shop.services.state().models =
        vec![model("orders", 0, 1_795_234_449_120, None), model("<i>sales", 39, 0, Some(1_795_234_449_120))];
    let page = operator.get("/read-models").await;
    assert!(page.text.contains("1,234") && page.text.contains("up to date") && page.text.contains("39 behind"));
    assert!(page.text.contains("never") && page.text.contains("since <time"));
    assert!(!page.text.contains("<i>sales"));
}

#[tokio::test]
async fn the_last_audit_is_shown_as_soon_as_there_is_one() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    assert!(operator.get("/audit").await.text.contains("The first audit is under way"));
    let finding = |rule: &'static str, breaches| Finding { rule: rule.into(), checked: 12, breaches };
    let findings = vec![finding("money adds up", vec![]), finding("stock adds up", vec!["MUG-1: <b>3</b>".to_owned()])];
    shop.auditor.send_replace(Some(Report { at: 1_795_234_449_120, took_ms: 1_250, findings, failure: None }));
    let page = operator.get("/audit").await;
    assert!(page.text.contains("1 breach of 1 rule.") && page.text.contains("MUG-1: &#60;b&#62;3"));
    assert!(page.text.contains("1.25 s") && page.text.contains("21 Nov 2026, 04:14:09.120 UTC"));
    let failure = Some("the stores could not be read".to_owned());
    shop.auditor.send_replace(Some(Report { at: 0, took_ms: 1, findings: vec![], failure }));
    assert!(operator.get("/audit").await.text.contains("could not be finished: the stores could not be read"));
}
