//! The audit after the load: the rules of `orderly audit`, over the same stores.
//!
//! It reads the stores themselves, which the public API does not give away. Where they cannot be
//! had from here, the report says so.

use anyhow::Context as _;
use platform::clock::Clock;

use super::Common;
use crate::{Stores, audit::audit};

/// What came of it.
#[derive(Debug)]
pub(super) enum Audited {
    /// So many rules, and what is not as they say.
    Done { of: String, rules: usize, breaches: Vec<String> },
    /// None was made, and why.
    Not(String),
}

/// Audits the stores that the arguments name, after so many orders were accepted.
pub(super) async fn of(common: &Common, accepted: u64) -> Audited {
    if common.no_audit {
        return Audited::Not("no audit, as was wished".to_owned());
    }
    match try_of(common, accepted).await {
        Ok(audited) => audited,
        Err(error) => Audited::Not(format!(
            "no audit: {error:#}; name the shop's data folder with --data-dir or its databases with --database-url"
        )),
    }
}

async fn try_of(common: &Common, accepted: u64) -> anyhow::Result<Audited> {
    let (stores, of) = if common.databases.are_named() {
        (Stores::on(&common.databases).await?, "its databases".to_owned())
    } else {
        (Stores::in_existing_folder(&common.data_dir).await?, common.data_dir.display().to_string())
    };
    let findings = audit(&stores, &Clock::system()).await.context("the stores cannot be read");
    stores.close().await;
    let findings = findings?;
    let most = findings.iter().map(|finding| finding.checked).max().unwrap_or(0);
    anyhow::ensure!(
        u64::try_from(most).unwrap_or(0) >= accepted,
        "{of} is of another shop: it has fewer orders than were accepted"
    );
    let breaches =
        findings.iter().flat_map(|finding| finding.breaches.iter().map(|breach| format!("{}: {breach}", finding.rule)));
    Ok(Audited::Done { of, rules: findings.len(), breaches: breaches.collect() })
}
