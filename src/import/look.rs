//! How orders stand, as the read model shows them: many in one query, by aliases.

use std::fmt::Write;

use anyhow::anyhow;
use chrono::DateTime;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};

use super::client::{CallError, Client};

/// Orders asked for in one query.
const BATCH: usize = 25;

/// Queries under way at once.
const AT_ONCE: usize = 8;

/// An order, as far as an import looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: i64,
    pub(crate) status: String,
    /// For people; may be empty.
    pub(crate) reason: String,
    /// Money or goods are on their way back, and nothing else may begin.
    pub(crate) unwinding: bool,
    /// When it is shipped or delivered next, if that is planned; unix milliseconds by
    /// the shop's clock.
    pub(crate) fulfil_at: Option<i64>,
}

impl Seen {
    /// Nothing, if the read model has not heard of the order yet.
    fn read(order: &Value) -> Option<Self> {
        let fulfil_at = order["fulfilAt"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        Some(Seen {
            status: order["status"].as_str()?.to_owned(),
            version: order["version"].as_i64().unwrap_or_default(),
            reason: order["statusReason"].as_str().unwrap_or_default().to_owned(),
            unwinding: order["unwinding"].as_bool().unwrap_or_default(),
            fulfil_at: fulfil_at.map(|at| at.timestamp_millis()),
        })
    }

    /// The reason in words, whatever it is.
    pub(crate) fn reason(&self) -> &str {
        if self.reason.is_empty() { "no reason given" } else { &self.reason }
    }
}

/// The orders of these ids, in their order.
///
/// # Errors
/// The shop vanished, or refuses to tell; with what to do.
pub(crate) async fn look(client: &Client, ids: &[&str]) -> anyhow::Result<Vec<Option<Seen>>> {
    let queries: Vec<_> = ids.chunks(BATCH).map(|batch| look_at(client, batch)).collect();
    let answers = stream::iter(queries).buffered(AT_ONCE).try_collect::<Vec<_>>().await;
    match answers {
        Ok(seen) => Ok(seen.into_iter().flatten().collect()),
        Err(CallError::Stopped(error)) => Err(error),
        Err(CallError::Refused(refusal)) => Err(anyhow!(
            "{} does not tell how the orders stand ({}: {}); run the same command again",
            client.address(),
            refusal.code,
            refusal.message
        )),
    }
}

async fn look_at(client: &Client, batch: &[&str]) -> Result<Vec<Option<Seen>>, CallError> {
    let (mut head, mut body) = (String::new(), String::new());
    let mut variables = Map::new();
    for (at, id) in batch.iter().enumerate() {
        write!(head, "$i{at}: ID! ").expect("a string takes all");
        writeln!(body, "  o{at}: order(id: $i{at}) {{ version status statusReason unwinding fulfilAt }}")
            .expect("a string takes all");
        variables.insert(format!("i{at}"), Value::from(*id));
    }
    let query = format!("query Orders({head}) {{\n{body}}}");
    let data = client.call(&query, &Value::Object(variables)).await?;
    Ok((0..batch.len()).map(|at| Seen::read(&data[format!("o{at}")])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_is_read_with_its_plan() {
        let order = json!({
            "version": 7, "status": "CONFIRMED", "statusReason": null, "unwinding": false,
            "fulfilAt": "2026-11-21T10:00:00.250Z",
        });
        let seen = Seen::read(&order).expect("an order");
        assert_eq!((seen.version, seen.status.as_str(), seen.fulfil_at), (7, "CONFIRMED", Some(1_795_255_200_250)));
        assert_eq!(seen.reason(), "no reason given");
    }

    #[test]
    fn an_order_that_the_read_model_has_not_heard_of_is_nothing() {
        assert_eq!(Seen::read(&Value::Null), None);
    }
}
