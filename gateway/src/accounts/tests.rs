//! Accounts over a SQLite file.

use std::time::Duration;

use super::*;

struct Fixture {
    accounts: Accounts,
    clock: Clock,
    /// Removed at the end.
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::manual(1_700_000_000_000);
        Self { accounts: open(&folder, &clock).await, clock, folder }
    }

    async fn sign_up(&self, email: &str, password: &str, key: Option<&str>) -> Result<Session, ApiError> {
        self.accounts.sign_up(email, password, key).await
    }
}

async fn open(folder: &tempfile::TempDir, clock: &Clock) -> Accounts {
    let db = Db::open_sqlite(&folder.path().join("gateway.db")).await.expect("opens");
    Accounts::open(db, clock.clone()).await.expect("migrates")
}

fn code<T>(result: Result<T, ApiError>) -> Option<Code> {
    result.err().map(|error| error.code)
}

#[tokio::test]
async fn a_new_account_is_logged_in_and_can_log_in_again() {
    let shop = Fixture::new().await;
    let first = shop.sign_up("Bob@Example.com", "long enough", None).await.expect("signs up");
    assert_eq!(first.account.email, "bob@example.com");
    assert_eq!(first.account.role, Role::Customer);
    let second = shop.accounts.log_in("BOB@example.com", "long enough").await.expect("logs in");
    assert_ne!(first.token, second.token);
    for token in [first.token, second.token] {
        assert_eq!(shop.accounts.session(&token).await, Ok(Some(first.account.clone())));
    }
}

#[tokio::test]
async fn a_taken_email_is_a_conflict_in_any_case() {
    let shop = Fixture::new().await;
    shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    assert_eq!(code(shop.sign_up("BOB@example.com", "another one", None).await), Some(Code::Conflict));
}

#[tokio::test]
async fn a_sign_up_sent_again_with_its_key_logs_in_and_with_another_key_does_not() {
    let shop = Fixture::new().await;
    let first = shop.sign_up("bob@example.com", "long enough", Some("k1")).await.expect("signs up");
    let again = shop.sign_up("bob@example.com", "long enough", Some("k1")).await.expect("again");
    assert_eq!(first.account, again.account);
    assert_eq!(code(shop.sign_up("bob@example.com", "long enough", Some("k2")).await), Some(Code::Conflict));
    assert_eq!(code(shop.sign_up("bob@example.com", "wrong pass", Some("k1")).await), Some(Code::Conflict));
    assert_eq!(code(shop.sign_up("bob@example.com", "long enough", None).await), Some(Code::Conflict));
}

#[tokio::test]
async fn one_sign_up_sent_twice_at_once_makes_one_account() {
    let shop = Fixture::new().await;
    let send = || shop.sign_up("bob@example.com", "long enough", Some("k"));
    let (one, two) = tokio::join!(send(), send());
    assert_eq!(one.expect("signs up").account, two.expect("signs up").account);
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_get_the_same_answer() {
    let shop = Fixture::new().await;
    shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    let unknown = shop.accounts.log_in("eve@example.com", "long enough").await.expect_err("unknown");
    let wrong = shop.accounts.log_in("bob@example.com", "long enougH").await.expect_err("wrong");
    let shapeless = shop.accounts.log_in("' OR 1=1 --", "\0").await.expect_err("shapeless");
    assert_eq!(unknown, wrong);
    assert_eq!(unknown, shapeless);
    assert_eq!(unknown.code, Code::Unauthenticated);
}

#[tokio::test]
async fn a_session_ends_with_log_out_at_once_and_by_itself_after_thirty_days() {
    let shop = Fixture::new().await;
    let session = shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    assert!(shop.accounts.session(&session.token).await.expect("reads").is_some());
    shop.accounts.log_out(&session.token).await.expect("logs out");
    assert_eq!(shop.accounts.session(&session.token).await, Ok(None));
    shop.accounts.log_out(&session.token).await.expect("twice is once");

    let session = shop.accounts.log_in("bob@example.com", "long enough").await.expect("logs in");
    shop.clock.advance(Duration::from_secs(30 * 24 * 60 * 60 - 1));
    assert!(shop.accounts.session(&session.token).await.expect("reads").is_some());
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.accounts.session(&session.token).await, Ok(None));
}

#[tokio::test]
async fn a_token_that_was_never_given_is_nobody_s() {
    let shop = Fixture::new().await;
    for token in ["", "x", "0".repeat(64).as_str(), "' OR 1=1 --", "\0"] {
        assert_eq!(shop.accounts.session(token).await, Ok(None), "{token:?}");
    }
}

#[tokio::test]
async fn accounts_sessions_and_the_secret_outlive_the_process() {
    let shop = Fixture::new().await;
    let session = shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    let secret = shop.accounts.server_secret();
    shop.accounts.close().await;
    let later = open(&shop.folder, &shop.clock).await;
    assert_eq!(later.server_secret(), secret);
    assert_ne!(secret, [0; 32]);
    assert!(later.session(&session.token).await.expect("reads").is_some());
}

#[tokio::test]
async fn the_demo_accounts_are_made_once() {
    let shop = Fixture::new().await;
    shop.accounts.ensure_demo().await.expect("makes them");
    shop.accounts.ensure_demo().await.expect("leaves them");
    let ada = shop.accounts.log_in(DEMO_CUSTOMER, DEMO_PASSWORD).await.expect("logs in");
    assert_eq!(ada.account.role, Role::Customer);
    let operator = shop.accounts.log_in(DEMO_OPERATOR, DEMO_PASSWORD).await.expect("logs in");
    assert_eq!(operator.account.role, Role::Operator);
    assert_eq!(shop.accounts.find(&ada.account.id).await, Ok(Some(ada.account.clone())));
    assert_eq!(shop.accounts.find("ADA@example.com").await, Ok(Some(ada.account)));
    assert_eq!(shop.accounts.find("17850").await, Ok(None));
}

#[tokio::test]
async fn a_token_is_not_in_debug_output_and_not_in_the_store() {
    let shop = Fixture::new().await;
    let session = shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    assert!(!format!("{session:?}").contains(&session.token));
    shop.accounts.close().await;
    for file in std::fs::read_dir(shop.folder.path()).expect("lists") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("reads");
        assert!(!bytes.windows(64).any(|window| window == session.token.as_bytes()));
    }
}
