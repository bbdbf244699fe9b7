//! The notification service: messages to customers.
//!
//! It hears what happens to orders (`orderly.order`), stores a message for every
//! turn that a customer cares about, and says that it did (`orderly.notification`).
//! If a mail server is configured, and the customer wants it, the message goes out
//! by mail too. By gRPC customers say which ones they want.
//!
//! The lesson here: *choreography*. Nobody commands this service and nobody waits
//! for it. It can be down for an hour and no order stands still; when it is back,
//! it hears what it missed and writes about it.
//!
//! Reading order: [`domain`] (what is told of what happens), [`texts`] (in which
//! words), then how both meet the platform, here; [`mail`] is the way out.
//!
//! Chapter: `docs/choreography.md`.

mod consumer;
pub mod domain;
pub mod grpc;
pub mod mail;
mod producer;
mod store;
pub mod texts;
pub mod topic;

use async_trait::async_trait;
use contracts::notification::Preference;
use platform::bus::{Timer, TimerKey};
use platform::clock::Millis;
use platform::error::{Rejection, Unavailable};
use platform::message::{Envelope, Malformed};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Db, Migration, StoreError, Tx};

use crate::domain::News;
use crate::mail::{Answer, Letter};
pub use crate::mail::{BadSetting, Mailer};
use crate::store::{Batch, Fate, Mailing, Notification as Stored, Wanted};
use crate::topic::{MailPreference, Topic};

/// The notification service's declaration.
pub static SPEC: Spec = Spec {
    name: "notification",
    // Its own commands: a mail is an external call, and so a message that can wait, be
    // tried again and become a dead letter like any other.
    hears: &["orderly.order", "orderly.notification.commands"],
    timers: "orderly.notification.timers",
    outlets: &[
        Outlet { source: "/notification", stream: "orderly.notification", table: "outbox", keeps: false },
        Outlet {
            source: "/notification/commands",
            stream: "orderly.notification.commands",
            table: "outbox",
            keeps: false,
        },
    ],
    migrations: &[
        Migration { version: 1, name: "notification", sql: include_str!("../migrations/0001_notification.sql") },
        Migration { version: 2, name: "every turn", sql: include_str!("../migrations/0002_every_turn.sql") },
    ],
};

/// Kind of this service's timers.
const REMINDER: &str = "payment-reminder";

/// What the service is started with.
#[derive(Clone)]
pub struct Settings {
    /// How long before its deadline a customer is reminded to pay, ms; 0 for never.
    /// Where the whole time to pay is less than twice that, it is half of it.
    pub reminder_before: Millis,
    /// Where mails go out; `None`: messages are kept and shown, not mailed.
    pub mailer: Option<Mailer>,
}

impl Default for Settings {
    /// Five minutes, no mails.
    fn default() -> Self {
        Self { reminder_before: 5 * 60 * 1000, mailer: None }
    }
}

/// Everything the notification service decides.
#[derive(Debug, Clone)]
pub enum Input {
    /// Something happened to an order.
    Happened {
        /// To which order.
        order_id: String,
        /// The event's id.
        event_id: String,
        /// When, Unix milliseconds.
        at: Millis,
        /// What.
        news: News,
    },
    /// The delay queue: it is time to remind of a payment.
    ReminderDue {
        /// Of which order.
        order_id: String,
        /// As it was when the timer was set.
        due: Millis,
    },
    /// A customer says which messages to mail.
    SetPreference {
        /// Who.
        customer_id: String,
        /// Which.
        mail: MailPreference,
    },
    /// The service's own command: hand this to the mail server.
    SendMail(Letter),
    /// The mail server's answer to one.
    MailAnswered {
        /// To which.
        letter: Letter,
        /// What it said.
        answer: Answer,
    },
}

/// The notification service.
pub struct Notification {
    settings: Settings,
}

impl Notification {
    /// The service, with its settings.
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Service for Notification {
    type Input = Input;
    type Reply = Preference;
    type Batch = Batch;
    /// A mail, for the server.
    type Call = Letter;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        consumer::hear(message)
    }

    fn wake(&self, timer: &Timer) -> Option<Input> {
        consumer::wake(timer)
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        let mut wanted = Wanted::default();
        for input in inputs {
            match input {
                Input::Happened { order_id, news, .. } => {
                    wanted.orders.insert(order_id);
                    if let News::Placed(placed) = news {
                        wanted.customers.insert(&placed.customer_id);
                    }
                }
                Input::ReminderDue { order_id, .. } => {
                    wanted.orders.insert(order_id);
                }
                // What it was before does not matter.
                Input::SetPreference { .. } => {}
                Input::SendMail(letter) | Input::MailAnswered { letter, .. } => {
                    wanted.orders.insert(&letter.order_id);
                    wanted.customers.insert(&letter.customer_id);
                    wanted.mailings.insert(&letter.notification_id);
                }
            }
        }
        // Preferences restrict mails only.
        store::load(tx, &wanted, self.settings.mailer.is_some()).await
    }

    fn decide(
        &self,
        batch: &mut Batch,
        input: &Input,
        moment: Moment,
    ) -> Result<Outcome<Preference, Letter>, Rejection> {
        match input {
            Input::Happened { order_id, event_id, at, news } => {
                self.follow(batch, order_id, event_id.clone(), news, *at).map(Outcome::Done)
            }
            Input::ReminderDue { order_id, due } => {
                let id = format!("{order_id}-{REMINDER}");
                self.follow(batch, order_id, id, &News::ReminderDue { due: *due }, moment.now).map(Outcome::Done)
            }
            Input::SetPreference { customer_id, mail } => {
                batch.set_preference(customer_id, *mail);
                let reply = Some(producer::preference(customer_id, *mail));
                Ok(Outcome::Done(Effects { reply, ..Effects::default() }))
            }
            Input::SendMail(letter) => self.send_mail(batch, letter, moment.now),
            Input::MailAnswered { letter, answer } => {
                mail_answered(batch, letter, answer, moment.now).map(Outcome::Done)
            }
        }
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch, moment.now).await
    }

    /// # On crash
    /// The server may have taken the mail while nobody here knows. The command was
    /// not acked, so it is heard again and the mail is sent again, with the same
    /// `Message-ID`.
    async fn call(&self, letter: Letter) -> Result<Input, Unavailable> {
        let Some(mailer) = &self.settings.mailer else {
            return Err(Unavailable::new("no mail server is configured"));
        };
        let answer = mailer.send(&letter).await?;
        if let Answer::Refused { reason } = &answer {
            let Letter { notification_id, order_id, .. } = &letter;
            tracing::warn!(notification_id, order_id, reason, "the mail server will never take this mail");
        }
        Ok(Input::MailAnswered { letter, answer })
    }

    async fn timers(&self, db: &Db, before: Millis) -> Result<Vec<Timer>, StoreError> {
        store::timers(db, before).await
    }
}

impl Notification {
    /// Moves an order on and writes to its customer, if there is something to say.
    fn follow(
        &self,
        batch: &mut Batch,
        order_id: &str,
        notification_id: String,
        news: &News,
        at: Millis,
    ) -> Result<Effects<Preference>, Rejection> {
        let before = batch.order(order_id);
        let reminder_was = before.and_then(|order| order.remind_at);
        let (order, told) = domain::follow(before, news, at, self.settings.reminder_before)
            .ok_or_else(|| Rejection::conflict(format!("order {order_id} was never heard to be placed")))?;
        let mut effects = Effects::default();
        retime(&mut effects, order_id, reminder_was, order.remind_at);
        if let Some(message) = told {
            let notification = Stored {
                notification_id,
                customer_id: order.customer_id.clone(),
                order_id: order_id.to_owned(),
                topic: message.topic,
                title: message.title,
                body: message.body,
                at,
            };
            effects.messages.push(producer::customer_notified(&notification));
            let wanted = batch.preference(&order.customer_id).allows(message.topic);
            if self.settings.mailer.is_some() && !order.email.is_empty() && wanted {
                effects.messages.push(producer::send_mail(&notification, &order.email));
            }
            batch.keep(notification);
        }
        batch.set_order(order_id, order);
        Ok(effects)
    }

    /// Whether a mail is still to go out is decided when its turn has come: that may
    /// be long after it was written, if the server was away.
    fn send_mail(
        &self,
        batch: &mut Batch,
        letter: &Letter,
        now: Millis,
    ) -> Result<Outcome<Preference, Letter>, Rejection> {
        let Mailing { topic, fate, .. } = mailing(batch, letter)?;
        if fate.is_some() {
            return Ok(Outcome::Done(Effects::default()));
        }
        let out_of_date = *topic == Topic::PaymentReminder
            && !batch.order(&letter.order_id).is_some_and(|order| order.waits_for_payment(now));
        let obstacle = if self.settings.mailer.is_none() {
            "no mail server is configured any more"
        } else if !batch.preference(&letter.customer_id).allows(*topic) {
            "the customer wants no mail about this any more"
        } else if out_of_date {
            "the payment that it reminds of is not waited for any more"
        } else {
            return Ok(Outcome::Call(letter.clone()));
        };
        batch.settle(&letter.notification_id, Fate::NotMailed(obstacle.to_owned()));
        Ok(Outcome::Done(Effects::default()))
    }
}

/// Records how a mailing has ended.
fn mail_answered(
    batch: &mut Batch,
    letter: &Letter,
    answer: &Answer,
    now: Millis,
) -> Result<Effects<Preference>, Rejection> {
    let mut effects = Effects::default();
    if mailing(batch, letter)?.fate.is_some() {
        return Ok(effects);
    }
    let fate = match answer {
        Answer::Taken => {
            effects.messages.push(producer::customer_mailed(letter));
            Fate::Mailed(now)
        }
        Answer::Refused { reason } => Fate::NotMailed(reason.clone()),
    };
    batch.settle(&letter.notification_id, fate);
    Ok(effects)
}

fn mailing<'a>(batch: &'a Batch, letter: &Letter) -> Result<&'a Mailing, Rejection> {
    let unknown = || Rejection::conflict(format!("message {} was never written", letter.notification_id));
    batch.mailing(&letter.notification_id).ok_or_else(unknown)
}

/// Sets or takes back the reminder's timer if its due time has changed.
fn retime(effects: &mut Effects<Preference>, order_id: &str, was: Option<Millis>, is: Option<Millis>) {
    if was == is {
        return;
    }
    let (subject, kind) = (order_id.to_owned(), REMINDER.to_owned());
    match is {
        Some(due) => effects.timers.push(Timer { subject, kind, attempt: 0, due }),
        None => effects.cancelled.push(TimerKey { subject, kind, attempt: 0 }),
    }
}
