//! The tests' own servers, tested: they start, keep tests apart, survive what is done to them, and
//! never outlive the process that started them.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;

use anyhow::Result;
use redis::AsyncCommands;
use sqlx::Connection;

use crate::browser::Browser;
use crate::servers::guard::{Guarded, tail};
use crate::servers::{Durability, PATIENCE, Persistence, PgServer, RedisServer, postgres, redis, until};

/// Set in the process that is to be killed; nobody else may run what waits for ever.
const HOLDER: &str = "ORDERLY_TEST_HOLDER";

#[tokio::test]
async fn each_test_has_a_postgres_database_of_its_own() {
    let server = postgres().await.unwrap();
    let (one, other) = (server.fresh_database().await.unwrap(), server.fresh_database().await.unwrap());
    assert_ne!(one, other);
    let mut connection = sqlx::PgConnection::connect(&one).await.unwrap();
    sqlx::raw_sql("CREATE TABLE only_here (id BIGINT)").execute(&mut connection).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&other).await.unwrap();
    let seen = sqlx::query_scalar::<_, Option<String>>("SELECT to_regclass('only_here')::text");
    assert_eq!(seen.fetch_one(&mut connection).await.unwrap(), None);
}

#[tokio::test]
async fn each_test_has_a_redis_database_of_its_own() {
    let server = redis().await.unwrap();
    let (one, other) = (server.fresh_namespace().await.unwrap(), server.fresh_namespace().await.unwrap());
    set(&one, "key", "value").await.unwrap();
    assert_eq!(get(&other, "key").await.unwrap(), None);
    assert_eq!(get(&one, "key").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn the_shared_redis_refuses_to_be_emptied() {
    assert!(redis().await.unwrap().flushall().await.is_err());
}

#[tokio::test]
async fn a_killed_postgres_comes_back_on_its_port_with_what_was_committed() {
    let server = PgServer::start(Durability::MachineCrash).await.unwrap();
    let database = server.fresh_database().await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&database).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 7::bigint AS id").execute(&mut connection).await.unwrap();
    server.kill9().unwrap();
    server.restart().await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&database).await.unwrap();
    let kept = sqlx::query_scalar::<_, i64>("SELECT id FROM kept");
    assert_eq!(kept.fetch_one(&mut connection).await.unwrap(), 7);
}

#[tokio::test]
async fn a_killed_redis_comes_back_with_what_its_persistence_keeps() {
    for (persistence, kept) in [(Persistence::None, None), (Persistence::AppendOnlyEverySecond, Some("value"))] {
        let server = RedisServer::start(persistence).await.unwrap();
        set(&server.url(), "key", "value").await.unwrap();
        server.kill9().unwrap();
        assert!(get(&server.url(), "key").await.is_err(), "it is gone");
        server.restart().await.unwrap();
        assert_eq!(get(&server.url(), "key").await.unwrap().as_deref(), kept);
    }
}

#[tokio::test]
async fn flushall_empties_a_private_redis_that_goes_on_running() {
    let server = RedisServer::start(Persistence::None).await.unwrap();
    set(&server.url(), "key", "value").await.unwrap();
    server.flushall().await.unwrap();
    assert_eq!(get(&server.url(), "key").await.unwrap(), None);
}

#[tokio::test]
async fn a_browser_shows_a_page_in_the_size_of_a_telephone() {
    let browser = Browser::open().await.unwrap();
    browser.page.goto("data:text/html,<title>A page</title><p>of words</p>").await.unwrap();
    assert_eq!(browser.page.title().await.unwrap(), "A page");
    browser.resize(390, 844).await.unwrap();
    let size = browser.page.execute("return [innerWidth, innerHeight]", vec![]).await.unwrap();
    assert_eq!(size, serde_json::json!([390, 844]));
    let picture = browser.screenshot("a-page").await.unwrap();
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}

/// Kills, with -9, a test process that holds one server of each kind. Looks at `/proc`.
#[tokio::test]
async fn servers_and_browser_die_with_a_test_process_that_is_killed() {
    let name = format!("{}::holds_servers_until_it_is_killed", module());
    let mut holder = Guarded::open("holder").unwrap();
    let log = holder.folder().join("log");
    let logs = (File::create(&log).unwrap(), File::create(holder.folder().join("err")).unwrap());
    let arguments = ["--exact", &name, "--ignored", "--nocapture"];
    let this = std::env::current_exe().unwrap();
    holder
        .start(&this, arguments, logs, "KILL", |command| {
            command.env(HOLDER, "1");
        })
        .unwrap();
    let held = until("the servers are held", PATIENCE, async || {
        assert!(holder.exited()?.is_none(), "{}", tail(&holder.folder().join("err"), 20));
        let printed = std::fs::read_to_string(&log)?;
        let folders = printed.lines().filter_map(|line| line.strip_prefix("holds "));
        let folders: Vec<String> = folders.map(str::to_owned).collect();
        Ok(printed.contains("\nthat is all\n").then_some(folders))
    })
    .await
    .unwrap();
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held.iter().all(|folder| Path::new(folder).exists() && processes_in(folder) > 0));
    holder.kill9().unwrap();
    for folder in held {
        until(&format!("nothing is left of {folder}"), PATIENCE, async || {
            Ok((!Path::new(&folder).exists() && processes_in(&folder) == 0).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "is run, and killed, by another test"]
#[allow(clippy::print_stdout, reason = "the other test reads it")]
async fn holds_servers_until_it_is_killed() {
    if std::env::var_os(HOLDER).is_none() {
        return;
    }
    let postgres = PgServer::start(Durability::ProcessCrash).await.unwrap();
    let redis = RedisServer::start(Persistence::None).await.unwrap();
    let browser = Browser::open().await.unwrap();
    for folder in [postgres.folder().unwrap(), redis.folder().unwrap(), browser.folder().to_owned()] {
        println!("\nholds {}", folder.display());
    }
    println!("that is all");
    std::future::pending::<()>().await;
}

/// The path of this module inside the test binary.
fn module() -> &'static str {
    module_path!().split_once("::").unwrap().1
}

/// How many processes work in the folder or name it in their command line. Zombies do neither.
fn processes_in(folder: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let of_it = processes.filter(|process| {
        let working_folder = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        let command_line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        working_folder.starts_with(folder) || command_line.windows(folder.len()).any(|part| part == folder.as_bytes())
    });
    of_it.count()
}

async fn set(url: &str, key: &str, value: &str) -> Result<()> {
    let mut connection = connect(url).await?;
    Ok(connection.set(key, value).await?)
}

async fn get(url: &str, key: &str) -> Result<Option<String>> {
    let mut connection = connect(url).await?;
    Ok(connection.get(key).await?)
}

async fn connect(url: &str) -> Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}
