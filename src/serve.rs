//! `orderly serve <role>…`: some of the shop's parts in this process, the others
//! elsewhere.
//!
//! The same parts as in [`crate::shop`], on Redis and Postgres; what `up` wires in
//! process is here a connection over a socket. Any set of roles can share a process,
//! and any number of processes a role.

mod neighbours;
mod ops_front;
mod role;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contracts::ops::ops_server::OpsServer;
use contracts::{audit, inventory, notification, ops, order, payment, query};
use gateway::accounts::{Accounts, DEMO_CUSTOMER, DEMO_PASSWORD};
use gateway::api::{Api, Connections};
use platform::bus::Bus;
use platform::clock::Clock;
use platform::grpc::{Connection, in_process};
use platform::store::Db;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use web::WebOptions;

use crate::auditor::{self, Auditor};
use crate::grpc::token::Token;
use crate::grpc::{self, GrpcServer, Named};
use crate::http::{self, HttpServer};
use crate::parts::{self, Ground, Parts};
use crate::settings::{Broker, Business, Databases};
use crate::{Stores, demo, shop};
use neighbours::{Lines, Neighbours};
use ops_front::OpsFront;
use role::{Role, Roles};

/// How long open connections may take to end at a stop.
const GRACE: Duration = Duration::from_secs(3);

/// How long a stop may take in all. It waits for the servers, which may have stopped answering; and
/// who started this process kills it after ten seconds.
const LONGEST_STOP: Duration = Duration::from_secs(8);

/// Start some parts of the shop in this process, the others elsewhere
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Which parts
    #[arg(required = true, value_name = "ROLE", env = "ORDERLY_ROLES", value_delimiter = ',')]
    roles: Vec<Role>,
    /// Where the gateway listens for HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "ORDERLY_LISTEN")]
    listen: SocketAddr,
    /// Where to listen for gRPC
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", env = "ORDERLY_GRPC_LISTEN")]
    grpc_listen: SocketAddr,
    /// What a gRPC call has to show, of the other services too: the same for all processes of a shop
    #[arg(long, value_name = "TOKEN", env = "ORDERLY_GRPC_TOKEN", hide_env_values = true)]
    grpc_token: Option<String>,
    /// How often the auditor audits, or less often where an audit takes long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    audit_every: Duration,
    /// The gateway makes the demo products and log-ins
    #[arg(long)]
    demo_data: bool,
    /// The gateway's cookies are for https only: where a TLS proxy stands in front
    #[arg(long)]
    secure_cookies: bool,
    #[command(flatten)]
    business: Business,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    databases: Databases,
    #[command(flatten)]
    neighbours: Neighbours,
}

/// Starts the parts, serves them until SIGINT or SIGTERM, stops them.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut process = tokio::select! {
        started = Process::start(&args) => started?,
        // Told to stop while it waits for a server: nothing was taken yet.
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    process.greet()?;
    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        what = process.failed() => Some(what),
    };
    if tokio::time::timeout(LONGEST_STOP, process.stop()).await.is_err() {
        // As after a crash: what was accepted is in the stores, and what is leased lapses.
        tracing::warn!(after = ?LONGEST_STOP, "a server does not answer, so the stop is not waited for to its end");
    }
    match failure {
        None => Ok(ExitCode::SUCCESS),
        Some(what) => bail!("{what}; this is a defect, please report it. What was accepted is in the stores"),
    }
}

/// What runs here.
struct Process {
    roles: Roles,
    /// `host:port` of gRPC.
    grpc_address: SocketAddr,
    grpc: GrpcServer,
    parts: Parts,
    gateway: Option<Gateway>,
    auditor: Option<(Auditor, Stores)>,
    /// Ends every look that would go on for ever.
    tails: CancellationToken,
    bus: Option<Arc<dyn Bus>>,
}

impl Process {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let roles = Roles::new(&args.roles);
        // Everything that can be wrong in the settings, before anything is touched.
        let Some(token) = args.grpc_token.as_deref() else {
            bail!("--grpc-token (ORDERLY_GRPC_TOKEN) is missing: what the processes of a shop show one another");
        };
        let (guard, _) = Token::of_the_shop(Some(token), None)?;
        let needed = roles.databases();
        for service in &needed {
            args.databases.url(service, &needed)?;
        }
        let options = args.business.options(args.broker.partitions())?;
        let mut lines = args.neighbours.connect(&roles, token)?;
        if roles.need_bus() {
            args.broker.check()?;
        }
        let http_listener = if roles.has(Role::Gateway) { Some(http::listen(args.listen).await?) } else { None };
        let grpc_listener = grpc::listen(args.grpc_listen).await?;
        let grpc_address = grpc_listener.local_addr()?;

        let clock = Clock::system();
        let bus: Option<Arc<dyn Bus>> = if roles.need_bus() { Some(args.broker.connect().await?) } else { None };
        let mut parts = Parts::default();
        let tails = CancellationToken::new();
        let mut served: Vec<Named> = Vec::new();
        if let Some(bus) = &bus {
            let ground = Ground { bus: bus.clone(), clock: clock.clone(), options };
            ground.declare().await?;
            served = services(&roles, args, &ground, &mut parts, &mut lines).await?;
        }
        let mut auditor = None;
        if roles.has(Role::Auditor) {
            let stores = Stores::on(&args.databases).await?;
            let running = Auditor::start(stores.clone(), clock.clone(), args.audit_every);
            let connection = in_process(auditor::grpc::server(running.reports()));
            lines.is_here(Role::Auditor, connection.clone());
            served.push((audit::auditor_server::SERVICE_NAME, connection));
            auditor = Some((running, stores));
        }
        let desk = in_process(platform::ops::server(parts.insides(), &parts::SPECS, tails.clone()));
        let mut gateway = None;
        if let (Some(listener), Some(bus)) = (http_listener, &bus) {
            for role in [Role::Order, Role::Inventory, Role::Payment, Role::Query, Role::Notification] {
                if roles.has(role) {
                    lines.shows(role, desk.clone());
                }
            }
            let front = in_process(OpsServer::new(OpsFront::new(lines.insides(), tails.clone())));
            let db = args.databases.open("gateway", &needed).await?;
            let started = Gateway::start(args, listener, &lines, db, bus.clone(), clock).await?;
            // Operators' tools talk to the gateway's port, as they do to `up`.
            served = grpc::whole_shop(started.connections.clone(), front);
            served.push((audit::auditor_server::SERVICE_NAME, lines.to(Role::Auditor)?));
            gateway = Some(started);
        } else {
            served.push((ops::ops_server::SERVICE_NAME, desk));
        }
        let grpc = GrpcServer::start(grpc_listener, served, guard).await?;
        Ok(Self { roles, grpc_address, grpc, parts, gateway, auditor, tails, bus })
    }

    /// Says what runs where. The first line is for scripts, too.
    fn greet(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match &self.gateway {
            Some(gateway) => writeln!(out, "listening on http://{}\n", gateway.address)?,
            None => writeln!(out, "serving {}\n", self.roles)?,
        }
        writeln!(out, "  roles     {}", self.roles)?;
        writeln!(out, "  grpc      {}", self.grpc_address)?;
        writeln!(out, "  stop      Ctrl-C")?;
        out.flush()?;
        Ok(())
    }

    /// Waits until a part ends by itself, and says which.
    async fn failed(&mut self) -> String {
        let http = async {
            match &mut self.gateway {
                Some(gateway) => gateway.http.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            what = self.parts.failed() => what,
            what = http => what,
            what = self.grpc.failed() => what,
        }
    }

    /// Stops in order: no more calls, what is in is decided, what was decided is
    /// published, the stores are closed.
    async fn stop(self) {
        self.tails.cancel();
        let gateway = async {
            if let Some(gateway) = self.gateway {
                gateway.stop().await;
            }
        };
        tokio::join!(gateway, self.grpc.stop(GRACE));
        if let Some((auditor, stores)) = self.auditor {
            drop(auditor);
            stores.close().await;
        }
        self.parts.stop().await;
        if let Some(bus) = self.bus {
            shop::close(&*bus).await;
        }
    }
}

/// Starts the services among the roles, who is asked before who asks, and gives what
/// they serve.
async fn services(
    roles: &Roles,
    args: &Args,
    ground: &Ground,
    parts: &mut Parts,
    lines: &mut Lines,
) -> anyhow::Result<Vec<Named>> {
    let needed = roles.databases();
    let open = async |service| args.databases.open(service, &needed).await;
    let mut served: Vec<Named> = Vec::new();
    let mut here = |role, name, connection: Connection, lines: &mut Lines| {
        lines.is_here(role, connection.clone());
        served.push((name, connection));
    };
    if roles.has(Role::Inventory) {
        let connection = parts::inventory(ground, parts, &open("inventory").await?).await?;
        here(Role::Inventory, inventory::inventory_server::SERVICE_NAME, connection, lines);
    }
    if roles.has(Role::Order) {
        let connection = parts::order(ground, parts, &open("order").await?, lines.to(Role::Inventory)?).await?;
        here(Role::Order, order::orders_server::SERVICE_NAME, connection, lines);
    }
    if roles.has(Role::Payment) {
        let connection = parts::payment(ground, parts, &open("payment").await?, &open("bank").await?).await?;
        here(Role::Payment, payment::payments_server::SERVICE_NAME, connection, lines);
    }
    if roles.has(Role::Notification) {
        let connection = parts::notification(ground, parts, &open("notification").await?).await?;
        here(Role::Notification, notification::notifications_server::SERVICE_NAME, connection, lines);
    }
    if roles.has(Role::Query) {
        let connection = parts::query(ground, parts, &open("query").await?).await?;
        here(Role::Query, query::query_server::SERVICE_NAME, connection, lines);
    }
    Ok(served)
}

/// The gateway's part of a process.
struct Gateway {
    /// `host:port` of HTTP.
    address: SocketAddr,
    api: Api,
    connections: Connections,
    http: HttpServer,
    db: Db,
    _reports: auditor::grpc::Reports,
    demo: Option<AbortOnDropHandle<()>>,
}

impl Gateway {
    async fn start(
        args: &Args,
        listener: TcpListener,
        lines: &Lines,
        db: Db,
        bus: Arc<dyn Bus>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let connections = Connections {
            orders: lines.to(Role::Order)?,
            inventory: lines.to(Role::Inventory)?,
            payments: lines.to(Role::Payment)?,
            query: lines.to(Role::Query)?,
            notifications: lines.to(Role::Notification)?,
        };
        let accounts = Accounts::open(db.clone(), clock.clone()).await.context("gateway")?;
        let api = Api::new(connections.clone(), accounts.clone(), bus);
        let reports = auditor::grpc::Reports::of(lines.to(Role::Auditor)?, clock.clone());
        let options = WebOptions {
            audit: reports.last(),
            clock,
            secure_cookies: args.secure_cookies,
            demo_account: args.demo_data.then(|| (DEMO_CUSTOMER.to_owned(), DEMO_PASSWORD.to_owned())),
        };
        let demo = if args.demo_data {
            accounts.ensure_demo().await.context("the demo log-ins cannot be made")?;
            let inventory = connections.inventory.clone();
            Some(AbortOnDropHandle::new(tokio::spawn(async move { stock_the_shelves(&inventory).await })))
        } else {
            None
        };
        let http = HttpServer::start(listener, &api, options);
        Ok(Self { address, api, connections, http, db, _reports: reports, demo })
    }

    async fn stop(self) {
        drop(self.demo);
        self.api.end_watches();
        self.http.stop(GRACE).await;
        drop((self.api, self.connections));
        self.db.close().await;
    }
}

/// Tries until the demo products are there: the inventory service may start later.
async fn stock_the_shelves(inventory: &Connection) {
    let mut pause = Duration::from_millis(200);
    while let Err(error) = demo::stock_the_shelves(inventory).await {
        tracing::warn!(%error, "the demo products cannot be made yet; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
