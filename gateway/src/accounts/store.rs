//! All SQL of the gateway. See `platform/src/store.rs` for how a statement reads.

use platform::clock::Millis;
use platform::store::{Db, Migration, StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sessions::hex;
use crate::api::{Account, Role};

pub(super) const MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, name: "accounts", sql: include_str!("../../migrations/0001_accounts.sql") }];

#[derive(Serialize)]
pub(super) struct NewAccount {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) password_hash: String,
    pub(super) role: &'static str,
    pub(super) signup_key: Option<String>,
    pub(super) created_at: Millis,
}

#[derive(Deserialize)]
pub(super) struct AccountRow {
    id: String,
    pub(super) email: String,
    role: String,
    pub(super) password_hash: String,
    pub(super) signup_key: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SessionRow {
    id: String,
    email: String,
    role: String,
    pub(super) expires_at: Millis,
}

#[derive(Deserialize)]
struct SecretRow {
    value: String,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self { id: row.id, email: row.email, role: role(&row.role) }
    }
}

impl From<SessionRow> for Account {
    fn from(row: SessionRow) -> Self {
        Self { id: row.id, email: row.email, role: role(&row.role) }
    }
}

/// A role that this version does not know may do the least.
fn role(text: &str) -> Role {
    if text == Role::Operator.as_str() { Role::Operator } else { Role::Customer }
}

/// False if the email is taken; then nothing was written.
pub(super) async fn insert_account(tx: &mut Tx, account: &NewAccount) -> Result<bool, StoreError> {
    let inserted = tx
        .execute(
            "INSERT INTO accounts (id, email, password_hash, role, signup_key, created_at)
             SELECT r.value->>'id', r.value->>'email', r.value->>'password_hash', r.value->>'role',
                    r.value->>'signup_key', CAST(r.value->>'created_at' AS BIGINT)
             FROM jsonb_each($1) AS r
             WHERE true ON CONFLICT (email) DO NOTHING",
            &[account],
        )
        .await?;
    Ok(inserted == 1)
}

pub(super) async fn account_by_email(db: &Db, email: &str) -> Result<Option<AccountRow>, StoreError> {
    let rows = db
        .read(
            "SELECT a.id, a.email, a.role, a.password_hash, a.signup_key
             FROM accounts AS a, jsonb_each($1) AS r
             WHERE a.email = r.value->>'email'",
            &[json!({ "email": email })],
        )
        .await?;
    Ok(rows.into_iter().next())
}

/// `text` is lower-cased, as emails and ids are.
pub(super) async fn account_by_email_or_id(db: &Db, text: &str) -> Result<Option<AccountRow>, StoreError> {
    let rows = db
        .read(
            "SELECT a.id, a.email, a.role, a.password_hash, a.signup_key
             FROM accounts AS a, jsonb_each($1) AS r
             WHERE a.email = r.value->>'text' OR a.id = r.value->>'text'",
            &[json!({ "text": text })],
        )
        .await?;
    Ok(rows.into_iter().next())
}

pub(super) async fn insert_session(
    tx: &mut Tx,
    token_hash: &str,
    account_id: &str,
    expires_at: Millis,
) -> Result<(), StoreError> {
    let row = json!({ "token_hash": token_hash, "account_id": account_id, "expires_at": expires_at });
    tx.execute_each(
        "INSERT INTO sessions (token_hash, account_id, expires_at)
         SELECT r.value->>'token_hash', r.value->>'account_id', CAST(r.value->>'expires_at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &[row],
    )
    .await
}

/// The account behind a session that has not expired.
pub(super) async fn session(db: &Db, token_hash: &str, now: Millis) -> Result<Option<SessionRow>, StoreError> {
    let rows = db
        .read(
            "SELECT a.id, a.email, a.role, s.expires_at
             FROM sessions AS s JOIN accounts AS a ON a.id = s.account_id, jsonb_each($1) AS r
             WHERE s.token_hash = r.value->>'token_hash' AND s.expires_at > CAST(r.value->>'now' AS BIGINT)",
            &[json!({ "token_hash": token_hash, "now": now })],
        )
        .await?;
    Ok(rows.into_iter().next())
}

pub(super) async fn delete_session(tx: &mut Tx, token_hash: &str) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM sessions WHERE token_hash IN (SELECT r.value->>'token_hash' FROM jsonb_each($1) AS r)",
        &[json!({ "token_hash": token_hash })],
    )
    .await
    .map(|_| ())
}

pub(super) async fn delete_expired(tx: &mut Tx, now: Millis) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM sessions WHERE expires_at <= (SELECT CAST(r.value->>'now' AS BIGINT) FROM jsonb_each($1) AS r)",
        &[json!({ "now": now })],
    )
    .await
    .map(|_| ())
}

/// The secret of this name: the stored one, or `fresh` if there is none yet. Two
/// processes that start at once agree on the one that was stored first.
pub(super) async fn secret(db: &Db, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let mut tx = db.begin().await?;
    tx.execute(
        "INSERT INTO secrets (name, value)
         SELECT r.value->>'name', r.value->>'value' FROM jsonb_each($1) AS r
         WHERE true ON CONFLICT (name) DO NOTHING",
        &[json!({ "name": name, "value": hex(&fresh) })],
    )
    .await?;
    let rows: Vec<SecretRow> = tx
        .fetch(
            "SELECT s.value FROM secrets AS s, jsonb_each($1) AS r WHERE s.name = r.value->>'name'",
            &[json!({ "name": name })],
        )
        .await?;
    tx.commit().await?;
    let unreadable = || StoreError::Refused(format!("the secret {name:?} in the gateway's store does not read"));
    rows.first().and_then(|row| unhex(&row.value)).ok_or_else(unreadable)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}
