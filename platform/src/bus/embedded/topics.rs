//! Topics of the embedded bus: a broadcast for each that somebody hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;

use super::lock;

/// How many announcements a slow tail may fall behind before it misses some.
const TAIL_CAPACITY: usize = 4096;

/// By name. A topic is made by its first tail and goes with the last one.
#[derive(Debug, Default)]
pub(super) struct Topics {
    tails: Mutex<HashMap<String, broadcast::Sender<Arc<str>>>>,
}

impl Topics {
    /// Tells everybody who listens; nobody may.
    pub(super) fn announce(&self, topic: &str, bodies: &[String]) {
        let mut topics = lock(&self.tails);
        if let Some(tails) = topics.get(topic) {
            // An error says that the last tail is gone.
            let heard = bodies.iter().all(|body| tails.send(body.as_str().into()).is_ok());
            if !heard {
                topics.remove(topic);
            }
        }
    }

    /// Listens from now on.
    pub(super) fn tail(&self, topic: &str) -> broadcast::Receiver<Arc<str>> {
        let mut topics = lock(&self.tails);
        topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(TAIL_CAPACITY)).subscribe()
    }
}
