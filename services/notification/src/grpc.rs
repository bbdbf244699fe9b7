//! The gRPC server: how a customer wants to be told. Validates, submits to the
//! loop, maps errors.

use contracts::notification::notifications_server::Notifications as Server;
use contracts::notification::{GetPreferenceRequest, MailPreference as Wire, Preference, SetPreferenceRequest};
use platform::error::{Failure, Rejection, Unavailable};
use platform::grpc::Identity;
use platform::service_loop::Handle;
use platform::store::Db;
use platform::store::idempotency::fingerprint;
use platform::text;
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::topic::MailPreference;
use crate::{Input, Notification, producer, store};

/// Serves `orderly.notification.v1.Notifications`.
#[derive(Clone)]
pub struct NotificationsServer {
    handle: Handle<Notification>,
    db: Db,
}

impl NotificationsServer {
    /// A server over the running loop and its store.
    pub const fn new(handle: Handle<Notification>, db: Db) -> Self {
        Self { handle, db }
    }
}

#[tonic::async_trait]
impl Server for NotificationsServer {
    async fn get_preference(&self, request: Request<GetPreferenceRequest>) -> Result<Response<Preference>, Status> {
        let caller = Identity::of(&request)?;
        let GetPreferenceRequest { customer_id } = request.into_inner();
        own_account(&caller, &customer_id)?;
        let mail = store::preference(&self.db, &customer_id)
            .await
            .map_err(|error| Failure::from(Unavailable::new(format!("store of notification: {error}"))))?;
        Ok(Response::new(producer::preference(&customer_id, mail)))
    }

    async fn set_preference(&self, request: Request<SetPreferenceRequest>) -> Result<Response<Preference>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        own_account(&caller, &request.customer_id)?;
        let mail = preference(request.mail()).map_err(Failure::from)?;
        let id = text::command_id(request.command_id).map_err(Failure::from)?;
        let print = json!([request.customer_id, mail.as_str()]).to_string();
        let input = Input::SetPreference { customer_id: request.customer_id, mail };
        Ok(Response::new(self.handle.submit(id, fingerprint(print.as_bytes()), input).await?))
    }
}

/// A customer has one preference to look at, an operator everybody's.
fn own_account(caller: &Identity, customer_id: &str) -> Result<(), Status> {
    text::line("customer", customer_id, 100).map_err(Failure::from)?;
    if caller.operator || caller.account == customer_id {
        Ok(())
    } else {
        Err(Status::permission_denied("for operators only"))
    }
}

/// The generated getter gives UNSPECIFIED for a number that is no preference.
fn preference(mail: Wire) -> Result<MailPreference, Rejection> {
    match mail {
        Wire::All => Ok(MailPreference::All),
        Wire::Essential => Ok(MailPreference::Essential),
        Wire::None => Ok(MailPreference::None),
        Wire::Unspecified => Err(Rejection::bad_input("mail must be ALL, ESSENTIAL or NONE")),
    }
}
