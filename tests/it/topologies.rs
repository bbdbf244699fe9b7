//! The two ways a shop keeps and carries things in these tests.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::servers::PgServer;
use crate::shop::ShopOptions;

/// Who has a database.
const SERVICES: [&str; 7] = ["order", "payment", "bank", "inventory", "notification", "query", "gateway"];

/// Fresh databases for a shop's services; the URL that `--database-url` takes.
pub(crate) async fn databases(server: &PgServer) -> Result<String> {
    let first = server.fresh_database().await?;
    let mut connection = PgConnection::connect(&first).await.context("the test's Postgres")?;
    let name = first.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    for service in SERVICES {
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE \"{name}_{service}\""))).execute(&mut connection).await?;
    }
    Ok(first.replace(&name, &format!("{name}_{{service}}")))
}

/// `orderly up` on Postgres, and on Redis if there is one.
pub(crate) fn on_servers(database_url: &str, redis_url: Option<&str>, args: &[&str]) -> ShopOptions {
    let mut all = vec!["--database-url", database_url];
    if let Some(url) = redis_url {
        all.extend(["--redis-url", url]);
    }
    all.extend(args);
    ShopOptions::with_args(all)
}
