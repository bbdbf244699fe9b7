//! Which parked message is meant.

use anyhow::bail;
use contracts::ops::{ListParkedRequest, ParkedMessage};

use super::MOST;
use crate::print;
use crate::remote::Line;

/// Which message
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Named {
    /// What it is about: mostly an order's id
    subject: Option<String>,
    /// The service that could not obey it
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Who said it, such as /order/payment.commands
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Its number in its line; by default the first one that is parked
    #[arg(long, value_name = "N")]
    sequence: Option<i64>,
}

/// A parked message, and where.
pub(super) struct Found {
    pub(super) service: String,
    pub(super) message: ParkedMessage,
}

impl Found {
    /// For people.
    pub(super) fn name(&self) -> String {
        let ParkedMessage { source, subject, sequence, .. } = &self.message;
        print::harmless(&format!("number {sequence} of {source}, {subject}, in {}", self.service))
    }
}

impl Named {
    /// All that are meant.
    ///
    /// # Errors
    /// None is; or the shop does not answer.
    pub(super) async fn all(&self, line: &Line) -> anyhow::Result<Vec<Found>> {
        let Some(subject) = self.subject.as_deref().filter(|subject| !subject.is_empty()) else {
            bail!("say which message by its subject; `orderly dead-letters list` shows them");
        };
        let mut found = Vec::new();
        for service in line.services(self.service.as_deref()).await? {
            let asked = ListParkedRequest {
                service: service.clone(),
                dead_only: false,
                first: MOST,
                source: self.source.clone().unwrap_or_default(),
                subject: subject.to_owned(),
            };
            let reply = line.ops().list_parked(asked).await.map_err(|status| line.explain(&status))?.into_inner();
            found.extend(reply.messages.into_iter().map(|message| Found { service: service.clone(), message }));
        }
        if let Some(sequence) = self.sequence {
            found.retain(|found| found.message.sequence == sequence);
        }
        if found.is_empty() {
            bail!("no such message is parked; `orderly dead-letters list --parked` shows those that are");
        }
        found.sort_by(|a, b| {
            let place = |found: &Found| (found.service.clone(), found.message.source.clone(), found.message.sequence);
            place(a).cmp(&place(b))
        });
        Ok(found)
    }

    /// The one that is meant.
    ///
    /// # Errors
    /// None is, or more than one: then with what tells them apart.
    pub(super) async fn the_one(&self, line: &Line) -> anyhow::Result<Found> {
        the_one(self.all(line).await?, self.sequence.is_some())
    }
}

/// Without a number the first one of its line is meant: those behind it wait for it.
fn the_one(mut found: Vec<Found>, numbered: bool) -> anyhow::Result<Found> {
    if !numbered {
        found.retain(|found| found.message.state != "BEHIND");
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("all of them stand behind another; say which by --sequence"),
        _ => {
            let places: Vec<String> = found
                .iter()
                .map(|Found { service, message: ParkedMessage { source, sequence, .. } }| {
                    print::harmless(&format!("  --service {service} --source {source} --sequence {sequence}"))
                })
                .collect();
            bail!("there are several; say which:\n{}", places.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parked(source: &str, sequence: i64, state: &str) -> Found {
        let message =
            ParkedMessage { source: source.into(), sequence, state: state.into(), ..ParkedMessage::default() };
        Found { service: "payment".into(), message }
    }

    #[test]
    fn without_a_number_the_head_of_the_line_is_meant() {
        let line = || vec![parked("/a", 3, "DEAD"), parked("/a", 4, "BEHIND"), parked("/a", 5, "BEHIND")];
        assert_eq!(the_one(line(), false).unwrap().message.sequence, 3);
        assert!(the_one(line(), true).is_err(), "the number has been looked at before");
        assert_eq!(the_one(vec![parked("/a", 4, "BEHIND")], true).unwrap().message.sequence, 4);
    }

    #[test]
    fn of_several_it_is_told_how_to_tell_them_apart() {
        let refused =
            the_one(vec![parked("/a", 3, "DEAD"), parked("/b", 1, "RETRY")], false).err().unwrap().to_string();
        assert!(refused.contains("--source /a --sequence 3") && refused.contains("--source /b"), "{refused}");
    }
}
