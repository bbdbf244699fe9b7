//! The gRPC server: tokenises cards. It is pure, so there is neither loop nor
//! store behind it.

use contracts::common::Card;
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_server::{Payments, PaymentsServer};
use platform::error::Failure;
use tonic::{Request, Response, Status};

use crate::cards;

/// Serves `orderly.payment.v1.Payments`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CardDesk;

/// The generated server, ready to be served.
pub fn server() -> PaymentsServer<CardDesk> {
    PaymentsServer::new(CardDesk)
}

#[tonic::async_trait]
impl Payments for CardDesk {
    async fn tokenize_card(&self, request: Request<TokenizeCardRequest>) -> Result<Response<Card>, Status> {
        let card = cards::tokenize(&request.into_inner().number).map_err(Failure::from)?;
        Ok(Response::new(Card { token: card.token, last4: card.last4 }))
    }
}
