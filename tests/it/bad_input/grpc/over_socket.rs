//! The same questions over the port of the real binary, and what is no call at all.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use contracts::query::ListReadModelsRequest;
use contracts::query::query_client::QueryClient;
use gateway::api::Connections;
use platform::grpc::{Connection, Identity, in_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::Desk;
use crate::bad_input::{assert_none, assert_sells, assert_well, fill_the_shelf};
use crate::shop::{Shop, ShopOptions};

/// Another shop than that of all tests: its services get what its gateway would not pass on, and
/// some of it is logged as a warning.
async fn quick_shop() -> Shop {
    let options = ["--ship-after", "1ms", "--deliver-after", "1ms"];
    Shop::start(ShopOptions::with_args(options)).await.expect("the shop starts")
}

async fn channel(shop: &Shop) -> Channel {
    let url = shop.grpc_url().await.expect("the shop says its gRPC port");
    Endpoint::from_shared(url).expect("an address").connect().await.expect("the port is open")
}

/// The port, with something in the header in which the token belongs. A connection as the services
/// of this process have it, so that both can be asked by the same desk.
#[derive(Clone)]
struct Port {
    channel: Channel,
    authorization: http::HeaderValue,
}

impl NamedService for Port {
    const NAME: &'static str = "whichever";
}

impl Service<http::Request<Body>> for Port {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A channel that is none any more says so when it is called.
        self.channel.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request.headers_mut().insert("authorization", self.authorization.clone());
        let answer = self.channel.call(request);
        Box::pin(
            async move { Ok(answer.await.unwrap_or_else(|error| Status::unavailable(error.to_string()).into_http())) },
        )
    }
}

fn with_token(channel: &Channel, authorization: &[u8]) -> Connection {
    let authorization = http::HeaderValue::from_bytes(authorization).expect("can be sent");
    in_process(Port { channel: channel.clone(), authorization })
}

fn token(shop: &Shop) -> String {
    std::fs::read_to_string(shop.data_dir().join("grpc-token")).expect("the token is kept").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_answer_bad_input_with_its_code_over_the_real_port() {
    let shop = quick_shop().await;
    let port = with_token(&channel(&shop).await, format!("Bearer {}", token(&shop)).as_bytes());
    let connections = Connections {
        orders: port.clone(),
        inventory: port.clone(),
        payments: port.clone(),
        query: port.clone(),
        notifications: port.clone(),
    };
    let mut desk = Desk::open(connections, port, "olga".into()).await;
    desk.ask_everything().await;
    assert_none(&desk.wrong);
    assert_sells(&shop).await;
    assert!(!shop.stderr().contains("panicked") && !shop.stderr().contains("ERROR"), "{}", shop.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_opens_no_service_of_the_port() {
    let shop = quick_shop().await;
    let (channel, right) = (channel(&shop).await, token(&shop));
    let olga = Identity { account: "olga".into(), operator: true };
    let ask = async |authorization: &[u8]| {
        let mut query = QueryClient::new(with_token(&channel, authorization));
        let answer = query.list_read_models(olga.request(ListReadModelsRequest {}).expect("plain")).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    let long = format!("Bearer {}", "a".repeat(8_000));
    let nearly = [
        format!("Bearer {}", &right[1..]),
        format!("Bearer {right}x"),
        format!("Bearer {}", right.to_uppercase()),
        format!("Basic {right}"),
        format!("Bearer {right} {right}"),
        format!("Bearer Bearer {right}"),
        format!("Bearer\t{right}"),
        right.clone(),
    ];
    let nonsense: [&[u8]; 7] = [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer ' OR '1'='1",
        b"Bearer <script>alert(1)</script>",
        b"Bearer \xff\xfe",
        long.as_bytes(),
    ];
    for token in nearly.iter().map(String::as_bytes).chain(nonsense) {
        assert_eq!(ask(token).await, Code::Unauthenticated, "{}", String::from_utf8_lossy(token));
    }
    assert_eq!(ask(format!("Bearer {right}").as_bytes()).await, Code::Ok);
    fill_the_shelf(&shop).await;
    assert_well(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_and_the_port_goes_on() {
    let shop = quick_shop().await;
    let (channel, right) = (channel(&shop).await, format!("Bearer {}", token(&shop)));
    // Services and methods that there are not.
    for (path, token, wanted) in [
        ("/", right.as_str(), Code::Unimplemented),
        ("/orderly.order.v1.Orders", &right, Code::Unimplemented),
        ("/orderly.order.v1.Orders/", &right, Code::Unimplemented),
        ("/orderly.order.v1.Orders/DropTables", &right, Code::Unimplemented),
        ("/orderly.order.v1.Orders/PlaceOrder/x", &right, Code::Unimplemented),
        ("/orderly.gateway.v1.Accounts/LogIn", &right, Code::Unimplemented),
        ("/%2e%2e/etc/passwd", &right, Code::Unimplemented),
        ("/orderly.order.v1.Orders/DropTables", "Bearer none", Code::Unauthenticated),
    ] {
        let codec = tonic_prost::ProstCodec::<ListReadModelsRequest, ListReadModelsRequest>::default();
        let mut client = tonic::client::Grpc::new(with_token(&channel, token.as_bytes()));
        client.ready().await.expect("is ready");
        let path = http::uri::PathAndQuery::from_static(path);
        let said = path.to_string();
        let answer = client.unary(Request::new(ListReadModelsRequest {}), path, codec).await;
        assert_eq!(answer.expect_err("there is none").code(), wanted, "{said}");
    }
    // And what is not even gRPC.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let lines: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 4_096],
        vec![0xff; 4_096],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        [preface.as_slice(), &[0xff; 64]].concat(),
        // A frame that says it is as long as a frame can be.
        [preface.as_slice(), &settings, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], &[0; 64]].concat(),
        // Data of a stream that was never opened.
        [preface.as_slice(), &settings, &[0, 0, 4, 0, 0, 0, 0, 0, 7], b"data"].concat(),
    ];
    let address = shop.grpc_url().await.expect("is told").replace("http://", "");
    for line in lines {
        let mut stream = TcpStream::connect(&address).await.expect("the port is open");
        stream.write_all(&line).await.expect("can be sent");
        let mut heard = Vec::new();
        // It is hung up on, or waits for the rest of what we say for ever; we hang up then.
        let _ = timeout(Duration::from_millis(500), stream.read_to_end(&mut heard)).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(!heard.contains("panicked") && !heard.contains(".rs:"), "{heard}");
    }
    let olga = Identity { account: "olga".into(), operator: true };
    let mut query = QueryClient::new(with_token(&channel, right.as_bytes()));
    query.list_read_models(olga.request(ListReadModelsRequest {}).expect("plain")).await.expect("goes on");
    fill_the_shelf(&shop).await;
    assert_well(&shop).await;
}
