//! How a customer says which messages to mail, by gRPC.

use contracts::notification::notifications_server::Notifications as _;
use contracts::notification::{GetPreferenceRequest, MailPreference, SetPreferenceRequest};
use orderly_notification::Settings;
use orderly_notification::grpc::NotificationsServer;
use platform::grpc::Identity;
use tonic::{Code, Request, Status};

use crate::shop::Shop;

async fn server(shop: &Shop) -> NotificationsServer {
    NotificationsServer::new(shop.service.handle(), shop.db().await)
}

fn caller(account: &str, operator: bool) -> Identity {
    Identity { account: account.into(), operator }
}

async fn get(server: &NotificationsServer, caller: &Identity, customer: &str) -> Result<MailPreference, Status> {
    let request = caller.request(GetPreferenceRequest { customer_id: customer.into() }).unwrap();
    let preference = server.get_preference(request).await?.into_inner();
    assert_eq!(preference.customer_id, customer);
    Ok(preference.mail())
}

async fn set(
    server: &NotificationsServer,
    caller: &Identity,
    customer: &str,
    mail: MailPreference,
    command: &str,
) -> Result<MailPreference, Status> {
    let message = SetPreferenceRequest { command_id: command.into(), customer_id: customer.into(), mail: mail.into() };
    Ok(server.set_preference(caller.request(message).unwrap()).await?.into_inner().mail())
}

#[tokio::test]
async fn who_has_never_said_gets_all_and_who_has_what_was_said() {
    let shop = Shop::open(Settings::default()).await;
    let (server, ada) = (server(&shop).await, caller("ada", false));
    assert_eq!(get(&server, &ada, "ada").await.unwrap(), MailPreference::All);
    for (mail, command) in [(MailPreference::Essential, "1"), (MailPreference::None, "2"), (MailPreference::All, "3")] {
        assert_eq!(set(&server, &ada, "ada", mail, command).await.unwrap(), mail);
        assert_eq!(get(&server, &ada, "ada").await.unwrap(), mail);
    }
    assert_eq!(get(&server, &caller("bob", false), "bob").await.unwrap(), MailPreference::All);
}

#[tokio::test]
async fn a_command_repeated_is_answered_again_and_changes_nothing() {
    let shop = Shop::open(Settings::default()).await;
    let (server, ada) = (server(&shop).await, caller("ada", false));
    set(&server, &ada, "ada", MailPreference::Essential, "1").await.unwrap();
    set(&server, &ada, "ada", MailPreference::None, "2").await.unwrap();
    assert_eq!(set(&server, &ada, "ada", MailPreference::Essential, "1").await.unwrap(), MailPreference::Essential);
    assert_eq!(get(&server, &ada, "ada").await.unwrap(), MailPreference::None);
    let other = set(&server, &ada, "ada", MailPreference::All, "1").await.unwrap_err();
    assert_eq!(other.code(), Code::Aborted, "one key, two requests");
}

#[tokio::test]
async fn a_preference_is_its_owner_s_and_the_operators_business() {
    let shop = Shop::open(Settings::default()).await;
    let server = server(&shop).await;
    let (bob, operator) = (caller("bob", false), caller("olga", true));
    assert_eq!(get(&server, &bob, "ada").await.unwrap_err().code(), Code::PermissionDenied);
    let refused = set(&server, &bob, "ada", MailPreference::None, "1").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    set(&server, &operator, "ada", MailPreference::None, "2").await.unwrap();
    assert_eq!(get(&server, &operator, "ada").await.unwrap(), MailPreference::None);
    let nobody = server.get_preference(Request::new(GetPreferenceRequest::default())).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_no_preference_is_refused() {
    let shop = Shop::open(Settings::default()).await;
    let (server, operator) = (server(&shop).await, caller("olga", true));
    let code = |status: Status| status.code();
    let unspecified = set(&server, &operator, "ada", MailPreference::Unspecified, "1").await;
    assert_eq!(unspecified.map_err(code), Err(Code::InvalidArgument));
    for customer in ["", "a\nb", "a\0b", "x".repeat(101).as_str()] {
        assert_eq!(get(&server, &operator, customer).await.map_err(code), Err(Code::InvalidArgument));
        let set = set(&server, &operator, customer, MailPreference::None, "2").await;
        assert_eq!(set.map_err(code), Err(Code::InvalidArgument));
    }
    let request = SetPreferenceRequest { command_id: String::new(), customer_id: "ada".into(), mail: 17 };
    let unknown = server.set_preference(operator.request(request).unwrap()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
}
