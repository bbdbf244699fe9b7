//! Operators at a running shop: the gRPC port and its token, health and reflection, dead
//! letters made by an injected fault and dealt with, and the commands that do all this.

mod commands;
mod dead_letters;

use std::time::Duration;

use contracts::inventory::QuoteRequest;
use contracts::inventory::inventory_client::InventoryClient;
use contracts::notification::GetPreferenceRequest;
use contracts::notification::notifications_client::NotificationsClient;
use contracts::ops::ListServicesRequest;
use contracts::ops::ops_client::OpsClient;
use contracts::order::PayOrderRequest;
use contracts::order::orders_client::OrdersClient;
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_client::PaymentsClient;
use contracts::query::ListProductsRequest;
use contracts::query::query_client::QueryClient;
use futures_util::stream;
use platform::grpc::Identity;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::command_line::orderly;
use crate::servers;
use crate::shop::{Shop, ShopOptions};
use crate::topologies;

const CUSTOMER: &str = "ada@example.com";
const PASSWORD: &str = "orderly";
const APPROVED: &str = "4242 4242 4242 4242";
const SKU: &str = "MUG-ENAMEL-BLUE";
const PATIENCE: Duration = Duration::from_secs(60);

/// The services on the port, and of those of gRPC itself.
const SERVICES: [&str; 6] = [
    "orderly.order.v1.Orders",
    "orderly.inventory.v1.Inventory",
    "orderly.payment.v1.Payments",
    "orderly.query.v1.Query",
    "orderly.notification.v1.Notifications",
    "orderly.ops.v1.Ops",
];

/// A connection to the port, as any client in any language has it.
async fn channel(shop: &Shop) -> Channel {
    let url = shop.grpc_url().await.expect("the shop says its gRPC port");
    Endpoint::from_shared(url).expect("an address").connect().await.expect("the port is open")
}

/// The token that the shop keeps in its data folder.
fn token(shop: &Shop) -> String {
    std::fs::read_to_string(shop.data_dir().join("grpc-token")).expect("the token is kept").trim().to_owned()
}

fn operator() -> Identity {
    Identity { account: "olga".to_owned(), operator: true }
}

/// A call with this token and, or, the identity of an operator.
fn call<T>(token: Option<&str>, identified: bool, message: T) -> Request<T> {
    let mut request = if identified { operator().request(message).expect("plain text") } else { Request::new(message) };
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("plain text");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Asks each service once; how each answered.
async fn ask_each(channel: &Channel, token: Option<&str>, identified: bool) -> [Code; 6] {
    fn code<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Code {
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }
    let pay = PayOrderRequest { order_id: "nobody-s".into(), ..PayOrderRequest::default() };
    let card = TokenizeCardRequest { number: APPROVED.into() };
    let preference = GetPreferenceRequest { customer_id: "c-1".into() };
    [
        code(OrdersClient::new(channel.clone()).pay_order(call(token, identified, pay)).await),
        code(InventoryClient::new(channel.clone()).quote(call(token, identified, QuoteRequest { skus: vec![] })).await),
        code(PaymentsClient::new(channel.clone()).tokenize_card(call(token, identified, card)).await),
        code(
            QueryClient::new(channel.clone())
                .list_products(call(token, identified, ListProductsRequest::default()))
                .await,
        ),
        code(NotificationsClient::new(channel.clone()).get_preference(call(token, identified, preference)).await),
        code(OpsClient::new(channel.clone()).list_services(call(token, identified, ListServicesRequest {})).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_lets_nobody_in_without_the_token_whoever_he_says_he_is() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let channel = channel(&shop).await;
    let right = token(&shop);
    let shorter = &right[..right.len() - 1];
    for wrong in [None, Some(""), Some("0123456789abcdef0123456789abcdef"), Some(shorter)] {
        for identified in [false, true] {
            assert_eq!(ask_each(&channel, wrong, identified).await, [Code::Unauthenticated; 6], "{wrong:?}");
        }
    }
    // With the token it is the services that look for an identity, each where it wants one.
    let anonymous = ask_each(&channel, Some(&right), false).await;
    assert_eq!((anonymous[0], anonymous[5]), (Code::Unauthenticated, Code::Unauthenticated));
    let known = ask_each(&channel, Some(&right), true).await;
    assert!(!known.contains(&Code::Unauthenticated), "{known:?}");
    assert_eq!((known[2], known[5]), (Code::Ok, Code::Ok));
    // Nor is the token enough for who is no operator.
    let customer = Identity { account: "c-1".to_owned(), operator: false };
    let mut request = customer.request(ListServicesRequest {}).expect("plain text");
    request.metadata_mut().insert("authorization", format!("Bearer {right}").parse().expect("plain text"));
    let refused = OpsClient::new(channel.clone()).list_services(request).await.expect_err("no operator");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_everybody_and_turns_before_the_shop_stops() {
    let mut shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let mut health = HealthClient::new(channel(&shop).await);
    for service in SERVICES.iter().copied().chain([""]) {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(asked).await.expect("answers").into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "orderly.Nothing".to_owned() }).await;
    assert_eq!(unknown.expect_err("there is none").code(), Code::NotFound);

    let asked = HealthCheckRequest { service: SERVICES[0].to_owned() };
    let mut watched = health.watch(asked).await.expect("answers").into_inner();
    let mut told = async || timeout(PATIENCE, watched.message()).await.expect("in time").expect("a status");
    assert_eq!(told().await.expect("the status now").status(), ServingStatus::Serving);
    let (ended, at_the_stop) = tokio::join!(shop.terminate(), told());
    assert_eq!(at_the_stop.expect("the status at the stop").status(), ServingStatus::NotServing);
    // Who watches for ever does not keep it from stopping.
    assert_eq!(ended.expect("it ends").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_names_every_service_and_describes_its_messages() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let mut reflection = ServerReflectionClient::new(channel(&shop).await);
    let mut ask = async |message| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let answers = reflection.server_reflection_info(stream::iter([request])).await.expect("answers");
        answers.into_inner().message().await.expect("an answer").and_then(|answer| answer.message_response)
    };
    let Some(MessageResponse::ListServicesResponse(listed)) = ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let listed: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in SERVICES.iter().chain(&["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]) {
        assert!(listed.contains(service), "{service} is not in {listed:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol("orderly.ops.v1.Inspection".to_owned());
    let Some(MessageResponse::FileDescriptorResponse(described)) = ask(symbol).await else { panic!("not described") };
    assert!(!described.file_descriptor_proto.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_answers_under_its_older_name_too() {
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;

    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let mut reflection = ServerReflectionClient::new(channel(&shop).await);
    let message_request = Some(MessageRequest::FileContainingSymbol(SERVICES[5].to_owned()));
    let asked = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = reflection.server_reflection_info(stream::iter([asked])).await.expect("is open").into_inner();
    let answer = answers.message().await.expect("answers").expect("one answer a question");
    assert!(format!("{:?}", answer.message_response).contains("FileDescriptorResponse"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_given_is_the_one_that_is_wanted_and_is_shown_nowhere() {
    let secret = "a-token-of-our-own-choice";
    let options = ShopOptions { env: vec![("ORDERLY_GRPC_TOKEN".into(), secret.into())], ..ShopOptions::default() };
    let shop = Shop::start(options).await.expect("the shop starts");
    let known = ask_each(&channel(&shop).await, Some(secret), true).await;
    assert_eq!(known[5], Code::Ok);
    assert!(!shop.data_dir().join("grpc-token").exists(), "nothing is kept of it");
    assert!(!shop.stdout().contains(secret) && !shop.stderr().contains(secret));
    let short = orderly(None, ["up", "--listen", "127.0.0.1:0", "--grpc-token", "short"]).await;
    short.assert_refused(1, &["--grpc-token", "16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_port_that_is_taken_is_named_with_the_flag_that_helps() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let ended = orderly(Some(folder.path()), ["up", "--listen", "127.0.0.1:0", "--grpc-listen", &address]).await;
    ended.assert_refused(1, &[&address, "--grpc-listen", "in use"]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("is there").collect();
    assert!(left.is_empty(), "nothing is made for a shop that cannot open: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_a_data_folder_says_that_nobody_has_its_token() {
    let postgres = servers::postgres().await.expect("Postgres starts");
    let redis = servers::redis().await.expect("Redis starts").fresh_namespace().await.expect("a namespace");
    let databases = topologies::databases(postgres).await.expect("databases");
    let options = topologies::on_servers(&databases, Some(&redis), &["--no-demo-data"]);
    let shop = Shop::start(options.clone()).await.expect("the shop starts");
    let channel = channel(&shop).await;
    assert!(shop.stdout().contains("health and reflection only"), "{}", shop.stdout());
    assert!(!shop.data_dir().exists());
    assert_eq!(ask_each(&channel, Some(""), true).await, [Code::Unauthenticated; 6]);
    let health = HealthClient::new(channel).check(HealthCheckRequest { service: SERVICES[5].to_owned() }).await;
    assert_eq!(health.expect("answers").into_inner().status(), ServingStatus::Serving);
}
