//! `orderly import`: brings a till's export into a running shop.
//!
//! Reads the UCI *Online Retail* format, whole, before the first write ([`parse`]); then
//! writes the catalogue, and with `--replay` the stock and every invoice as a paid order
//! ([`replay`]), through the public GraphQL API like any other client ([`client`]). A
//! `C…` invoice is matched with the sales that it takes back ([`matching`]) and returns
//! them once they are delivered ([`returns`]). Every row is accounted for: imported, or
//! given back with its reason ([`rejects`]). Nothing here knows a service or a store.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use reqwest::Url;
use serde::Serialize;
use sha2::{Digest, Sha256};

mod client;
mod fields;
mod header;
mod look;
mod matching;
mod parse;
mod progress;
mod rejects;
mod replay;
mod returns;
mod rows;
mod settle;

use crate::settings::Login;
use client::{Client, Pace};
use parse::Parsed;
use progress::Progress;
use replay::{Goods, Written};

/// Exit code when the command is wrong: the file, its format or a flag.
const WRONG_INPUT: u8 = 2;

/// Import sales in the UCI "Online Retail" format: the catalogue, and with --replay the orders
///
/// Every row is accounted for: imported, or given back in the rejects file with its line and its
/// reason. Run it again to resume what was broken off; what is done already is not done twice.
///
/// Exit code 0: done, even if rows were rejected. 1: the shop does not answer, refused the account
/// or vanished on the way. 2: the file, its format or a flag is wrong, and nothing was written.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The CSV file: InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
    #[arg(value_name = "FILE.CSV")]
    file: PathBuf,
    /// Also stock the products, place each invoice as a paid order, and return what C… invoices
    /// take back
    ///
    /// A C… invoice returns pieces of its customer's latest earlier sale of the product in this
    /// file. The returns wait until the shop has delivered those orders, by default three minutes
    /// after the sale.
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    login: Login,
    /// Where the rejected rows go; by default FILE.rejects.csv in the working directory
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
    /// End with one line of JSON on stdout; no progress bar
    #[arg(long)]
    json: bool,
}

/// The account of a finished import; `rows = imported + rejected`.
#[derive(Debug, Serialize)]
struct Summary {
    /// Rows in the file, its header not counted.
    rows: u64,
    /// Rows that are in the shop.
    imported: u64,
    /// Rows that are in the rejects file.
    rejected: u64,
    /// Products in the catalogue because of this file.
    products: u64,
    /// Orders taken and paid.
    orders: u64,
    /// `C…` invoices in the file.
    cancellations: u64,
    /// Returns made of them.
    returns: u64,
    /// What the orders sold.
    sold: Goods,
    /// What the returns brought back.
    returned: Goods,
    rejects_file: String,
}

/// Runs the command and tells its errors on stderr. Exit code 0: done, even if rows were
/// rejected; 1: the shop does not answer, refused the account, or vanished on the way;
/// 2: the file, its format or a flag is wrong, and nothing was written to the shop.
///
/// # Errors
/// Standard output is closed.
///
/// # On crash
/// See [`replay::write`]; the rejects file then holds what the file alone told.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    run_at(args, Pace::default()).await
}

async fn run_at(args: Args, pace: Pace) -> anyhow::Result<ExitCode> {
    let prepared = match Prepared::try_new(&args) {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(WRONG_INPUT));
        }
    };
    let summary = match prepared.import(&args, pace).await {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    if args.json {
        let line = serde_json::to_string(&summary)?;
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that can be known before the shop is asked.
struct Prepared {
    data: Vec<u8>,
    parsed: Parsed,
    to: Url,
    rejects: PathBuf,
}

impl Prepared {
    fn try_new(args: &Args) -> anyhow::Result<Self> {
        let to = Url::parse(&args.login.to).with_context(|| "--to is not an address like http://host:port")?;
        ensure!(to.scheme() == "http" && to.has_host(), "--to takes an address like http://host:port");
        let file = &args.file;
        let data = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let parsed = parse::parse(&data).with_context(|| format!("{} is not in the format", file.display()))?;
        let rejects = rejects_path(args);
        let both = (file.canonicalize(), rejects.canonicalize());
        let same = matches!(both, (Ok(file), Ok(rejects)) if file == rejects);
        ensure!(!same, "the rejects would overwrite {}; choose another --rejects", file.display());
        let prepared = Prepared { data, parsed, to, rejects };
        prepared.write_rejects()?;
        Ok(prepared)
    }

    async fn import(mut self, args: &Args, pace: Pace) -> anyhow::Result<Summary> {
        let client = Client::log_in(&self.to, &args.login.email, &args.login.password.0, pace).await?;
        let progress = Progress::new(args.json);
        let key = file_key(&self.data);
        let written = replay::write(&client, &mut self.parsed, &key, args.replay, &progress).await;
        progress.finish();
        let written = written?;
        self.write_rejects()?;
        let summary = self.summary(&written);
        ensure!(
            summary.rows == summary.imported + summary.rejected,
            "{} rows, but {} imported and {} rejected: please report this",
            summary.rows,
            summary.imported,
            summary.rejected
        );
        eprint!("{}", account(&summary, &self.parsed));
        Ok(summary)
    }

    fn summary(&self, written: &Written) -> Summary {
        Summary {
            rows: self.parsed.rows,
            imported: written.imported,
            rejected: self.parsed.rejects.len(),
            products: written.products,
            orders: written.orders,
            cancellations: self.parsed.cancellations,
            returns: written.returns,
            sold: written.sold,
            returned: written.returned,
            rejects_file: self.rejects.display().to_string(),
        }
    }

    fn write_rejects(&self) -> anyhow::Result<()> {
        let to = |path: &Path| -> io::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            self.parsed.rejects.write(parse::without_mark(&self.data), &mut file)?;
            file.flush()
        };
        to(&self.rejects).with_context(|| format!("the rejects file {} cannot be written", self.rejects.display()))
    }
}

fn rejects_path(args: &Args) -> PathBuf {
    args.rejects.clone().unwrap_or_else(|| {
        let mut name = args.file.file_stem().unwrap_or_default().to_owned();
        name.push(".rejects.csv");
        PathBuf::from(name)
    })
}

/// The first 16 hex digits of the content's SHA-256.
fn file_key(data: &[u8]) -> String {
    let digest = Sha256::digest(data);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The summary for people: what became of the rows, the rejected ones by reason.
fn account(summary: &Summary, parsed: &Parsed) -> String {
    let Summary { rows, imported, rejected, .. } = summary;
    let mut text = format!("{rows} rows: {imported} imported, {rejected} rejected\n");
    for (reason, rows) in parsed.rejects.tally() {
        text += &format!("  {rows:>8}  {reason}\n");
    }
    let Summary { products, orders, returns, sold, returned, rejects_file, .. } = summary;
    text += &format!("{products} products, {orders} orders ({})", counted(sold));
    if summary.cancellations > 0 {
        text += &format!(", {returns} returns ({})", counted(returned));
    }
    text + &format!("; rejected rows: {rejects_file}\n")
}

/// `5 rows, 13 pieces, £38.93`.
fn counted(goods: &Goods) -> String {
    let Goods { rows, pieces, pence } = goods;
    format!("{rows} rows, {pieces} pieces, £{}.{:02}", pence / 100, pence % 100)
}

#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
