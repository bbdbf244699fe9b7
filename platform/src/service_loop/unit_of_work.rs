//! The **unit of work**: one batch, one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::item::{Letter, Receipt, StoredResult, panic_text};
use super::{Intake, Item, Origin, Parts};
use crate::bus::{Timer, TimerKey};
use crate::delay_queue::{redrive_now, redrive_timer};
use crate::error::Rejection;
use crate::message::Outgoing;
use crate::service::{Announcement, Effects, Moment, Outcome, Service};
use crate::store::idempotency::{self, Stored};
use crate::store::inbox::{self, Arrival, Line, Progress};
use crate::store::outbox::{self, OutboxRow, Stamp};
use crate::store::parked::{self, Parked, State};
use crate::store::{StoreError, Tx, lease};
use crate::tenure::lease_name;

/// What became of an item.
pub(super) enum Verdict<S: Service> {
    /// Done, a duplicate, or parked: ack it.
    Settled,
    /// Answer the command.
    Reply(StoredResult<S::Reply>),
    /// Ask outside, then decide.
    Call(S::Call),
    /// Its subject is on the telephone.
    Queue,
    /// One before it is missing.
    Wait,
    /// The lease it was read under is lost: somebody else has it.
    Fenced,
}

/// A committed batch.
pub(super) struct Done<S: Service> {
    pub(super) verdicts: Vec<Verdict<S>>,
    pub(super) rows: Vec<(&'static str, OutboxRow)>,
    pub(super) timers: Vec<Timer>,
    pub(super) cancelled: Vec<TimerKey>,
    pub(super) announcements: Vec<Announcement>,
    /// Injected faults that have struck: type of message, and how often.
    pub(super) struck: BTreeMap<String, i64>,
}

/// A line in the course of a batch.
#[derive(Default)]
struct Course {
    /// The last sequence obeyed before this batch.
    from: i64,
    now: Progress,
}

/// What a batch adds up to while its items are decided. Names are borrowed from the items.
struct Ledger<'a, S: Service> {
    courses: HashMap<&'a Line, Course>,
    /// The parked messages that are redriven: how often each has been tried, and its text.
    tried: HashMap<(Line, i64), (i64, Arc<str>)>,
    /// Results of earlier batches.
    stored: HashMap<String, Stored<S::Reply>>,
    /// Results of this batch, and where each command's is among them.
    results: Vec<(String, Stored<S::Reply>)>,
    fresh: HashMap<&'a str, usize>,
    parked: Vec<Parked>,
    unparked: Vec<(String, String, i64)>,
    on_the_telephone: HashSet<&'a str>,
    messages: Vec<Outgoing>,
    causes: Vec<String>,
    /// What each timer's key comes to in the end: set, or taken back.
    timers: BTreeMap<TimerKey, Option<Timer>>,
    struck: BTreeMap<String, i64>,
}

impl<S: Service> Parts<S> {
    /// Decides the batch and commits it. Nothing outside the transaction has
    /// happened when this fails, so it may be called again.
    ///
    /// A panic is a fault of an input, like a refusal by the store: the batch is
    /// thrown away and bisected until that input stands alone.
    pub(super) async fn attempt(&self, items: &[Item<S>]) -> Result<Done<S>, StoreError> {
        let panicked = |panic: Box<dyn std::any::Any + Send>| {
            Err(StoreError::Refused(format!("the unit of work panicked: {}", panic_text(&*panic))))
        };
        AssertUnwindSafe(self.unit_of_work(items)).catch_unwind().await.unwrap_or_else(panicked)
    }

    async fn unit_of_work(&self, items: &[Item<S>]) -> Result<Done<S>, StoreError> {
        let moment = Moment { now: self.clock.now() };
        let mut tx = self.db.begin().await?;

        let lost = self.lost_leases(&mut tx, items).await?;
        let lines = inbox::load(&mut tx, items.iter().filter_map(Item::line)).await?;
        let tried = parked::find(&mut tx, &items.iter().filter_map(Item::redriven).collect::<Vec<_>>()).await?;
        let ids: Vec<&str> = items.iter().filter_map(Item::command_id).collect();
        let stored = idempotency::load(&mut tx, &ids).await?;
        let inputs: Vec<&S::Input> = items.iter().filter_map(Item::input).collect();
        let mut batch = self.service.load(&mut tx, &inputs).await?;

        let mut ledger = Ledger {
            courses: lines.into_iter().map(|(line, now)| (line, Course { from: now.last, now })).collect(),
            tried: tried.into_iter().map(|(key, row)| (key, (row.attempts, row.envelope.into()))).collect(),
            stored,
            results: Vec::new(),
            fresh: HashMap::new(),
            parked: Vec::new(),
            unparked: Vec::new(),
            on_the_telephone: HashSet::new(),
            messages: Vec::new(),
            causes: Vec::new(),
            timers: BTreeMap::new(),
            struck: BTreeMap::new(),
        };
        let verdicts: Vec<_> = items
            .iter()
            .map(|item| {
                if lost.is_empty() || !item.receipts.iter().any(|receipt| lost.contains(&read_under(receipt))) {
                    self.decide_item(&mut batch, &mut ledger, item, moment)
                } else {
                    Verdict::Fenced
                }
            })
            .collect();
        for message in self.service.closing(&mut batch) {
            ledger.causes.push(items.last().map(|item| item.cause().to_owned()).unwrap_or_default());
            ledger.messages.push(message);
        }

        self.service.save(&mut tx, &batch, moment).await?;
        let stamp = Stamp {
            outlets: self.service.spec().outlets,
            partitions: self.partitions,
            now: moment.now,
            causes: &ledger.causes,
        };
        let rows = outbox::append(&mut tx, &ledger.messages, stamp).await?;
        let moved: Vec<_> = ledger
            .courses
            .iter()
            .filter(|(_, course)| course.now.last > course.from)
            .map(|(line, course)| (*line, course.from, course.now.last))
            .collect();
        inbox::save(&mut tx, &moved, moment.now).await?;
        idempotency::save(&mut tx, &ledger.results, moment.now).await?;
        parked::save(&mut tx, &ledger.parked).await?;
        parked::remove(&mut tx, &ledger.unparked).await?;
        parked::promote(&mut tx, &ledger.unparked, moment.now).await?;
        tx.commit().await?;

        let cancelled = ledger.timers.iter().filter(|(_, timer)| timer.is_none()).map(|(key, _)| key.clone()).collect();
        let mut timers: Vec<Timer> = ledger.timers.into_values().flatten().collect();
        timers.extend(ledger.parked.iter().filter_map(redrive_timer));
        // Whatever stood behind a message that is done now is due at once. If
        // nothing did, the timer finds no row and is disobeyed.
        timers.extend(ledger.unparked.iter().map(|(source, subject, _)| redrive_now(source, subject, moment.now)));
        let announcements = self.service.announcements(&batch);
        Ok(Done { verdicts, rows, timers, cancelled, announcements, struck: ledger.struck })
    }

    /// Those leases that the items were read under and that somebody else has by now; the others
    /// are held in place until the transaction ends.
    async fn lost_leases(&self, tx: &mut Tx, items: &[Item<S>]) -> Result<Vec<(u32, i64)>, StoreError> {
        // Nobody can take them over where nobody else can write.
        if self.db.is_exclusive() {
            return Ok(Vec::new());
        }
        let read_under: BTreeSet<(u32, i64)> = items.iter().flat_map(|item| &item.receipts).map(read_under).collect();
        let leases: Vec<_> = read_under.iter().map(|(partition, epoch)| (lease_name(*partition), *epoch)).collect();
        let standing = lease::fence(tx, &leases).await?;
        let lost = read_under.into_iter().zip(&leases).filter(|(_, (name, _))| !standing.contains(name));
        Ok(lost.map(|(read_under, _)| read_under).collect())
    }

    fn decide_item<'a>(
        &self,
        batch: &mut S::Batch,
        ledger: &mut Ledger<'a, S>,
        item: &'a Item<S>,
        moment: Moment,
    ) -> Verdict<S> {
        match &item.origin {
            Origin::Command { id, fingerprint, .. } => {
                self.decide_command(batch, ledger, item, id, fingerprint, moment)
            }
            Origin::Message(letter) => self.decide_letter(batch, ledger, item, letter, moment),
            Origin::Timer(timer) => {
                let Intake::Input(input) = &item.intake else { return Verdict::Settled };
                match self.service.decide(batch, input, moment) {
                    Ok(Outcome::Done(effects)) => {
                        ledger.take(effects, item);
                    }
                    Ok(Outcome::Call(_)) => {
                        tracing::error!(kind = timer.kind, "a timer's decision asked for an external call; dropped");
                    }
                    Err(rejection) => {
                        tracing::info!(kind = timer.kind, subject = timer.subject, %rejection, "timer disobeyed");
                    }
                }
                Verdict::Settled
            }
        }
    }

    fn decide_command<'a>(
        &self,
        batch: &mut S::Batch,
        ledger: &mut Ledger<'a, S>,
        item: &'a Item<S>,
        id: &'a str,
        fingerprint: &str,
        moment: Moment,
    ) -> Verdict<S> {
        if let Some(stored) = ledger.result_of(id) {
            return Verdict::Reply(if stored.fingerprint == fingerprint {
                stored.result.clone()
            } else {
                Err(Rejection::conflict("this idempotency key was used for a different request"))
            });
        }
        let Intake::Input(input) = &item.intake else {
            return Verdict::Reply(Err(Rejection::bad_input("an empty command")));
        };
        let result = match self.service.decide(batch, input, moment) {
            Ok(Outcome::Call(call)) => return Verdict::Call(call),
            Ok(Outcome::Done(effects)) => match ledger.take(effects, item) {
                Some(reply) => Ok(reply),
                None => Err(Rejection::bad_input("this command has no answer")),
            },
            Err(rejection) => Err(rejection),
        };
        // Without an id nobody can ask for it again.
        if !id.is_empty() {
            ledger.fresh.insert(id, ledger.results.len());
            let stored = Stored { fingerprint: fingerprint.to_owned(), result: result.clone() };
            ledger.results.push((id.to_owned(), stored));
        }
        Verdict::Reply(result)
    }

    fn decide_letter<'a>(
        &self,
        batch: &mut S::Batch,
        ledger: &mut Ledger<'a, S>,
        item: &'a Item<S>,
        letter: &'a Letter,
        moment: Moment,
    ) -> Verdict<S> {
        let progress = ledger.courses.get(&letter.line).map_or_else(Progress::default, |course| course.now);
        if let Some(was) = &letter.parked {
            // A redrive is the first parked one of its line, and has neither been tried
            // nor edited since it was read, or it is old news: a timer can fire twice.
            let is = ledger.tried.get(&(letter.line.clone(), was.sequence));
            let fresh = is.is_some_and(|(attempts, text)| *attempts == was.attempts && *text == letter.body);
            if progress.last + 1 != was.sequence || !fresh {
                return Verdict::Settled;
            }
        } else {
            match progress.sort(letter.sequence) {
                Arrival::Duplicate => return Verdict::Settled,
                Arrival::Gap => return Verdict::Wait,
                Arrival::Behind => {
                    ledger.park(letter, State::Behind, None, None, moment);
                    return Verdict::Settled;
                }
                Arrival::Next => {}
            }
        }
        if ledger.on_the_telephone.contains(letter.line.1.as_str()) {
            return Verdict::Queue;
        }
        if self.strikes(ledger, item, letter) {
            let reason = format!("fault injection: messages of type {} fail", letter.kind);
            self.fail(ledger, letter, &reason, moment);
            return Verdict::Settled;
        }
        match &item.intake {
            Intake::Ignored => ledger.settle(letter),
            Intake::Malformed(reason) => ledger.park(letter, State::Dead, Some(reason), None, moment),
            Intake::Failed(reason) => self.fail(ledger, letter, reason, moment),
            Intake::Input(input) => match self.service.decide(batch, input, moment) {
                Ok(Outcome::Done(effects)) => {
                    ledger.take(effects, item);
                    ledger.settle(letter);
                }
                Ok(Outcome::Call(call)) => {
                    ledger.on_the_telephone.insert(&letter.line.1);
                    return Verdict::Call(call);
                }
                // The business said no, and always will: an operator must look.
                Err(rejection) => ledger.park(letter, State::Dead, Some(&rejection.message), None, moment),
            },
        }
        Verdict::Settled
    }

    /// Parks a message that failed, to be tried again if it has attempts left.
    fn fail<'a>(&self, ledger: &mut Ledger<'a, S>, letter: &'a Letter, reason: &str, moment: Moment) {
        let tried = letter.parked.as_ref().map_or(0, |parked| parked.attempts) + 1;
        let due = self.backoff.next_due(tried, moment.now);
        let state = if due.is_some() { State::Retry } else { State::Dead };
        ledger.park(letter, state, Some(reason), due, moment);
    }

    /// Whether an injected fault strikes this message. It counts once the batch is
    /// committed, since a batch may be decided more than once. An answer from outside is
    /// spared: its message has been tried already.
    fn strikes(&self, ledger: &mut Ledger<'_, S>, item: &Item<S>, letter: &Letter) -> bool {
        let left = self.faults.left(&letter.kind);
        if left == 0 || item.is_answer {
            return false;
        }
        let struck = ledger.struck.entry(letter.kind.clone()).or_default();
        let strikes = *struck < left;
        *struck += i64::from(strikes);
        strikes
    }
}

/// Partition and epoch.
const fn read_under(receipt: &Receipt) -> (u32, i64) {
    (receipt.partition, receipt.hold.epoch)
}

impl<'a, S: Service> Ledger<'a, S> {
    fn result_of(&self, id: &str) -> Option<&Stored<S::Reply>> {
        let fresh = || self.fresh.get(id).and_then(|index| self.results.get(*index)).map(|(_, stored)| stored);
        self.stored.get(id).or_else(fresh)
    }

    fn take(&mut self, effects: Effects<S::Reply>, item: &Item<S>) -> Option<S::Reply> {
        self.causes.extend(effects.messages.iter().map(|_| item.cause().to_owned()));
        self.messages.extend(effects.messages);
        // The last word of the batch counts.
        self.timers.extend(effects.cancelled.into_iter().map(|key| (key, None)));
        self.timers.extend(effects.timers.into_iter().map(|timer| (timer.key(), Some(timer))));
        effects.reply
    }

    /// The line has moved past this message.
    fn settle(&mut self, letter: &'a Letter) {
        let now = &mut self.courses.entry(&letter.line).or_default().now;
        now.last = letter.sequence;
        if letter.parked.is_some() {
            self.unparked.push((letter.line.0.clone(), letter.line.1.clone(), letter.sequence));
            if now.parked == Some(letter.sequence) {
                now.parked = None;
            }
        }
    }

    fn park(&mut self, letter: &'a Letter, state: State, error: Option<&str>, next_due: Option<i64>, moment: Moment) {
        let mut errors: Vec<String> =
            letter.parked.as_ref().and_then(|parked| serde_json::from_str(&parked.errors).ok()).unwrap_or_default();
        errors.extend(error.map(str::to_owned));
        if state != State::Behind {
            tracing::warn!(
                source = letter.line.0,
                subject = letter.line.1,
                sequence = letter.sequence,
                state = state.as_str(),
                error,
                "message parked"
            );
        }
        let attempts = letter.parked.as_ref().map_or(0, |parked| parked.attempts) + i64::from(error.is_some());
        self.tried.insert((letter.line.clone(), letter.sequence), (attempts, letter.body.clone()));
        self.parked.push(Parked {
            source: letter.line.0.clone(),
            subject: letter.line.1.clone(),
            sequence: letter.sequence,
            stream: letter.stream.to_string(),
            envelope: letter.body.to_string(),
            state: state.as_str().to_owned(),
            attempts,
            errors: serde_json::to_string(&errors).unwrap_or_default(),
            next_due,
            parked_at: letter.parked.as_ref().map_or(moment.now, |parked| parked.parked_at),
        });
        let progress = &mut self.courses.entry(&letter.line).or_default().now;
        progress.parked = Some(progress.parked.unwrap_or(0).max(letter.sequence));
    }
}
