//! The gRPC server, called as the gateway calls it in `orderly up`.

use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_client::PaymentsClient;
use platform::grpc::in_process;

#[tokio::test]
async fn a_test_card_becomes_a_token_and_any_other_number_is_bad_input() {
    let mut desk = PaymentsClient::new(in_process(orderly_payment::grpc::server()));
    let mut tokenize = async |number: &str| {
        desk.tokenize_card(TokenizeCardRequest { number: number.into() }).await.map(tonic::Response::into_inner)
    };
    let card = tokenize("4000-0000-0000-0341").await.unwrap();
    assert_eq!((card.token.as_str(), card.last4.as_str()), ("tok_lost_0341", "0341"));

    for number in ["5555 5555 5555 4444", "", "'; DROP TABLE payments", "<script>"] {
        let status = tokenize(number).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{number}");
        assert!(status.message().starts_with("use one of the test cards"), "{}", status.message());
        assert!(number.is_empty() || !status.message().contains(number), "{}", status.message());
    }
}
