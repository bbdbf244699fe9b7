//! Mail by SMTP: an *external call* like the bank in the payment service.
//!
//! A mail server is slow, away, or in doubt about us, so it is asked beside the
//! service loop. Its answers sort into the platform's two families by the first
//! digit of the reply code: 2 is taken; 5 is a definite no to this mail, recorded
//! and never asked again; 4, silence and a broken line are "not now", parked and
//! tried again. A 5 that is about us and not about the mail (it wants another
//! password) counts as "not now" too: a person can mend it while the mail waits.
//!
//! # On crash
//! If the process dies after the server took a mail and before that was committed,
//! the mail is sent again. SMTP has no idempotency key; the nearest is the
//! `Message-ID`, which is made from the message's own id, so that both copies bear
//! the same one and a mailbox may fold them into one.
//!
//! Chapter: `docs/choreography.md`.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use platform::error::Unavailable;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Mails under way at once; each has a connection of its own.
const AT_ONCE: usize = 16;
/// How long a mail waits for its turn. Then it is parked, since later messages of
/// its order wait behind it.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// To reach the server.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// From the connection to the server's last word. A server that scans what it takes
/// needs a while, and giving up too early sends twice.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// Permanent replies that are about us: no service for this host (521), and
/// authentication wanted, too weak, wrong, or not encrypted (530, 534, 535, 538).
const ABOUT_US: [u16; 5] = [521, 530, 534, 535, 538];

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's id.
    pub notification_id: String,
    /// Whose it is.
    pub customer_id: String,
    /// The order that it is about.
    pub order_id: String,
    /// The address.
    pub to: String,
    /// The subject line.
    pub title: String,
    /// Plain text.
    pub body: String,
}

/// A mail server's definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has the mail.
    Taken,
    /// It will never take this mail.
    Refused {
        /// For the shop's people; names no address.
        reason: String,
    },
}

/// A setting that makes no mailer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BadSetting {
    /// The server's URL. Never says it: there is a password in it.
    #[error("--smtp-url (ORDERLY_SMTP_URL) is no URL of a mail server such as smtps://user:password@host: {0}")]
    Url(String),
    /// The sender.
    #[error("--mail-from (ORDERLY_MAIL_FROM) is no sender such as \"Orderly <shop@example.com>\": {0}")]
    From(String),
}

/// The way to a mail server. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    turns: Arc<Semaphore>,
}

impl Mailer {
    /// A mailer for a server, `smtp://` or `smtps://`, with `user:password@` if it
    /// wants one and `?tls=required` or `?tls=opportunistic` for STARTTLS. Connects
    /// to nobody yet.
    ///
    /// # Errors
    /// [`BadSetting`], in words that name the setting.
    pub fn try_new(url: &str, from: &str) -> Result<Self, BadSetting> {
        // A misspelt option would be ignored, and the mails and the password travel in clear.
        if let Some((_, options)) = url.split_once('?')
            && !["tls=required", "tls=opportunistic"].contains(&options)
        {
            return Err(BadSetting::Url("its only option is tls=required or tls=opportunistic".to_owned()));
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| BadSetting::Url(error.to_string()))?
            .timeout(Some(CONNECT_WITHIN))
            .build();
        let from = from.parse::<Mailbox>().map_err(|error| BadSetting::From(error.to_string()))?;
        Ok(Self { server, from, turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Hands a letter to the server.
    ///
    /// # Errors
    /// No definite answer: the server is away, busy, or does not accept us.
    pub async fn send(&self, letter: &Letter) -> Result<Answer, Unavailable> {
        let mail = match self.compose(letter) {
            Ok(mail) => mail,
            Err(reason) => return Ok(Answer::Refused { reason }),
        };
        let Ok(_turn) = timeout(TURN_WITHIN, self.turns.acquire()).await else {
            return Err(Unavailable::new("too many mails are on their way already"));
        };
        match timeout(SEND_WITHIN, self.server.send(mail)).await {
            Ok(Ok(_)) => Ok(Answer::Taken),
            Ok(Err(error)) => sorted(&error, letter),
            Err(_) => Err(Unavailable::new("the mail server does not answer")),
        }
    }

    /// The mail as it travels. Its lines cannot break out into headers or commands:
    /// control characters become spaces, the address is parsed, and the body is
    /// encoded.
    fn compose(&self, letter: &Letter) -> Result<Message, String> {
        if letter.to.chars().any(|char| char.is_control() || char.is_whitespace()) {
            return Err("the address has spaces or control characters".to_owned());
        }
        let to: Address = letter.to.parse().map_err(|_| "the address is none".to_owned())?;
        let plain_id = letter.notification_id.replace(|char: char| !char.is_ascii_alphanumeric(), "-");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.title.replace(char::is_control, " "))
            .message_id(Some(format!("<{plain_id}@{}>", self.from.email.domain())))
            // So that no absence assistant answers (RFC 3834).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .singlepart(SinglePart::plain(letter.body.clone()))
            .map_err(|error| format!("it makes no mail: {error}"))
    }
}

/// The family that a failure belongs to, without the customer's address in its words.
fn sorted(error: &smtp::Error, letter: &Letter) -> Result<Answer, Unavailable> {
    let reason = error.to_string().replace(&letter.to, "the address");
    let about_us = error.status().is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
    // Not sent at all: the server does not know addresses with letters beyond ASCII.
    let strange_address = error.is_client() && !letter.to.is_ascii();
    if error.is_permanent() && !about_us || strange_address {
        return Ok(Answer::Refused { reason });
    }
    Err(Unavailable::new(format!("mail server: {reason}")))
}

#[cfg(test)]
mod tests;
