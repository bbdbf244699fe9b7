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
        self.accounts.sign_up(email, password, key, None).await
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
    let second = shop.accounts.log_in("BOB@example.com", "long enough", None).await.expect("logs in");
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
    let unknown = shop.accounts.log_in("eve@example.com", "long enough", None).await.expect_err("unknown");
    let wrong = shop.accounts.log_in("bob@example.com", "long enougH", None).await.expect_err("wrong");
    let shapeless = shop.accounts.log_in("' OR 1=1 --", "\0", None).await.expect_err("shapeless");
    assert_eq!(unknown, wrong);
    assert_eq!(unknown, shapeless);
    assert_eq!(unknown.code, Code::Unauthenticated);
}

#[tokio::test]
async fn guessing_at_one_account_locks_nobody_else_out_and_ends_by_itself() {
    let shop = Fixture::new().await;
    for email in ["ada@example.com", "bob@example.com"] {
        shop.sign_up(email, "long enough", None).await.expect("signs up");
    }
    for _ in 0..10 {
        let guess = shop.accounts.log_in("ada@example.com", "a wrong guess", None).await;
        assert_eq!(code(guess), Some(Code::Unauthenticated));
    }
    let limited = shop.accounts.log_in("ADA@example.com", "long enough", None).await.expect_err("limited");
    assert_eq!((limited.code, limited.retry_after), (Code::RateLimited, Some(6)));
    assert!(shop.accounts.log_in("bob@example.com", "long enough", None).await.is_ok());
    shop.clock.advance(Duration::from_secs(6));
    assert!(shop.accounts.log_in("ada@example.com", "long enough", None).await.is_ok());
}

#[tokio::test]
async fn an_email_that_nobody_has_is_limited_like_one_that_somebody_has() {
    let shop = Fixture::new().await;
    for _ in 0..10 {
        shop.accounts.log_in("eve@example.com", "a wrong guess", None).await.expect_err("nobody's");
    }
    assert_eq!(code(shop.accounts.log_in("eve@example.com", "another guess", None).await), Some(Code::RateLimited));
}

#[tokio::test]
async fn who_knows_the_password_may_log_in_as_often_as_he_likes() {
    let shop = Fixture::new().await;
    shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    let log_ins = (0..60).map(|_| shop.accounts.log_in("bob@example.com", "long enough", None));
    assert!(futures_util::future::join_all(log_ins).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn guesses_that_come_all_at_once_are_limited_too() {
    let shop = Fixture::new().await;
    shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    let guesses = (0..60).map(|_| shop.accounts.log_in("bob@example.com", "a wrong guess", None));
    let looked_at = futures_util::future::join_all(guesses).await.into_iter().map(code);
    let looked_at = looked_at.filter(|code| *code == Some(Code::Unauthenticated)).count();
    assert!((10..=11).contains(&looked_at), "ten, and the one at work beside the tenth: {looked_at}");
}

#[tokio::test]
async fn one_address_is_limited_over_all_emails_and_another_is_not() {
    let shop = Fixture::new().await;
    let from = |last| Some(IpAddr::from([203, 0, 113, last]));
    for n in 0..15 {
        shop.accounts.log_in(&format!("a{n}@example.com"), "a wrong guess", from(7)).await.expect_err("nobody's");
        shop.accounts.log_in("no email", "a wrong guess", from(7)).await.expect_err("nobody's");
    }
    let limited = shop.accounts.log_in("bob@example.com", "long enough", from(7)).await.expect_err("limited");
    assert_eq!((limited.code, limited.retry_after), (Code::RateLimited, Some(2)));
    assert_eq!(
        code(shop.accounts.sign_up("bob@example.com", "long enough", None, from(7)).await),
        Some(Code::RateLimited)
    );
    shop.accounts.sign_up("bob@example.com", "long enough", None, from(8)).await.expect("from elsewhere");
}

#[tokio::test]
async fn a_session_ends_with_log_out_at_once_and_by_itself_after_thirty_days() {
    let shop = Fixture::new().await;
    let session = shop.sign_up("bob@example.com", "long enough", None).await.expect("signs up");
    assert!(shop.accounts.session(&session.token).await.expect("reads").is_some());
    shop.accounts.log_out(&session.token).await.expect("logs out");
    assert_eq!(shop.accounts.session(&session.token).await, Ok(None));
    shop.accounts.log_out(&session.token).await.expect("twice is once");

    let session = shop.accounts.log_in("bob@example.com", "long enough", None).await.expect("logs in");
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
    let ada = shop.accounts.log_in(DEMO_CUSTOMER, DEMO_PASSWORD, None).await.expect("logs in");
    assert_eq!(ada.account.role, Role::Customer);
    let operator = shop.accounts.log_in(DEMO_OPERATOR, DEMO_PASSWORD, None).await.expect("logs in");
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
