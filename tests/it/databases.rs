//! One user and one database per service, as `deploy/postgres/init.sh` makes them: each service works
//! as itself and is refused elsewhere; the auditor reads everything and writes nothing.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use orderly::{Stores, audit};
use platform::clock::Clock;
use platform::store::{Db, StoreError};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::servers::{Durability, PATIENCE, PgServer, program};
use crate::shop::Shop;
use crate::topologies;

const SERVICES: [&str; 7] = ["order", "payment", "bank", "inventory", "notification", "query", "gateway"];

/// A password that a shell, a URL and SQL would each like to misread.
fn password_of(user: &str) -> String {
    format!("{user}'s $1 \"pass\\word\"")
}

/// As it stands in a URL.
fn encoded(password: &str) -> String {
    password
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A server on which everybody but its administrator needs a password.
async fn server() -> Result<PgServer> {
    let server = PgServer::start(Durability::ProcessCrash).await?;
    server.admit("local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n").await?;
    Ok(server)
}

/// Runs the script as the image does: over the socket, as the superuser.
async fn init(server: &PgServer, password: impl Fn(&str) -> Option<String>) -> Result<()> {
    let psql = program(&["psql"], &[], "postgresql-client")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres/init.sh");
    let mut command = Command::new("sh");
    command.arg(script).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", psql.parent().context("a folder")?.display()));
    command.env("POSTGRES_USER", "postgres").env("PGHOST", server.folder()?).env("PGPORT", server.port()?.to_string());
    for user in SERVICES.iter().chain(&["auditor"]) {
        if let Some(password) = password(user) {
            command.env(format!("{}_PASSWORD", user.to_uppercase()), password);
        }
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn url(server: &PgServer, user: &str, database: &str) -> Result<String> {
    Ok(format!("postgres://{user}:{}@127.0.0.1:{}/{database}", encoded(&password_of(user)), server.port()?))
}

/// Each user's own URL, for all of which this one stands.
fn everybodys(server: &PgServer) -> Result<String> {
    let password = encoded(&password_of("{service}")).replace("%7Bservice%7D", "{service}");
    Ok(format!("postgres://{{service}}:{password}@127.0.0.1:{}/{{service}}", server.port()?))
}

async fn stores_of_the_auditor(server: &PgServer) -> Result<Stores> {
    Stores::on_postgres(&url(server, "auditor", "{service}")?).await
}

/// A statement as this user, after `before`; what it is refused with.
async fn refusal(url: &str, before: &'static str, sql: &str) -> Result<Option<String>> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(before).execute(&mut connection).await?;
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => Ok(Some(error.code().unwrap_or_default().into_owned())),
        Err(other) => Err(other.into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_service_works_as_itself_and_the_auditor_audits_by_reading() -> Result<()> {
    let server = server().await?;
    // Twice, and the second time over what is there.
    for _ in 0..2 {
        init(&server, |user| Some(password_of(user))).await?;
    }
    let shop = Shop::start(topologies::on_servers(&everybodys(&server)?, None, &[])).await?;
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    let order = ada
        .place_order(&[("MUG-ENAMEL-BLUE", 1)], Some("4242 4242 4242 4242"), None)
        .await
        .expect("the order is taken");
    ada.await_status(order["id"].as_str().context("an id")?, "CONFIRMED", PATIENCE).await?;
    // Beside the running shop, and once more after the rights were set anew.
    for _ in 0..2 {
        let stores = stores_of_the_auditor(&server).await?;
        let findings = audit(&stores, &Clock::system()).await?;
        assert!(findings.iter().all(|finding| finding.breaches.is_empty()), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.checked > 0), "it has seen something");
        stores.close().await;
        init(&server, |user| Some(password_of(user))).await?;
    }
    for service in SERVICES {
        let auditor = url(&server, "auditor", service)?;
        for sql in ["DELETE FROM migrations", "CREATE TABLE mine (key TEXT)", "UPDATE inbox SET last = 0"] {
            let by_habit = refusal(&auditor, "", sql).await?;
            assert!(matches!(by_habit.as_deref(), Some("25006" | "42501")), "{service}: {sql}: {by_habit:?}");
            let by_right = refusal(&auditor, "SET default_transaction_read_only TO off", sql).await?;
            assert_eq!(by_right.as_deref(), Some("42501"), "{service}: {sql}");
        }
        let result = Db::open(&auditor).await?.migrate(&[]).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_comes_into_anothers_database() -> Result<()> {
    let server = server().await?;
    init(&server, |user| Some(password_of(user))).await?;
    for user in SERVICES {
        for database in SERVICES.iter().chain(&["postgres", "template1"]) {
            let result = Db::open(&url(&server, user, database)?).await.map(drop);
            if user == *database {
                result?;
                continue;
            }
            let Err(StoreError::Refused(why)) = result else { panic!("{user} in {database}: {result:?}") };
            assert!(why.contains("permission denied for database"), "{why}");
        }
        let own = url(&server, user, user)?;
        for sql in ["CREATE ROLE mine", "CREATE DATABASE mine", "ALTER ROLE auditor PASSWORD 'x'", "SET ROLE auditor"] {
            assert_eq!(refusal(&own, "", sql).await?.as_deref(), Some("42501"), "{user}: {sql}");
        }
        let mut connection = PgConnection::connect(&own).await?;
        let collation: String =
            sqlx::query_scalar("SELECT datcollate::text FROM pg_database WHERE datname = current_database()")
                .fetch_one(&mut connection)
                .await?;
        assert_eq!(collation, "C", "text is sorted by bytes");
    }
    // Nor does another's password open it.
    let stolen = url(&server, "order", "order")?.replace(&encoded(&password_of("order")), "order");
    let result = Db::open(&stolen).await.map(drop);
    assert!(matches!(&result, Err(StoreError::Refused(why)) if why.contains("password")), "{result:?}");
    Ok(())
}

#[tokio::test]
async fn a_user_without_a_password_of_its_own_stops_the_script() -> Result<()> {
    let server = server().await?;
    let result = init(&server, |user| (user != "query").then(|| password_of(user))).await;
    let error = result.expect_err("one is missing").to_string();
    assert!(error.contains("QUERY_PASSWORD is not set"), "{error}");
    // And no password is in the server's log, though it was told to log everything.
    server.configure("ALTER SYSTEM SET log_statement TO 'all'").await?;
    server.configure("SELECT pg_reload_conf()").await?;
    init(&server, |user| Some(format!("{user}-s3cret"))).await?;
    let log = std::fs::read_to_string(server.folder()?.join("log"))?;
    assert!(log.contains("ALTER SCHEMA public OWNER"), "it logs what it is told");
    assert!(!log.contains("s3cret"), "{log}");
    Ok(())
}
