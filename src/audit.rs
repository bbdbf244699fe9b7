//! The auditor: the shop's promises, checked against its stores.
//!
//! Rules inside one store run in one snapshot of it (each service brings its own).
//! Stores are not consistent with one another at one instant, so a rule across two
//! of them is an implication, read with the effect's store first: what it says has
//! a cause, and by the time the cause's store is read, the cause is there. The
//! other way, an end that has not got round yet is not a breach: a suspect is
//! looked at again for [`PATIENCE`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use order::audit::Standing;
use order::domain::Status;
use platform::audit::Finding;
use platform::clock::Clock;
use platform::store::StoreError;
use tokio::time::{Instant, sleep};

use crate::Stores;

/// How long a suspect across stores may take to clear itself up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check the shop's promises against its stores; exit code 1 on a breach
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The data folder of a shop, running or not
    #[arg(long, value_name = "DIR", default_value = "orderly-data")]
    data_dir: PathBuf,
    /// Postgres instead of the data folder; {service} stands for the service's name
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// One line of JSON a rule
    #[arg(long)]
    json: bool,
}

/// `orderly audit`.
#[expect(clippy::print_stdout, reason = "the findings are what this command is for")]
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stores = match &args.database_url {
        Some(url) => Stores::on_postgres(url).await?,
        None => Stores::in_existing_folder(&args.data_dir).await?,
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
        let across = across(stores, clock).await?;
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
    let mut tx = stores.inventory.snapshot().await?;
    let mut findings = inventory::audit::audit(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.payment.snapshot().await?;
    findings.extend(payment::audit::audit(&mut tx).await?);
    tx.rollback().await?;
    let mut tx = stores.order.snapshot().await?;
    findings.extend(order::audit::audit(&mut tx, clock.now()).await?.0);
    tx.rollback().await?;
    let mut tx = stores.query.snapshot().await?;
    findings.extend(query::audit::audit(&mut tx).await?);
    tx.rollback().await?;
    Ok(findings)
}

/// The rules across stores.
async fn across(stores: &Stores, clock: &Clock) -> Result<Vec<Finding>, StoreError> {
    // Effects first.
    let mut tx = stores.query.snapshot().await?;
    let seen = query::audit::orders(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.payment.snapshot().await?;
    let captured: BTreeSet<String> = payment::audit::captured_orders(&mut tx).await?.into_iter().collect();
    let held = payment::audit::open_authorisations(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.inventory.snapshot().await?;
    let reserved = inventory::audit::open_reservations(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.order.snapshot().await?;
    let (_, standings) = order::audit::audit(&mut tx, clock.now()).await?;
    tx.rollback().await?;
    let orders: BTreeMap<&str, &Standing> = standings.iter().map(|standing| (standing.id.as_str(), standing)).collect();
    let status = |id: &str| orders.get(id).map(|standing| standing.status);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);

    let mut findings = vec![
        Finding {
            rule: "a captured payment -> its order is PAID or later",
            checked: count(captured.len()),
            breaches: captured
                .iter()
                .filter(|id| !status(id).is_some_and(is_paid_or_later))
                .map(|id| format!("{id}: {:?}", status(id)))
                .collect(),
        },
        Finding {
            rule: "an open reservation -> its order exists and is open",
            checked: count(reserved.len()),
            breaches: reserved
                .iter()
                .filter(|id| !status(id).is_some_and(is_open))
                .map(|id| format!("{id}: {:?}", status(id)))
                .collect(),
        },
        Finding {
            rule: "money on hold -> its order is open, or it is being given back",
            checked: count(held.len()),
            breaches: held
                .iter()
                .filter(|(id, _)| !status(id).is_some_and(is_open))
                .map(|(id, attempt)| format!("{id} attempt {attempt}: {:?}", status(id)))
                .collect(),
        },
        Finding {
            rule: "the read model has no order, and no version, that the order service has not",
            checked: count(seen.len()),
            breaches: seen
                .iter()
                .filter(|view| orders.get(view.id.as_str()).is_none_or(|standing| standing.version < view.version))
                .map(|view| format!("{}: version {}", view.id, view.version))
                .collect(),
        },
    ];
    // The other way round: the order is the effect, the payment the cause.
    let mut tx = stores.payment.snapshot().await?;
    let captured: BTreeSet<String> = payment::audit::captured_orders(&mut tx).await?.into_iter().collect();
    tx.rollback().await?;
    let confirmed: Vec<&Standing> = standings.iter().filter(|standing| standing.status == Status::Confirmed).collect();
    findings.push(Finding {
        rule: "CONFIRMED -> its payment was captured",
        checked: count(confirmed.len()),
        breaches: confirmed
            .iter()
            .filter(|standing| !captured.contains(&standing.id))
            .map(|standing| standing.id.clone())
            .collect(),
    });
    findings.extend(payment::audit::audit_against_bank(&stores.payment, &stores.bank).await?);
    Ok(findings)
}

const fn is_paid_or_later(status: Status) -> bool {
    match status {
        Status::Paid | Status::Confirmed | Status::Shipped | Status::Delivered | Status::Refunded => true,
        Status::Placed | Status::AwaitingPayment | Status::Rejected | Status::Expired | Status::Cancelled => false,
    }
}

/// May still have stock set aside and money on hold.
const fn is_open(status: Status) -> bool {
    match status {
        Status::Placed | Status::AwaitingPayment | Status::Paid => true,
        Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => false,
    }
}
