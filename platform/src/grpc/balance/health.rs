//! Whether a replica serves: it says so itself, over the standard gRPC health service
//! (`grpc.health.v1.Health/Watch`, asked for the one service that is wanted).
//!
//! The question is a stream: the replica answers at once, and again whenever the answer
//! changes. Its end, or the end of its connection, is an answer, too. It gets no calls
//! before it has said SERVING, and is asked anew, with *exponential back-off and jitter*,
//! while it does not. A call that got no answer casts doubt: then the replica gets no
//! calls until it has answered a new question, in time. That finds the one who is
//! paused, or behind a cut cable: his connection stands, and says nothing.
//!
//! Who said NOT_SERVING is not listened to any longer but asked again: a server that
//! is stopping waits for its streams to end, and this one would not.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Shared;
use super::replica::Replica;

/// How long the first answer may take; a connection may have to be made for it.
const ANSWER: Duration = Duration::from_secs(3);
/// The first pause before a replica is asked again, and the longest.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Why it is time to ask anew.
enum Ended {
    /// A call cast doubt on it.
    Doubted,
    /// It does not serve, or cannot be heard.
    Silent(String),
}

/// Asks one replica, for ever.
pub(super) async fn follow(replica: Arc<Replica>, shared: Arc<Shared>) -> Infallible {
    let mut pause = SHORTEST;
    loop {
        let follower = Follower { replica: &replica, shared: &shared };
        let (served, ended) = follower.listen().await;
        follower.cease(&ended);
        if served {
            pause = SHORTEST;
            if matches!(ended, Ended::Doubted) {
                continue;
            }
        }
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(LONGEST);
    }
}

struct Follower<'a> {
    replica: &'a Replica,
    shared: &'a Shared,
}

impl Follower<'_> {
    /// Asks, and listens as long as the replica serves. Whether it did, and why no longer.
    async fn listen(&self) -> (bool, Ended) {
        // A doubt that is left over is answered by what follows.
        let _ = self.replica.doubted().now_or_never();
        let service = self.shared.service.to_owned();
        let mut health = HealthClient::new(self.replica.channel.clone());
        let asked = async {
            let mut statuses = health.watch(HealthCheckRequest { service }).await?.into_inner();
            Ok((statuses.message().await?, statuses))
        };
        let (mut status, mut statuses) = match timeout(ANSWER, asked).await {
            Ok(Ok(heard)) => heard,
            Ok(Err(status)) => return self.without_health(&status).await,
            Err(_) => return (false, Ended::Silent("no answer in time".to_owned())),
        };
        let mut served = false;
        loop {
            match status {
                Some(told) if told.status() == ServingStatus::Serving => self.begin(),
                Some(told) => return (served, Ended::Silent(format!("it says {}", told.status().as_str_name()))),
                None => return (served, Ended::Silent("it has stopped telling".to_owned())),
            }
            served = true;
            status = tokio::select! {
                told = statuses.message() => match told {
                    Ok(told) => told,
                    Err(status) => return (served, Ended::Silent(status.message().to_owned())),
                },
                () = self.replica.doubted() => return (served, Ended::Doubted),
            };
        }
    }

    /// A server without a health service serves while it can be reached, as the gRPC
    /// health checking protocol has it.
    async fn without_health(&self, status: &tonic::Status) -> (bool, Ended) {
        if status.code() != Code::Unimplemented {
            return (false, Ended::Silent(status.message().to_owned()));
        }
        self.begin();
        self.replica.doubted().await;
        (true, Ended::Doubted)
    }

    fn begin(&self) {
        if self.replica.begin_to_serve() {
            tracing::info!(service = self.shared.service, replica = %self.replica.address, "a replica serves");
            self.shared.changed.send_replace(());
        }
    }

    fn cease(&self, ended: &Ended) {
        let (service, replica) = (self.shared.service, self.replica.address);
        let is_news = self.replica.cease_to_serve();
        match ended {
            Ended::Doubted => tracing::info!(service, %replica, "a call to a replica got no answer: it is asked anew"),
            Ended::Silent(why) if is_news => tracing::warn!(service, %replica, why, "a replica no longer serves"),
            Ended::Silent(why) => tracing::debug!(service, %replica, why, "a replica does not serve"),
        }
        self.shared.changed.send_replace(());
    }
}
