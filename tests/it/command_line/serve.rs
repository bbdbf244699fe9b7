//! `orderly serve` refuses what it cannot run with, by the names of the settings, before it touches
//! anything; and `orderly health` tells whether a process serves.

use super::orderly;

const TOKEN: &str = "0123456789abcdef";

/// What it says on standard error when it refuses.
async fn refused(args: &[&str]) -> String {
    let ended = orderly(None, args).await;
    assert_ne!(ended.code, 0, "{args:?} should be refused: {ended:?}");
    assert!(!ended.err.contains("panicked") && ended.out.is_empty(), "{ended:?}");
    ended.err
}

#[tokio::test]
async fn a_role_that_there_is_not_is_refused_with_those_that_there_are() {
    let said = refused(&["serve", "ordre"]).await;
    for role in ["inventory", "order", "payment", "notification", "query", "auditor", "gateway"] {
        assert!(said.contains(role), "{said}");
    }
    let said = refused(&["serve"]).await;
    assert!(said.contains("ROLE"), "{said}");
}

#[tokio::test]
async fn what_is_missing_is_refused_by_its_name() {
    let said = refused(&["serve", "order"]).await;
    assert!(said.contains("--grpc-token") && said.contains("ORDERLY_GRPC_TOKEN"), "{said}");
    let said = refused(&["serve", "order", "--grpc-token", TOKEN]).await;
    assert!(said.contains("--order-database-url") && said.contains("DATABASE_URL"), "{said}");
    let database = ["--database-url", "postgres://127.0.0.1:1/{service}"];
    let said = refused(&[&["serve", "gateway", "--grpc-token", TOKEN], &database[..]].concat()).await;
    for name in ["order", "inventory", "payment", "query", "notification", "auditor"] {
        assert!(said.contains(&format!("--{name}-grpc (ORDERLY_{}_GRPC)", name.to_uppercase())), "{said}");
    }
    let said = refused(&[&["serve", "query", "--grpc-token", TOKEN], &database[..]].concat()).await;
    assert!(said.contains("--redis-url") && said.contains("REDIS_URL"), "{said}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_name() {
    let said = refused(&["serve", "query", "--grpc-token", "short"]).await;
    assert!(said.contains("--grpc-token") && !said.contains("\"short\""), "{said}");
    let said = refused(&["serve", "order", "--grpc-token", TOKEN, "--inventory-grpc", "inventory:8081"]).await;
    assert!(said.contains("--inventory-grpc") && said.contains("http://"), "{said}");
    let url = "postgres://127.0.0.1:1/one";
    let said = refused(&["serve", "payment", "--grpc-token", TOKEN, "--database-url", url]).await;
    assert!(said.contains("bank and payment") && said.contains("{service}"), "{said}");
    let said = refused(&["serve", "query", "--grpc-token", TOKEN, "--partitions", "0"]).await;
    assert!(said.contains("--partitions"), "{said}");
}

#[tokio::test]
async fn a_secret_is_not_repeated_by_a_refusal() {
    let (database, redis) = ("postgres://order:hunter2@127.0.0.1:1/order", "redis://:hunter2@127.0.0.1:1");
    // Neither is a URL of the server that is meant; the second would else be a SQLite file of that name.
    for (database, redis, setting) in [
        (database, "http://:hunter2@127.0.0.1:1", "--redis-url (REDIS_URL)"),
        ("mysql://order:hunter2@127.0.0.1:1/order", redis, "--database-url (DATABASE_URL)"),
        ("order-of-hunter2", redis, "--database-url (DATABASE_URL)"),
    ] {
        let args = ["serve", "inventory", "--grpc-token", TOKEN, "--database-url", database, "--redis-url", redis];
        let said = refused(&args).await;
        assert!(said.contains(setting) && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn nobody_there_is_no_health() {
    let ended = orderly(None, ["health", "--to", "http://127.0.0.1:1"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("nobody answers"), "{ended:?}");
}
