//! The bank as the payment service sees it: the far end of a bad line.

use std::time::Duration;

use platform::clock::{Clock, Millis};
use platform::error::{Failure, Unavailable};
use platform::service_loop::Handle;

use super::{Answer, Bank, Line, Reply, Request};

/// How long a slow answer takes, milliseconds of the shop's clock.
const SLOW: Millis = 3_000;
/// How long to wait for an answer at all: longer than the bank ever needs, so
/// that this ends only what would never end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls the bank. Cheap to clone.
#[derive(Clone)]
pub struct BankClient {
    bank: Handle<Bank>,
    clock: Clock,
}

impl BankClient {
    /// A line to the bank; `clock` says how slow a slow answer is.
    pub const fn new(bank: Handle<Bank>, clock: Clock) -> Self {
        Self { bank, clock }
    }

    /// Asks the bank.
    ///
    /// # Errors
    /// [`Failure::Unavailable`]: no answer; the bank may have done as it was asked
    /// or not. Ask again with the same request, it will not do it twice.
    /// [`Failure::Rejected`]: it will not, however often it is asked.
    pub async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        // Without an id: the key in the request is what makes asking again safe, and
        // each call is to count.
        let call = self.bank.submit(String::new(), String::new(), request);
        let reply =
            tokio::time::timeout(PATIENCE, call).await.map_err(|_| Unavailable::new("the bank does not answer"))??;
        match reply {
            Reply::NotThrough => Err(Unavailable::new("the bank cannot be reached").into()),
            Reply::Through(answer, Line::Clear) => Ok(answer),
            Reply::Through(answer, Line::Slow) => {
                self.clock.sleep_until(self.clock.now() + SLOW).await;
                Ok(answer)
            }
            Reply::Through(_, Line::Lost) => Err(Unavailable::new("the bank's answer was lost on its way").into()),
        }
    }
}
