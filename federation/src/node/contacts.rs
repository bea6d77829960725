//! Signs of life: which relays have just said hello, for the schedule of the lanes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use posthouse_spec::Domain;
use posthouse_spec::peer::hello::LaneCursor;
use tokio::sync::Notify;

/// Relays whose hello waits to be heard by the schedule. It takes all of them at once, so they hardly ever wait; whoever
/// comes on top of these is found when its wait ends.
const MAX_HEARD: usize = 4096;

/// Hellos since they were last asked for.
#[derive(Default)]
pub(crate) struct Contacts {
    heard: Mutex<HashMap<Domain, Vec<LaneCursor>>>,
    news: Notify,
}

impl Contacts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, Vec<LaneCursor>>> {
        // Every change is one step, so a holder that panicked leaves the map sound.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A relay has said hello, and that it stands so in the lanes from here.
    pub(crate) fn heard(&self, domain: &Domain, cursors: &[LaneCursor]) {
        let mut heard = self.lock();
        if heard.len() < MAX_HEARD || heard.contains_key(domain) {
            heard.insert(domain.clone(), cursors.to_vec());
        }
        drop(heard);
        self.news.notify_one();
    }

    /// Waits for the next hellos.
    pub(crate) async fn next(&self) -> HashMap<Domain, Vec<LaneCursor>> {
        loop {
            let heard = std::mem::take(&mut *self.lock());
            if !heard.is_empty() {
                return heard;
            }
            self.news.notified().await;
        }
    }
}
