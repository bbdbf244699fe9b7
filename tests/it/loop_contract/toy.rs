//! A toy service: *tally*, accounts with a balance, and reminders.
//!
//! It is small, and has every way in and out that a service can have: commands
//! with a reply, messages, an external call, timers, an event per change. The
//! tests hold its gates and script its partner ([`Script`]).
//!
//! Guilty inputs: a balance of 1,000,000 or more is refused by a `CHECK` of its
//! table, [`Change::n`] of 13 makes the decision panic, and a balance of 777,000 or
//! a little more the saving. A message named `Explode` is not even heard without a panic,
//! nor does a timer named `boom` wake without one.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use platform::bus::Timer;
use platform::clock::Millis;
use platform::error::{Code, Rejection, Unavailable};
use platform::message::{Envelope, Malformed, Outgoing, Payload};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Db, Migration, StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

pub(super) const IN: &str = "toy.in";
pub(super) const OUT: &str = "toy.out";
/// A balance that no row may have.
pub(super) const TOO_MUCH: i64 = 1_000_000;
/// A change that no decision survives.
pub(super) const UNLUCKY: i64 = 13;

pub(super) static SPEC: Spec = Spec {
    name: "tally",
    hears: &[IN],
    timers: "toy.timers",
    outlets: &[Outlet { source: "/tally", stream: OUT, table: "outbox", keeps: false }],
    migrations: &[Migration {
        version: 1,
        name: "accounts and reminders",
        sql: "CREATE TABLE accounts (
                  name TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance < 1000000), version BIGINT NOT NULL);
              CREATE TABLE reminders (name TEXT PRIMARY KEY, due BIGINT NOT NULL, rung BIGINT NOT NULL)",
    }],
};

/// A balance that is not saved without a panic, nor the next thousand.
pub(super) const UNSPEAKABLE: i64 = 777_000;
/// An account about which the partner panics.
pub(super) const TABOO: &str = "taboo";

/// Said to the service: change an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) n: i64,
}

impl Payload for Change {
    fn type_name() -> String {
        "toy.v1.Change".into()
    }
}

/// Said to the service: ask the partner, then change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AskThenChange {
    pub(super) name: String,
    pub(super) n: i64,
}

impl Payload for AskThenChange {
    fn type_name() -> String {
        "toy.v1.AskThenChange".into()
    }
}

/// Said by the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Changed {
    pub(super) n: i64,
    pub(super) balance: i64,
}

impl Payload for Changed {
    fn type_name() -> String {
        "toy.v1.Changed".into()
    }
}

#[derive(Debug)]
pub(super) enum Input {
    Add(Change),
    Ask(AskThenChange),
    Remind { name: String, due: Millis },
    Forget { name: String },
    Ring { name: String, due: Millis },
}

impl Input {
    pub(super) fn add(name: &str, n: i64) -> Self {
        Self::Add(Change { name: name.to_owned(), n })
    }

    pub(super) fn remind(name: &str, due: Millis) -> Self {
        Self::Remind { name: name.to_owned(), due }
    }

    fn name(&self) -> &str {
        match self {
            Self::Add(Change { name, .. })
            | Self::Ask(AskThenChange { name, .. })
            | Self::Remind { name, .. }
            | Self::Forget { name }
            | Self::Ring { name, .. } => name,
        }
    }
}

/// What the test holds of the service.
pub(super) struct Script {
    /// How many units of work have loaded.
    pub(super) loads: AtomicUsize,
    /// Closed: a unit of work that loads waits.
    pub(super) work: watch::Sender<bool>,
    /// Closed: the partner does not answer.
    pub(super) partner: watch::Sender<bool>,
    /// How often the partner fails for a name before it answers.
    pub(super) failures: Mutex<HashMap<String, usize>>,
    /// Whom the partner was asked about, in order.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            loads: AtomicUsize::new(0),
            work: watch::Sender::new(true),
            partner: watch::Sender::new(true),
            failures: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

impl Script {
    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Waits until the gate is open.
async fn pass(gate: &watch::Sender<bool>) {
    // Cannot fail: the script keeps the sender alive.
    let _ = gate.subscribe().wait_for(|open| *open).await;
}

pub(super) struct Tally {
    pub(super) script: Arc<Script>,
}

#[derive(Default)]
pub(super) struct Batch {
    accounts: BTreeMap<String, Account>,
    reminders: BTreeMap<String, Reminder>,
}

/// `version` is the loaded one; 0: there is no row yet.
#[derive(Debug, Clone, serde::Deserialize)]
struct Account {
    name: String,
    balance: i64,
    version: i64,
    #[serde(skip)]
    changed: bool,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Reminder {
    name: String,
    due: Millis,
    rung: i64,
    #[serde(skip)]
    changed: bool,
}

fn bell(name: &str, due: Millis) -> Timer {
    Timer { subject: name.to_owned(), kind: "bell".to_owned(), attempt: 1, due }
}

#[async_trait]
impl Service for Tally {
    type Input = Input;
    /// The new balance, or the time of the reminder.
    type Reply = i64;
    type Batch = Batch;
    type Call = Change;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        Ok(match message.short_kind() {
            "Change" => Heard::Input(Input::Add(message.payload()?)),
            "Explode" => panic!("it exploded"),
            "AskThenChange" => Heard::Input(Input::Ask(message.payload()?)),
            _ => Heard::Ignored,
        })
    }

    fn wake(&self, timer: &Timer) -> Option<Input> {
        assert!(timer.kind != "boom", "it went boom");
        (timer.kind == "bell").then(|| Input::Ring { name: timer.subject.clone(), due: timer.due })
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        self.script.loads.fetch_add(1, Ordering::SeqCst);
        pass(&self.script.work).await;
        let names: Vec<_> = inputs.iter().map(|input| json!({ "name": input.name() })).collect();
        let accounts: Vec<Account> = tx
            .fetch_for_update(
                "SELECT a.name, a.balance, a.version FROM accounts AS a
                 WHERE a.name IN (SELECT r.value->>'name' FROM jsonb_each($1) AS r) ORDER BY a.name",
                &names,
            )
            .await?;
        let reminders: Vec<Reminder> = tx
            .fetch_for_update(
                "SELECT m.name, m.due, m.rung FROM reminders AS m
                 WHERE m.name IN (SELECT r.value->>'name' FROM jsonb_each($1) AS r) ORDER BY m.name",
                &names,
            )
            .await?;
        Ok(Batch {
            accounts: accounts.into_iter().map(|account| (account.name.clone(), account)).collect(),
            reminders: reminders.into_iter().map(|reminder| (reminder.name.clone(), reminder)).collect(),
        })
    }

    fn decide(&self, batch: &mut Batch, input: &Input, _: Moment) -> Result<Outcome<i64, Change>, Rejection> {
        match input {
            Input::Add(change) => batch.add(change).map(Outcome::Done),
            Input::Ask(AskThenChange { name, n }) => Ok(Outcome::Call(Change { name: name.clone(), n: *n })),
            Input::Remind { name, due } => {
                let reminder = Reminder { name: name.clone(), due: *due, rung: 0, changed: true };
                batch.reminders.insert(name.clone(), reminder);
                let timers = vec![bell(name, *due)];
                Ok(Outcome::Done(Effects { reply: Some(*due), timers, ..Effects::default() }))
            }
            Input::Forget { name } => {
                let forgotten = batch.reminders.get_mut(name).ok_or_else(|| Rejection::not_found("no reminder"))?;
                (forgotten.rung, forgotten.changed) = (1, true);
                let cancelled = vec![bell(name, forgotten.due).key()];
                Ok(Outcome::Done(Effects { reply: Some(forgotten.due), cancelled, ..Effects::default() }))
            }
            Input::Ring { name, due } => match batch.reminders.get_mut(name) {
                Some(reminder) if reminder.due == *due && reminder.rung == 0 => {
                    reminder.rung = 1;
                    reminder.changed = true;
                    batch.add(&Change { name: name.clone(), n: 1 }).map(Outcome::Done)
                }
                _ => Err(Rejection::conflict("another time was set")),
            },
        }
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, _: Moment) -> Result<(), StoreError> {
        let speakable = |account: &Account| account.balance / 1_000 != UNSPEAKABLE / 1_000;
        assert!(batch.accounts.values().all(speakable), "an unspeakable balance");
        let rows = |new: bool| -> Vec<_> {
            let changed = batch.accounts.values().filter(|account| account.changed && (account.version == 0) == new);
            changed
                .map(|account| json!({ "name": account.name, "balance": account.balance, "version": account.version }))
                .collect()
        };
        tx.execute_each(
            "INSERT INTO accounts (name, balance, version)
             SELECT r.value->>'name', CAST(r.value->>'balance' AS BIGINT), 1 FROM jsonb_each($1) AS r",
            &rows(true),
        )
        .await?;
        tx.execute_each(
            "UPDATE accounts SET balance = CAST(r.value->>'balance' AS BIGINT), version = accounts.version + 1
             FROM jsonb_each($1) AS r
             WHERE accounts.name = r.value->>'name' AND accounts.version = CAST(r.value->>'version' AS BIGINT)",
            &rows(false),
        )
        .await?;
        let reminders: Vec<_> = batch
            .reminders
            .values()
            .filter(|reminder| reminder.changed)
            .map(|reminder| json!({ "name": reminder.name, "due": reminder.due, "rung": reminder.rung }))
            .collect();
        tx.execute_each(
            "INSERT INTO reminders (name, due, rung)
             SELECT r.value->>'name', CAST(r.value->>'due' AS BIGINT), CAST(r.value->>'rung' AS BIGINT)
             FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (name) DO UPDATE SET due = excluded.due, rung = excluded.rung",
            &reminders,
        )
        .await
    }

    async fn call(&self, call: Change) -> Result<Input, Unavailable> {
        self.script.asked.lock().unwrap().push(call.name.clone());
        pass(&self.script.partner).await;
        assert!(call.name != TABOO, "nobody speaks of that");
        let mut failures = self.script.failures.lock().unwrap();
        match failures.get_mut(&call.name).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                Err(Unavailable::new("the partner does not answer"))
            }
            None => Ok(Input::Add(call)),
        }
    }

    async fn timers(&self, db: &Db, before: Millis) -> Result<Vec<Timer>, StoreError> {
        let rows: Vec<Reminder> = db
            .read(
                "SELECT m.name, m.due, m.rung FROM reminders AS m, jsonb_each($1) AS r
                 WHERE m.rung = 0 AND m.due < CAST(r.value->>'before' AS BIGINT)",
                &[json!({ "before": before })],
            )
            .await?;
        Ok(rows.iter().map(|row| bell(&row.name, row.due)).collect())
    }
}

impl Batch {
    fn add(&mut self, change: &Change) -> Result<Effects<i64>, Rejection> {
        assert!(change.n != UNLUCKY, "an unlucky number");
        let known = self.accounts.get(&change.name).map_or(0, |account| account.balance);
        let balance = known + change.n;
        if balance < 0 {
            return Err(Rejection::new(Code::Shortage, format!("{} has only {known}", change.name)));
        }
        let account = self.accounts.entry(change.name.clone()).or_insert_with(|| Account {
            name: change.name.clone(),
            balance: 0,
            version: 0,
            changed: false,
        });
        account.balance = balance;
        account.changed = true;
        let said = Changed { n: change.n, balance };
        Ok(Effects {
            reply: Some(balance),
            messages: vec![Outgoing::new(0, &change.name, &change.name, &said)],
            ..Effects::default()
        })
    }
}
