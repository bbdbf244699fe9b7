//! A Redis user with the least rights, and one with less.

use anyhow::Result;
use platform::bus::BusError;
use tokio::sync::OnceCell;

use super::*;
use crate::servers::{Persistence, RedisServer};

/// All that the shop needs, as `ACL SETUSER` takes it. The chapter `docs/redis.md` has the same.
pub(super) const RULE: &str = "~orderly.* &orderly.* \
    +ping +select +info +get +set +exists +evalsha +script|load \
    +xadd +xreadgroup +xack +xautoclaim +xclaim +xpending +xtrim +xlen \
    +xinfo|stream +xinfo|groups +xinfo|consumers +xgroup|create +xgroup|delconsumer \
    +zadd +zrem +zcard +zrange +zrangebyscore +publish +subscribe +unsubscribe";
/// The streams and topics of these tests have names of their own.
const OF_THE_TESTS: &str = "~test.* &news@* &sport@*";
const PASSWORD: &str = "hunter2%";

/// One server for the contract, with the user `shop`.
static SERVER: OnceCell<RedisServer> = OnceCell::const_new();

async fn set_user(server: &RedisServer, name: &str, rule: &str) -> Result<()> {
    let mut hand = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd("ACL");
    command.arg(("SETUSER", name, "reset", "on", format!(">{PASSWORD}")));
    rule.split_whitespace().for_each(|word| {
        command.arg(word);
    });
    Ok(command.query_async(&mut hand).await?)
}

fn url_of(user: &str, password: &str, url: &str) -> String {
    url.replace("redis://", &format!("redis://{user}:{password}@"))
}

impl OnRedis {
    /// As a user who may do what the rule says and nothing else.
    pub(super) async fn with_least_rights() -> Result<Self> {
        let start = async || {
            let server = RedisServer::start(Persistence::None).await?;
            set_user(&server, "shop", &format!("{RULE} {OF_THE_TESTS}")).await?;
            anyhow::Ok(server)
        };
        let server = SERVER.get_or_try_init(start).await?;
        Ok(Self { url: url_of("shop", "hunter2%25", &server.fresh_namespace().await?) })
    }
}

/// Empty if it is not refused.
async fn refusal(server: &RedisServer, user: &str, password: &str) -> String {
    let refused = RedisBus::connect(&url_of(user, password, &server.url())).await;
    let Err(error) = refused else { return String::new() };
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2") && !text.contains(password), "{text}");
    assert!(matches!(error, BusError::Broken(_)), "does not pass by itself: {text}");
    text
}

#[tokio::test]
async fn a_wrong_password_is_told_at_the_start_and_not_shown() -> Result<()> {
    let server = RedisServer::start(Persistence::None).await?;
    set_user(&server, "shop", RULE).await?;
    let text = refusal(&server, "shop", "hunter3").await;
    assert!(text.contains("authentication failed"), "{text}");
    assert_ne!(refusal(&server, "nobody", "hunter2%25").await, "");
    Ok(())
}

/// Each right by itself: without it the start is refused, and the error says which it is.
#[tokio::test]
async fn each_missing_right_is_told_at_the_start() -> Result<()> {
    let server = RedisServer::start(Persistence::None).await?;
    let words: Vec<&str> = RULE.split_whitespace().collect();
    for missing in &words {
        let rule: Vec<&str> = words.iter().filter(|word| *word != missing).copied().collect();
        set_user(&server, "shop", &rule.join(" ")).await?;
        if ["+info", "+select"].contains(missing) {
            // Can be done without: see below, and there is one database only.
            RedisBus::connect(&url_of("shop", "hunter2%25", &server.url())).await?;
            continue;
        }
        let text = refusal(&server, "shop", "hunter2%25").await;
        assert!(text.contains("NoPerm"), "without {missing}: {text}");
        if let Some(command) = missing.strip_prefix('+') {
            assert!(text.contains(&format!("'{command}'")), "without {missing}: {text}");
        }
    }
    Ok(())
}

/// Who may not read `run_id` knows a server by the connection: after each lost one all that
/// is not settled is published again.
#[tokio::test]
async fn without_info_each_connection_is_a_server_of_its_own() -> Result<()> {
    let server = RedisServer::start(Persistence::None).await?;
    set_user(&server, "shop", &format!("{RULE} {OF_THE_TESTS} -info")).await?;
    let fixture = OnRedis { url: url_of("shop", "hunter2%25", &server.url()) };
    let bus = fixture.declared().await?;
    let known = bus.incarnation().await?;
    assert_eq!(bus.incarnation().await?, known);
    publish(&bus, &entries(EVENTS, 0, ["one"])).await?;
    assert!(!bus.lost_since(Some(&known), &[]).await?);
    let mut hand = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
    redis::cmd("CLIENT").arg(("KILL", "USER", "shop")).query_async::<()>(&mut hand).await?;
    let refusal = crate::servers::until("it is back", PATIENCE, async || match bus.publish(&known, &[]).await {
        Err(BusError::Unreachable(_)) => Ok(None),
        answer => Ok(Some(answer)),
    });
    assert!(matches!(refusal.await?, Err(BusError::Reborn)));
    assert!(bus.lost_since(Some(&known), &[]).await?);
    publish(&bus, &entries(EVENTS, 0, ["one"])).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut reader, 2).await?), ["one", "one"]);
    Ok(())
}
