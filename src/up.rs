//! `orderly up`: the whole shop in this process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gateway::accounts::{DEMO_CUSTOMER, DEMO_OPERATOR, DEMO_PASSWORD};
use platform::bus::Bus;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};
use web::WebOptions;

use crate::auditor::Auditor;
use crate::data_dir::DataDir;
use crate::grpc::token::{Token, Whereabouts};
use crate::grpc::{self, GrpcServer};
use crate::http::{self, HttpServer};
use crate::settings::{Broker, Business, Databases};
use crate::shop::Shop;
use crate::{Stores, demo};

/// How long open connections may take to end at a stop.
const GRACE: Duration = Duration::from_secs(3);

/// Start the whole shop in this process
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where to listen for HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "ORDERLY_LISTEN")]
    listen: SocketAddr,
    /// Where to listen for gRPC, for operators and their tools
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", env = "ORDERLY_GRPC_LISTEN")]
    grpc_listen: SocketAddr,
    /// What a gRPC call has to show; by default one is made and kept in the data folder
    #[arg(long, value_name = "TOKEN", env = "ORDERLY_GRPC_TOKEN", hide_env_values = true)]
    grpc_token: Option<String>,
    /// Where everything is kept; made if it is missing
    #[arg(long, value_name = "DIR", default_value = "orderly-data", env = "ORDERLY_DATA_DIR")]
    data_dir: PathBuf,
    /// How often the shop audits itself, or less often where an audit takes long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    audit_every: Duration,
    /// Leave out the demo products and log-ins
    #[arg(long)]
    no_demo_data: bool,
    /// Cookies for https only: where a TLS proxy stands in front
    #[arg(long)]
    secure_cookies: bool,
    #[command(flatten)]
    business: Business,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    databases: Databases,
}

/// Starts the shop, serves it until SIGINT or SIGTERM, stops it.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = http::listen(args.listen).await?;
    let address = listener.local_addr()?;
    let grpc_listener = grpc::listen(args.grpc_listen).await?;
    let grpc_address = grpc_listener.local_addr()?;
    let folder = match (args.databases.are_named(), args.broker.is_named()) {
        (true, true) => None,
        _ => Some(DataDir::lock(&args.data_dir)?),
    };
    let (token, whereabouts) = Token::of_the_shop(args.grpc_token.as_deref(), folder.as_ref().map(DataDir::path))?;
    let clock = Clock::system();
    let (stores, bus, partitions) = surroundings(&args, folder.as_ref()).await?;
    let options = args.business.options(partitions)?;
    let shop = Shop::start(stores.clone(), bus, clock.clone(), options).await.context("the shop cannot start")?;
    if !args.no_demo_data {
        shop.accounts.ensure_demo().await.context("the demo log-ins cannot be made")?;
        demo::stock_the_shelves(&shop.connections.inventory).await.context("the demo products cannot be made")?;
        demo::until_seen(&shop.api).await?;
    }

    let auditor = Auditor::start(stores, clock.clone(), args.audit_every);
    let web_options = WebOptions {
        audit: auditor.reports(),
        clock: clock.clone(),
        secure_cookies: args.secure_cookies,
        demo_account: (!args.no_demo_data).then(|| (DEMO_CUSTOMER.to_owned(), DEMO_PASSWORD.to_owned())),
    };
    let mut http = HttpServer::start(listener, &shop.api, web_options);
    let services = grpc::whole_shop(shop.connections.clone(), shop.ops.clone());
    let mut grpc = GrpcServer::start(grpc_listener, services, token).await?;
    greet(address, (grpc_address, &whereabouts), &args, folder.as_ref())?;

    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        what = shop.failed() => Some(what),
        what = http.failed() => Some(what),
        what = grpc.failed() => Some(what),
    };
    shop.end_watches();
    tokio::join!(http.stop(GRACE), grpc.stop(GRACE));
    drop(auditor);
    shop.stop().await;
    drop(folder);
    match failure {
        None => Ok(ExitCode::SUCCESS),
        Some(what) => bail!("{what}; this is a defect, please report it. What was accepted is in the stores"),
    }
}

async fn surroundings(args: &Args, folder: Option<&DataDir>) -> anyhow::Result<(Stores, Arc<dyn Bus>, u32)> {
    let path = folder.map_or(args.data_dir.as_path(), DataDir::path);
    let stores = if args.databases.are_named() {
        Stores::on(&args.databases).await?
    } else {
        Stores::in_folder(path).await.with_context(|| format!("the stores in {}", path.display()))?
    };
    if args.broker.is_named() {
        return Ok((stores, args.broker.connect().await?, args.broker.partitions()));
    }
    let bus = EmbeddedBus::open(Some(&path.join("bus.db"))).await.context("the embedded broker")?;
    Ok((stores, bus, 1))
}

/// Says where the shop is. The first line is for scripts, too.
fn greet(
    address: SocketAddr,
    (grpc, token): (SocketAddr, &Whereabouts),
    args: &Args,
    folder: Option<&DataDir>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    writeln!(out)?;
    writeln!(out, "  shop      http://{address}/")?;
    writeln!(out, "  GraphQL   http://{address}/graphql")?;
    writeln!(out, "  grpc      {grpc}")?;
    match token {
        Whereabouts::Given => writeln!(out, "            with the token that was given")?,
        Whereabouts::Kept(file) => writeln!(out, "            with the token in {}", file.display())?,
        Whereabouts::Nowhere => {
            writeln!(out, "            health and reflection only; for all, start with --grpc-token")?
        }
    }
    if let Some(folder) = folder {
        writeln!(out, "  data      {}", folder.path().display())?;
    }
    if !args.no_demo_data {
        writeln!(out, "  log in    {DEMO_CUSTOMER} (customer) or {DEMO_OPERATOR}, password {DEMO_PASSWORD}")?;
    }
    writeln!(out, "  stop      Ctrl-C")?;
    out.flush()?;
    Ok(())
}
