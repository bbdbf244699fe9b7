//! `orderly health`: whether a process of the shop says that it serves.
//!
//! For container engines and people: gRPC's standard health service, asked over the
//! process's own port, without a token. Exit code 0: it serves.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Url;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Ask a process of the shop whether it serves; exit code 0 if it does
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Its gRPC address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "ORDERLY_GRPC")]
    to: String,
    /// One service by its name in the contracts, such as orderly.order.v1.Orders; by default the process as a whole
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// How long the answer may take
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    within: Duration,
}

/// Runs the command.
///
/// # Errors
/// Nobody answers in time, or what answers does not serve.
#[expect(clippy::print_stdout, reason = "the answer is what this command is for")]
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let to = Url::parse(&args.to).ok().filter(|to| to.scheme() == "http" && to.has_host());
    let to = to.with_context(|| format!("--to {:?}: an address like http://host:port is wanted", args.to))?;
    let endpoint = Endpoint::from_shared(to.to_string())?.connect_timeout(args.within).timeout(args.within);
    let asked = async {
        let channel = endpoint.connect().await.with_context(|| format!("nobody answers at {}", args.to))?;
        let request = HealthCheckRequest { service: args.service.clone() };
        let answer = HealthClient::new(channel).check(request).await;
        answer.map_err(|status| anyhow::anyhow!("{} does not tell its health: {}", args.to, status.message()))
    };
    let answer = tokio::time::timeout(args.within, asked).await;
    let answer = answer.with_context(|| format!("{} has not answered in time", args.to))??;
    match answer.into_inner().status() {
        ServingStatus::Serving => {
            println!("SERVING");
            Ok(ExitCode::SUCCESS)
        }
        status => bail!("{} says {}", args.to, status.as_str_name()),
    }
}
