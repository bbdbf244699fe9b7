//! The HTTP port: GraphQL and the web pages.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use gateway::api::Api;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web::WebOptions;

/// The listening port, and what is served on it.
pub(crate) struct HttpServer {
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl HttpServer {
    /// Serves GraphQL and the pages.
    pub(crate) fn start(listener: TcpListener, api: &Api, options: WebOptions) -> Self {
        let pages = Router::new().merge(gateway::http::router(api.clone())).merge(web::router(api.clone(), options));
        let stop = CancellationToken::new();
        let server = axum::serve(
            // Answers are small and wanted now.
            listener.tap_io(|connection| {
                let _ = connection.set_nodelay(true);
            }),
            // Log-ins are limited by the address that they come from.
            pages.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(stop.clone().cancelled_owned());
        Self { stop, serving: tokio::spawn(async move { server.await }) }
    }

    /// Waits until the server ends by itself, which it should not, and says why.
    pub(crate) async fn failed(&mut self) -> String {
        format!("the HTTP server has ended: {:?}", (&mut self.serving).await)
    }

    /// Takes no more connections, and gives those that are open so long to end.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        if !self.serving.is_finished() && tokio::time::timeout(grace, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}

/// Takes the port, or says which flag helps.
///
/// # Errors
/// Somebody else has it, or it is none of this machine's.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}; choose another address with --listen"))
}
