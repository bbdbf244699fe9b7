//! Settings that several commands take: one group each, flattened into their arguments.
//!
//! Flag, environment variable, file, default, in this order: see [`crate::config`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use notification::Mailer;
use platform::bus::BusError;
use platform::bus::redis::{RedisBus, RedisOptions};
use platform::store::{Db, StoreOptions};
use tokio::time::{Instant, sleep};

use crate::parts::Options;

/// A running shop, and who asks it
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Login {
    /// The shop's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) to: String,
    /// An operator's e-mail address
    #[arg(long, default_value = "operator@example.com")]
    pub(crate) email: String,
    /// The operator's password; better given in the environment than on the command line
    #[arg(long, env = "ORDERLY_PASSWORD", hide_env_values = true, default_value = "orderly")]
    pub(crate) password: Secret,
}

/// A text that is never shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the shop does business
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Business {
    /// From placing an order to the deadline of its payment
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    payment_window: Duration,
    /// From confirming an order to shipping it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    ship_after: Duration,
    /// From shipping an order to its delivery
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    deliver_after: Duration,
    /// How long before its deadline a customer is reminded to pay
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    remind_before: Duration,
    /// The mail server for messages to customers, such as smtp://user:password@host:587?tls=required;
    /// without one they are kept and shown, not mailed
    #[arg(long, value_name = "URL", env = "ORDERLY_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// Whom the mails are from
    #[arg(long, value_name = "ADDRESS", default_value = "Orderly <shop@orderly.example>", env = "ORDERLY_MAIL_FROM")]
    mail_from: String,
}

impl Business {
    /// The same, checked.
    ///
    /// # Errors
    /// The mail server's URL or the sender's address makes no sense.
    pub(crate) fn options(&self, partitions: u32) -> anyhow::Result<Options> {
        Ok(Options {
            payment_window: self.payment_window,
            ship_after: self.ship_after,
            deliver_after: self.deliver_after,
            remind_before: self.remind_before,
            mailer: self.smtp_url.as_deref().map(|url| Mailer::try_new(url, &self.mail_from)).transpose()?,
            partitions,
            ..Options::default()
        })
    }
}

/// The broker
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Broker {
    /// Redis or Valkey, as redis://user:password@host:6379/0; rediss:// for TLS
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// The certificate authority of a rediss:// server, as a PEM file; by default those of this machine
    #[arg(long, value_name = "FILE")]
    redis_ca: Option<PathBuf>,
    /// Into how many partitions each stream is cut on Redis; fixed by the first start
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: u32,
}

impl Broker {
    /// Whether one is named.
    pub(crate) const fn is_named(&self) -> bool {
        self.redis_url.is_some()
    }

    /// Partitions per stream there.
    pub(crate) const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Whether all is there that [`connect`](Self::connect) needs.
    ///
    /// # Errors
    /// None is named.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.redis_url.as_ref().map(drop).context("--redis-url (REDIS_URL) is missing: where the broker is")
    }

    /// Connects; to a server that is not there yet, or still reads its file, for as long
    /// as [`PATIENCE`]. What is refused is refused at once.
    ///
    /// # Errors
    /// None is named, its URL makes no sense, or it cannot be reached.
    pub(crate) async fn connect(&self) -> anyhow::Result<Arc<RedisBus>> {
        self.check()?;
        let url = self.redis_url.clone().unwrap_or_default();
        let options = RedisOptions { url, ca: self.redis_ca.clone() };
        let begun = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            match RedisBus::connect_with(options.clone()).await {
                Err(BusError::Unreachable(cause)) if begun.elapsed() + pause < PATIENCE => {
                    tracing::warn!(cause, again_in = ?pause, "the broker is not there yet");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                result => return result.context("the broker; is --redis-url (REDIS_URL) right?"),
            }
        }
    }
}

/// Which database each service has
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Databases")]
pub(crate) struct Databases {
    /// Postgres, as postgres://user:password@host/database; {service} stands for the service's name
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The order service's database, where it is not the one above
    #[arg(long, value_name = "URL", hide_env_values = true)]
    order_database_url: Option<String>,
    /// The payment service's
    #[arg(long, value_name = "URL", hide_env_values = true)]
    payment_database_url: Option<String>,
    /// The simulated bank's, which runs beside the payment service
    #[arg(long, value_name = "URL", hide_env_values = true)]
    bank_database_url: Option<String>,
    /// The inventory service's
    #[arg(long, value_name = "URL", hide_env_values = true)]
    inventory_database_url: Option<String>,
    /// The notification service's
    #[arg(long, value_name = "URL", hide_env_values = true)]
    notification_database_url: Option<String>,
    /// The query service's
    #[arg(long, value_name = "URL", hide_env_values = true)]
    query_database_url: Option<String>,
    /// The gateway's
    #[arg(long, value_name = "URL", hide_env_values = true)]
    gateway_database_url: Option<String>,
    /// Most connections to each database; those of all processes must fit under the server's max_connections
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1000))]
    database_connections: u32,
}

/// How long a start waits for a server that is not there yet.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands in a database URL for the name of the service.
const PLACEHOLDER: &str = "{service}";

/// How a URL of Postgres begins. Anything else would be taken for the path of a SQLite
/// file, which no other process of the shop sees.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl Databases {
    /// Whether any is named.
    pub(crate) fn are_named(&self) -> bool {
        self.database_url.is_some() || EVERY.iter().any(|service| self.own(service).is_some())
    }

    fn own(&self, service: &str) -> Option<&str> {
        let url = match service {
            "order" => &self.order_database_url,
            "payment" => &self.payment_database_url,
            "bank" => &self.bank_database_url,
            "inventory" => &self.inventory_database_url,
            "notification" => &self.notification_database_url,
            "query" => &self.query_database_url,
            "gateway" => &self.gateway_database_url,
            _ => &None,
        };
        url.as_deref()
    }

    /// The URL for `service`, one of the `needed` ones.
    ///
    /// # Errors
    /// None is named; it is none of Postgres; or several would share one database.
    pub(crate) fn url(&self, service: &str, needed: &[&str]) -> anyhow::Result<String> {
        let url = self.named(service, needed)?;
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            // Not shown: without a scheme nobody knows where in it the password is.
            bail!("{}: this is no URL such as postgres://user:password@host/database", self.setting(service));
        }
        Ok(url)
    }

    /// The setting that says where the database of `service` is.
    fn setting(&self, service: &str) -> String {
        match self.own(service) {
            Some(_) => format!("--{service}-database-url (ORDERLY_{}_DATABASE_URL)", service.to_uppercase()),
            None => "--database-url (DATABASE_URL)".to_owned(),
        }
    }

    fn named(&self, service: &str, needed: &[&str]) -> anyhow::Result<String> {
        if let Some(own) = self.own(service) {
            return Ok(own.to_owned());
        }
        let Some(url) = &self.database_url else {
            bail!(
                "--{service}-database-url (ORDERLY_{}_DATABASE_URL) is missing, and so is --database-url \
                 (DATABASE_URL): where the database of {service} is",
                service.to_uppercase()
            );
        };
        let sharing: Vec<&str> = needed.iter().copied().filter(|service| self.own(service).is_none()).collect();
        if url.contains(PLACEHOLDER) {
            Ok(url.replace(PLACEHOLDER, service))
        } else if sharing.len() == 1 {
            Ok(url.clone())
        } else {
            bail!(
                "--database-url (DATABASE_URL) must contain {PLACEHOLDER}, since {} would share it: each service has a \
                 database of its own. Or name theirs with --{service}-database-url and so on",
                sharing.join(" and ")
            )
        }
    }

    /// Opens the database of `service`, one of the `needed` ones.
    ///
    /// # Errors
    /// As [`url`](Self::url), or it cannot be reached.
    pub(crate) async fn open(&self, service: &str, needed: &[&str]) -> anyhow::Result<Db> {
        let url = self.url(service, needed)?;
        let options = StoreOptions { connections: self.database_connections, ..StoreOptions::default() };
        let opened = Db::open_patiently(&url, options, PATIENCE).await;
        opened
            .with_context(|| format!("the database of {service} cannot be opened; is {} right?", self.setting(service)))
    }
}

/// Whoever has a database.
pub(crate) const EVERY: [&str; 7] = ["order", "payment", "bank", "inventory", "notification", "query", "gateway"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn databases(url: Option<&str>, bank: Option<&str>) -> Databases {
        Databases {
            database_url: url.map(str::to_owned),
            bank_database_url: bank.map(str::to_owned),
            order_database_url: None,
            payment_database_url: None,
            inventory_database_url: None,
            notification_database_url: None,
            query_database_url: None,
            gateway_database_url: None,
            database_connections: 8,
        }
    }

    #[test]
    fn the_placeholder_stands_for_each_service() {
        let databases = databases(Some("postgres://{service}@db/{service}"), None);
        assert_eq!(databases.url("query", &EVERY).unwrap(), "postgres://query@db/query");
    }

    #[test]
    fn a_url_without_the_placeholder_is_for_one_service_only() {
        let one = databases(Some("postgres://db/a"), None);
        assert_eq!(one.url("order", &["order"]).unwrap(), "postgres://db/a");
        let refused = one.url("payment", &["payment", "bank"]).unwrap_err().to_string();
        assert!(refused.contains("payment and bank") && refused.contains("--database-url"), "{refused}");
        let both = databases(Some("postgres://db/a"), Some("postgres://db/b"));
        assert_eq!(both.url("payment", &["payment", "bank"]).unwrap(), "postgres://db/a");
        assert_eq!(both.url("bank", &["payment", "bank"]).unwrap(), "postgres://db/b");
    }

    #[test]
    fn what_is_no_url_of_postgres_is_refused_by_its_setting_and_not_shown() {
        for wrong in ["order", "mysql://order:hush@db/order", "sqlite:///hush.db", "db.internal/hush"] {
            let refused = databases(Some(wrong), None).url("order", &["order"]).unwrap_err().to_string();
            assert!(refused.contains("--database-url (DATABASE_URL)") && !refused.contains("hush"), "{refused}");
            let refused =
                databases(Some("postgres://db/a"), Some(wrong)).url("bank", &["bank"]).unwrap_err().to_string();
            assert!(refused.contains("ORDERLY_BANK_DATABASE_URL") && !refused.contains("hush"), "{refused}");
        }
        assert!(databases(Some("postgresql://db/a"), None).url("order", &["order"]).is_ok());
    }

    #[test]
    fn a_missing_database_is_told_by_the_names_of_its_settings() {
        let refused = databases(None, None).url("inventory", &["inventory"]).unwrap_err().to_string();
        for name in ["--inventory-database-url", "ORDERLY_INVENTORY_DATABASE_URL", "--database-url", "DATABASE_URL"] {
            assert!(refused.contains(name), "{refused}");
        }
    }
}
