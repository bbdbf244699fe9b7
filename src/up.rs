//! `orderly up`: the whole shop in this process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::serve::ListenerExt as _;
use contracts::common::Money;
use contracts::inventory::inventory_client::InventoryClient;
use contracts::inventory::{AdjustStockRequest, UpsertProductRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gateway::accounts::{DEMO_CUSTOMER, DEMO_OPERATOR, DEMO_PASSWORD};
use gateway::api::Caller;
use notification::Mailer;
use platform::bus::Bus;
use platform::bus::embedded::EmbeddedBus;
use platform::bus::redis::RedisBus;
use platform::clock::Clock;
use platform::grpc::Identity;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use web::WebOptions;

use crate::auditor::Auditor;
use crate::data_dir::DataDir;
use crate::grpc::token::{Token, Whereabouts};
use crate::grpc::{self, GrpcServer};
use crate::shop::{Options, Shop};
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
    /// How often the shop audits itself, or less often where an audit takes long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    audit_every: Duration,
    /// Leave out the demo products and log-ins
    #[arg(long)]
    no_demo_data: bool,
    /// Redis Streams as the broker, instead of the embedded one
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// Postgres as the stores, instead of SQLite files; {service} stands for the service's name
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// Starts the shop, serves it until SIGINT or SIGTERM, stops it.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on {}: {error}; choose another address with --listen", args.listen)
    })?;
    let address = listener.local_addr()?;
    let grpc_listener = grpc::listen(args.grpc_listen).await?;
    let grpc_address = grpc_listener.local_addr()?;
    let folder = match (&args.database_url, &args.redis_url) {
        (Some(_), Some(_)) => None,
        _ => Some(DataDir::lock(&args.data_dir)?),
    };
    let (token, whereabouts) = Token::of_the_shop(args.grpc_token.as_deref(), folder.as_ref().map(DataDir::path))?;
    let clock = Clock::system();
    let (stores, bus, partitions) = surroundings(&args, folder.as_ref()).await?;
    let options = Options {
        payment_window: args.payment_window,
        ship_after: args.ship_after,
        deliver_after: args.deliver_after,
        remind_before: args.remind_before,
        mailer: args.smtp_url.as_deref().map(|url| Mailer::try_new(url, &args.mail_from)).transpose()?,
        partitions,
        ..Options::default()
    };
    let shop = Shop::start(stores.clone(), bus, clock.clone(), options).await.context("the shop cannot start")?;
    if !args.no_demo_data {
        shop.accounts.ensure_demo().await.context("the demo log-ins cannot be made")?;
        stock_the_shelves(&shop).await.context("the demo products cannot be made")?;
    }

    let auditor = Auditor::start(stores, clock.clone(), args.audit_every);
    let web_options = WebOptions {
        audit: auditor.reports(),
        clock: clock.clone(),
        secure_cookies: false,
        demo_account: (!args.no_demo_data).then(|| (DEMO_CUSTOMER.to_owned(), DEMO_PASSWORD.to_owned())),
    };
    let stop = CancellationToken::new();
    let pages =
        Router::new().merge(gateway::http::router(shop.api.clone())).merge(web::router(shop.api.clone(), web_options));
    let stopping = stop.clone();
    let server = axum::serve(
        // Answers are small and wanted now.
        listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        }),
        // Log-ins are limited by the address that they come from.
        pages.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move { stopping.cancelled().await });
    let mut serving = tokio::spawn(async move { server.await });
    let mut grpc = GrpcServer::start(grpc_listener, &shop, token).await?;
    greet(address, (grpc_address, &whereabouts), &args, folder.as_ref())?;

    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        what = shop.failed() => Some(what),
        ended = &mut serving => Some(format!("the HTTP server has ended: {ended:?}")),
        what = grpc.failed() => Some(what),
    };
    stop.cancel();
    shop.end_watches();
    let http = async {
        if !serving.is_finished() && tokio::time::timeout(GRACE, &mut serving).await.is_err() {
            serving.abort();
        }
    };
    tokio::join!(http, grpc.stop(GRACE));
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
    let stores = match &args.database_url {
        Some(url) => Stores::on_postgres(url).await?,
        None => Stores::in_folder(path).await.with_context(|| format!("the stores in {}", path.display()))?,
    };
    Ok(match &args.redis_url {
        Some(url) => {
            let bus = RedisBus::connect(url).await.context("the broker; is --redis-url right?")?;
            (stores, bus as Arc<dyn Bus>, 8)
        }
        None => {
            let bus = EmbeddedBus::open(Some(&path.join("bus.db"))).await.context("the embedded broker")?;
            (stores, bus as Arc<dyn Bus>, 1)
        }
    })
}

/// Makes the demo products, once: the commands' ids are the same at every start,
/// so at the second start their stored answers are all that comes back.
async fn stock_the_shelves(shop: &Shop) -> anyhow::Result<()> {
    let operator = Identity { account: "demo".to_owned(), operator: true };
    stream::iter(demo::catalogue())
        .map(|product| {
            let (operator, mut inventory) =
                (operator.clone(), InventoryClient::new(shop.connections.inventory.clone()));
            async move {
                inventory
                    .upsert_product(operator.request(UpsertProductRequest {
                        command_id: format!("demo/product/{}", product.sku),
                        sku: product.sku.to_owned(),
                        name: product.name.to_owned(),
                        price: Some(Money { amount: product.price, currency: "GBP".to_owned() }),
                    })?)
                    .await?;
                inventory
                    .adjust_stock(operator.request(AdjustStockRequest {
                        command_id: format!("demo/stock/{}", product.sku),
                        sku: product.sku.to_owned(),
                        delta: product.stock,
                    })?)
                    .await?;
                Ok::<(), anyhow::Error>(())
            }
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    // The first page should not be empty because the read model is a moment behind.
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        let seen = shop.api.products(&Caller::Anonymous, None, 1, None).await?;
        if seen.total >= i64::try_from(demo::catalogue().len())? {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
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
