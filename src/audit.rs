//! The auditor: the shop's promises, checked against its stores.
//!
//! Rules inside one store run in one snapshot of it (each service brings its own).
//! Stores are not consistent with one another at one instant, so a rule across two
//! of them is an implication, read with the effect's store first: what it says has
//! a cause, and by the time the cause's store is read, the cause is there. The
//! other way, an end that has not got round yet is not a breach: a suspect is
//! looked at again for [`PATIENCE`].
//!
//! The same rules run in the background of `orderly up`: see [`crate::auditor`].

mod across;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use platform::audit::Finding;
use platform::clock::Clock;
use platform::store::StoreError;
use tokio::time::{Instant, sleep};

use crate::Stores;
use crate::settings::Databases;

/// How long a suspect across stores may take to clear itself up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check the shop's promises against its stores; exit code 1 on a breach
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The data folder of a shop, running or not
    #[arg(long, value_name = "DIR", default_value = "orderly-data")]
    data_dir: PathBuf,
    /// One line of JSON a rule
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    databases: Databases,
}

/// `orderly audit`.
#[expect(clippy::print_stdout, reason = "the findings are what this command is for")]
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stores = if args.databases.are_named() {
        Stores::on(&args.databases).await?
    } else {
        Stores::in_existing_folder(&args.data_dir).await?
    };
    let findings = audit(&stores, &Clock::system()).await.context("the stores cannot be read")?;
    stores.close().await;
    let mut green = true;
    for finding in &findings {
        green &= finding.breaches.is_empty();
        if args.json {
            println!("{}", serde_json::to_string(finding)?);
            continue;
        }
        let mark = if finding.breaches.is_empty() { "ok    " } else { "BREACH" };
        println!("{mark} {:>9} checked, {:>3} wrong  {}", finding.checked, finding.breaches.len(), finding.rule);
        for breach in finding.breaches.iter().take(20) {
            println!("       {breach}");
        }
    }
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks every rule; a finding each.
///
/// # Errors
/// A store cannot be read.
pub async fn audit(stores: &Stores, clock: &Clock) -> Result<Vec<Finding>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    let mut findings = inside(stores, clock).await?;
    let mut pause = Duration::from_millis(100);
    loop {
        let across = across::rules(stores).await?;
        if across.iter().all(|finding| finding.breaches.is_empty()) || Instant::now() >= deadline {
            findings.extend(across);
            return Ok(findings);
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// The rules inside each store.
async fn inside(stores: &Stores, clock: &Clock) -> Result<Vec<Finding>, StoreError> {
    let mut tx = stores.inventory.unhurried_snapshot().await?;
    let mut findings = inventory::audit::audit(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.payment.unhurried_snapshot().await?;
    findings.extend(payment::audit::audit(&mut tx).await?);
    tx.rollback().await?;
    let mut tx = stores.order.unhurried_snapshot().await?;
    findings.extend(order::audit::audit(&mut tx, clock.now()).await?);
    tx.rollback().await?;
    let mut tx = stores.query.unhurried_snapshot().await?;
    findings.extend(query::audit::audit(&mut tx).await?);
    tx.rollback().await?;
    Ok(findings)
}
