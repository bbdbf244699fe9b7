//! Gathering a batch: what is ready first, then answers, then deliveries, then
//! commands. Also the three places where an item may have to wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::item::{Receipt, panic_text};
use super::{Answer, BATCH, Intake, Item, OperatorCommand, Origin, Read, ServiceLoop};
use crate::bus::{Delivery, Timer};
use crate::delay_queue::REDRIVE;
use crate::reader::changed;
use crate::service::Service;
use crate::store::parked;

/// What one unit of work is about.
pub(super) enum Work<S: Service> {
    /// Inputs.
    Batch(Vec<Item<S>>),
    /// An operator's command, alone.
    Operator(OperatorCommand),
}

impl<S: Service> ServiceLoop<S> {
    /// Waits for work and drains up to [`BATCH`] of it. `None`: stopped, and every
    /// command that was in has been handed out.
    pub(super) async fn gather(&mut self, stop: &CancellationToken) -> Option<Work<S>> {
        // Operators first: they are few, and come when there is too much of all the rest.
        if let Ok(command) = self.queues.operators.try_recv() {
            return Some(Work::Operator(command));
        }
        let mut items = Vec::new();
        // Looked at before the queue, or clients that never pause keep a stop waiting.
        if stop.is_cancelled() {
            self.queues.commands.close();
        }
        self.take_ready(&mut items);
        while items.is_empty() {
            tokio::select! {
                biased;
                Some(command) = self.queues.operators.recv() => return Some(Work::Operator(command)),
                Some(answer) = self.queues.answers.recv() => self.admit_answer(answer),
                Some(read) = self.queues.deliveries.recv() => self.admit_deliveries(read).await,
                () = changed(&mut self.parts.held) => self.forget_what_is_lost(),
                command = self.queues.commands.recv() => items.push(Item::of_command(command?)),
                () = stop.cancelled() => {
                    // Commands that come from here on are told that we stop.
                    self.queues.commands.close();
                    items.push(Item::of_command(self.queues.commands.recv().await?));
                }
            }
            self.take_ready(&mut items);
        }
        while items.len() < BATCH {
            if let Ok(answer) = self.queues.answers.try_recv() {
                self.admit_answer(answer);
            } else if let Ok(read) = self.queues.deliveries.try_recv() {
                self.admit_deliveries(read).await;
            } else {
                break;
            }
            self.take_ready(&mut items);
        }
        while items.len() < BATCH {
            match self.queues.commands.try_recv() {
                Ok(command) => items.push(Item::of_command(command)),
                Err(_) => break,
            }
        }
        Some(Work::Batch(items))
    }

    /// Moves what is ready into the batch, but for messages of a subject that is
    /// on the telephone.
    fn take_ready(&mut self, items: &mut Vec<Item<S>>) {
        items.reserve(self.ready.len().min(BATCH.saturating_sub(items.len())));
        while items.len() < BATCH {
            let Some(item) = self.ready.pop_front() else { break };
            let busy = !item.is_answer && item.subject().is_some_and(|subject| self.calling.contains_key(subject));
            if busy {
                self.queue_behind_call(item);
            } else {
                items.push(item);
            }
        }
    }

    fn admit_answer(&mut self, answer: Answer<S>) {
        let Answer { mut item, answer } = answer;
        match (answer, &item.origin) {
            (Ok(input), _) => item.intake = Intake::Input(input),
            (Err(unavailable), Origin::Message(_)) => item.intake = Intake::Failed(unavailable.cause),
            (Err(unavailable), Origin::Command { .. } | Origin::Timer(_)) => {
                item.reply(Err(unavailable.into()));
                return;
            }
        }
        item.is_answer = true;
        self.ready.push_back(item);
    }

    async fn admit_deliveries(&mut self, read: Read) {
        for (delivery, hold) in read {
            let Delivery { stream, partition, position, body } = delivery;
            let receipt = Receipt { stream, partition, position, hold };
            let Some(body) = body else {
                tracing::warn!(stream = %receipt.stream, %position, "delivered after it was trimmed");
                self.parts.after_commit.ack(vec![receipt]);
                continue;
            };
            if *receipt.stream == *self.parts.service.spec().timers {
                self.admit_timer(&body, receipt).await;
            } else {
                self.ready.push_back(Item::of_message(&*self.parts.service, body, receipt));
            }
        }
    }

    /// A fired timer is the service's own, or a parked message's time has come.
    async fn admit_timer(&mut self, body: &Arc<str>, receipt: Receipt) {
        let Ok(timer) = serde_json::from_str::<Timer>(body) else {
            tracing::error!(stream = %receipt.stream, position = %receipt.position, "an entry that is no timer; dropped");
            self.parts.after_commit.ack(vec![receipt]);
            return;
        };
        if let Some(source) = timer.kind.strip_prefix(REDRIVE) {
            match parked::head(&self.parts.db, source, &timer.subject).await {
                // Obeyed if and only if its due time equals the row's.
                Ok(Some(parked)) if parked.next_due == Some(timer.due) => {
                    self.ready.push_back(Item::of_parked(&*self.parts.service, parked, vec![receipt]));
                }
                Ok(_) => self.parts.after_commit.ack(vec![receipt]),
                Err(error) => {
                    // Its row is still there; the sweep will set the timer again.
                    tracing::warn!(subject = %timer.subject, cause = %error, "a parked message could not be read");
                    self.parts.after_commit.ack(vec![receipt]);
                }
            }
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| self.parts.service.wake(&timer))) {
            Ok(Some(input)) => self.ready.push_back(Item {
                origin: Origin::Timer(timer),
                intake: Intake::Input(input),
                receipts: vec![receipt],
                is_answer: false,
            }),
            Ok(None) => self.parts.after_commit.ack(vec![receipt]),
            // A fault of that timer alone. Its row still says that it is due, and the sweep
            // sets it again.
            Err(panic) => {
                let said = panic_text(&*panic);
                tracing::error!(kind = timer.kind, subject = timer.subject, said, "waking up for a timer panicked");
                self.parts.after_commit.ack(vec![receipt]);
            }
        }
    }

    /// Lines an item up behind the external call of its subject.
    pub(super) fn queue_behind_call(&mut self, item: Item<S>) {
        if let Some(subject) = item.subject() {
            self.calling.entry(subject.to_owned()).or_default().push_back(item);
        }
    }

    /// The call has been answered and its answer decided: whoever lined up may go.
    pub(super) fn release(&mut self, item: &Item<S>) {
        if let Some(queue) = item.subject().and_then(|subject| self.calling.remove(subject)) {
            self.ready.extend(queue);
        }
    }

    /// Keeps a message until the missing one before it has come. It stays pending
    /// at the broker, so that nothing settles meanwhile.
    pub(super) fn wait_for_missing(&mut self, mut item: Item<S>) {
        let Origin::Message(letter) = &item.origin else { return };
        let (line, sequence) = (letter.line.clone(), letter.sequence);
        tracing::warn!(source = line.0, subject = line.1, sequence, "waits for a missing message before it");
        let waiting = self.waiting.entry(line).or_default();
        if let Some(twin) = waiting.remove(&sequence) {
            item.receipts.extend(twin.receipts);
        }
        waiting.insert(sequence, item);
    }

    /// Lets go of what waits for a missing message in partitions that are not held any
    /// more: it is pending there, and their next holder is given it.
    fn forget_what_is_lost(&mut self) {
        let held = self.parts.held.borrow_and_update().clone();
        let stands = |receipt: &Receipt| held.get(&receipt.partition) == Some(&receipt.hold);
        self.waiting.retain(|_, waiting| {
            waiting.retain(|_, item| item.receipts.iter().any(stands));
            !waiting.is_empty()
        });
    }

    /// The line of this item has moved: the next one of it may be waiting.
    pub(super) fn wake_waiting(&mut self, item: &Item<S>) {
        if self.waiting.is_empty() {
            return;
        }
        let Origin::Message(letter) = &item.origin else { return };
        if let Some(waiting) = self.waiting.get_mut(&letter.line) {
            if let Some(next) = waiting.remove(&(letter.sequence + 1)) {
                self.ready.push_back(next);
            }
            if waiting.is_empty() {
                self.waiting.remove(&letter.line);
            }
        }
    }
}
