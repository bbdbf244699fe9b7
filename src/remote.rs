//! The way from the command line to a running shop: its gRPC port, its token, and words
//! for what can go wrong between here and there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use contracts::ops::ListServicesRequest;
use contracts::ops::ops_client::OpsClient;
use contracts::query::query_client::QueryClient;
use platform::grpc::Identity;
use reqwest::Url;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::grpc::token;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take to begin.
const ANSWER: Duration = Duration::from_secs(30);
/// Room for a list of 500 messages.
const LARGEST_ANSWER: usize = 256 << 20;

/// Where the running shop is, and what it wants to see
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Remote {
    /// The gRPC address of the running shop
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "ORDERLY_GRPC")]
    to: String,
    /// Its gRPC token; by default the one in its data folder
    #[arg(long, value_name = "TOKEN", env = "ORDERLY_GRPC_TOKEN", hide_env_values = true)]
    grpc_token: Option<String>,
    /// Its data folder, for the token
    #[arg(long, value_name = "DIR", default_value = "orderly-data", env = "ORDERLY_DATA_DIR")]
    data_dir: PathBuf,
}

/// A connection to a shop, as its operator.
pub(crate) struct Line {
    to: String,
    channel: Channel,
    credentials: Credentials,
}

/// A client that shows the credentials with each call.
pub(crate) type Guarded = InterceptedService<Channel, Credentials>;

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// The address makes no sense, nobody listens there, or there is no token.
    pub(crate) async fn connect(&self) -> anyhow::Result<Line> {
        let to = Url::parse(&self.to).ok().filter(|to| to.scheme() == "http" && to.has_host());
        let to = to.with_context(|| format!("--to {:?}: an address like http://host:port is wanted", self.to))?;
        let credentials = Credentials::of(&self.token()?)?;
        let endpoint = Endpoint::from_shared(to.to_string())?.connect_timeout(CONNECT).timeout(ANSWER);
        let channel = endpoint.connect().await.map_err(|error| {
            let cause = root_cause(&error);
            anyhow!(
                "no shop answers at {} ({cause}); is it running? start it with `orderly up`, or name its gRPC address \
                 with --to",
                self.to
            )
        })?;
        Ok(Line { to: self.to.clone(), channel, credentials })
    }

    fn token(&self) -> anyhow::Result<String> {
        if let Some(token) = &self.grpc_token {
            return Ok(token.clone());
        }
        token::read(&self.data_dir)?.with_context(|| {
            format!(
                "there is no token in {}: name the running shop's data folder with --data-dir, or its token with \
                 --grpc-token",
                self.data_dir.join(token::FILE).display()
            )
        })
    }
}

impl Line {
    /// What the services show of their inside.
    pub(crate) fn ops(&self) -> OpsClient<Guarded> {
        OpsClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The read side.
    pub(crate) fn query(&self) -> QueryClient<Guarded> {
        QueryClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The services of the shop, or the one that is named.
    ///
    /// # Errors
    /// As the shop answers; or it has no such service.
    pub(crate) async fn services(&self, named: Option<&str>) -> anyhow::Result<Vec<String>> {
        let all = self.ops().list_services(ListServicesRequest {}).await;
        let all = all.map_err(|status| self.explain(&status))?.into_inner().services;
        match named {
            None => Ok(all),
            Some(named) if all.iter().any(|service| service == named) => Ok(vec![named.to_owned()]),
            Some(named) => bail!("the shop has no service {named:?}; it has {}", all.join(", ")),
        }
    }

    /// Asks each of the services. Who does not answer is left out, and told of in the
    /// returned lines: when a part of the shop is away, the others are what one wants to
    /// look at.
    ///
    /// # Errors
    /// The shop is gone, or one of them refuses.
    pub(crate) async fn each<T>(
        &self,
        services: Vec<String>,
        ask: impl AsyncFn(String) -> Result<Response<T>, Status>,
    ) -> anyhow::Result<(Vec<(String, T)>, Vec<String>)> {
        let (mut answers, mut away) = (Vec::new(), Vec::new());
        for service in services {
            match ask(service.clone()).await {
                Ok(answer) => answers.push((service, answer.into_inner())),
                Err(status) if is_of_a_part(&status) => away.push(status.message().to_owned()),
                Err(status) => return Err(self.explain(&status)),
            }
        }
        Ok((answers, away))
    }

    /// A refusal in words that say what to do.
    pub(crate) fn explain(&self, status: &Status) -> anyhow::Error {
        let to = &self.to;
        match status.code() {
            Code::Unauthenticated => anyhow!(
                "the shop at {to} does not take this token; --data-dir names the folder that the shop runs in, or \
                 --grpc-token the token it was started with"
            ),
            Code::Unimplemented | Code::Internal => anyhow!(
                "what listens at {to} is no gRPC port of a shop of this version ({}); --to names the address that \
                 `orderly up` prints beside \"grpc\"",
                status.message()
            ),
            // Without words of the shop's own it is the connection that failed.
            Code::Unavailable | Code::Unknown if std::error::Error::source(status).is_some() => {
                anyhow!("the shop at {to} has gone away ({})", root_cause(status))
            }
            _ => anyhow!("the shop refuses: {}", status.message()),
        }
    }
}

/// Whether a part of the shop is away, and the rest answers: without a source, the
/// words are the shop's own.
fn is_of_a_part(status: &Status) -> bool {
    let is_silence = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
    is_silence && std::error::Error::source(status).is_none()
}

/// The end of a command that asked several services.
///
/// # Errors
/// Some were away.
pub(crate) fn told_of(away: &[String]) -> anyhow::Result<ExitCode> {
    if away.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!("{}", away.join("; ")) }
}

/// What every call carries: the token, and who calls.
#[derive(Clone)]
pub(crate) struct Credentials {
    authorization: MetadataValue<Ascii>,
    identity: Identity,
}

impl Credentials {
    fn of(token: &str) -> anyhow::Result<Self> {
        let authorization = format!("Bearer {token}").parse();
        let mut authorization: MetadataValue<Ascii> = authorization.context("--grpc-token: this is no token")?;
        authorization.set_sensitive(true);
        let identity = Identity { account: "command-line".to_owned(), operator: true };
        Ok(Self { authorization, identity })
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.authorization.clone());
        self.identity.sign(request.metadata_mut())?;
        Ok(request)
    }
}

/// The innermost cause, which names the fault and not the layers above it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
