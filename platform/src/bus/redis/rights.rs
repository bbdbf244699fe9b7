//! Whether the user may do all that will be asked of Redis.
//!
//! Redis tells a missing right (`NOPERM`) with the command that lacks it, which may be
//! one that is needed first at a takeover at night. So each command is tried at the start,
//! in a form that changes nothing: on a key that there never is.

use redis::aio::MultiplexedConnection;
use redis::{Client, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use super::keys;
use super::link::{self, CONNECT_TIMEOUT, RESPONSE_TIMEOUT, in_time};
use crate::bus::BusError;

/// Tries them all.
///
/// # Errors
/// [`BusError::Broken`] with what Redis says of the first that is missing.
pub(super) async fn check(client: &Client, connection: &mut MultiplexedConnection) -> Result<(), BusError> {
    let channel = keys::channel(keys::PROBE, client.get_connection_info().redis_settings().db());
    let answers: RedisResult<Vec<RedisResult<Value>>> =
        questions(&channel).ignore_errors().query_async(connection).await;
    let answers = answers.map_err(|error| link::translate(&error))?;
    let refused: Vec<RedisError> = answers.into_iter().filter_map(Result::err).collect();
    // It answers everything so, and knows nothing of rights yet.
    if let Some(error) = refused.iter().find(|error| error.code() == Some("LOADING")) {
        return Err(link::translate(error));
    }
    let missing = refused.into_iter().find(is_refusal);
    let missing = match missing {
        Some(error) => Some(error),
        None => in_time(CONNECT_TIMEOUT + RESPONSE_TIMEOUT, listen(client, &channel)).await.err(),
    };
    match missing {
        None => Ok(()),
        Some(error) if is_refusal(&error) => Err(BusError::Broken(format!("a right is missing in Redis: {error}"))),
        Some(error) => Err(link::translate(&error)),
    }
}

fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

/// Publish/subscribe needs a connection of its own.
async fn listen(client: &Client, channel: &str) -> RedisResult<()> {
    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe(channel).await?;
    listener.unsubscribe(channel).await
}

/// Each command that the bus and its scripts use, to no effect. Most answers are
/// complaints about the missing key.
fn questions(channel: &str) -> Pipeline {
    let key = keys::PROBE;
    let mut questions = redis::pipe();
    questions.cmd("PING");
    questions.cmd("GET").arg(key);
    questions.cmd("EXISTS").arg(key);
    questions.cmd("SET").arg((key, "", "XX"));
    questions.cmd("XADD").arg((key, "NOMKSTREAM", "*", keys::BODY, ""));
    questions.cmd("XLEN").arg(key);
    questions.cmd("XTRIM").arg((key, "MINID", "0"));
    questions.cmd("XACK").arg((key, "", "0-1"));
    questions.cmd("XPENDING").arg((key, ""));
    questions.cmd("XCLAIM").arg((key, "", "", 0, "0-1"));
    questions.cmd("XAUTOCLAIM").arg((key, "", "", 0, "0"));
    questions.cmd("XREADGROUP").arg(("GROUP", "", "", "COUNT", 1, "STREAMS", key, ">"));
    questions.cmd("XINFO").arg(("STREAM", key));
    questions.cmd("XINFO").arg(("GROUPS", key));
    questions.cmd("XINFO").arg(("CONSUMERS", key, ""));
    questions.cmd("XGROUP").arg(("CREATE", key, "", "0"));
    questions.cmd("XGROUP").arg(("DELCONSUMER", key, "", ""));
    questions.cmd("ZADD").arg((key, "XX", 0, ""));
    questions.cmd("ZREM").arg((key, ""));
    questions.cmd("ZCARD").arg(key);
    questions.cmd("ZRANGE").arg((key, 0, 0));
    questions.cmd("ZRANGEBYSCORE").arg((key, 0, 0));
    questions.cmd("EVALSHA").arg(("0000000000000000000000000000000000000000", 1, key));
    questions.cmd("SCRIPT").arg(("LOAD", "return 1"));
    questions.cmd("PUBLISH").arg((channel, ""));
    questions
}
