//! How many calls of an account run at once, as the emulator counts them.

use crate::world::World;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest pause between two looks.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Crowding {
    /// The most calls of one account at once.
    pub(super) most: u32,
    /// The longest time in which an account had more than its slots.
    pub(super) longest_above: Duration,
}

/// Looks until it is aborted or the world's load ends.
pub(super) async fn watch(
    world: Arc<World>,
    slots: u32,
    until: tokio_util::sync::CancellationToken,
) -> Crowding {
    let mut crowding = Crowding::default();
    let mut above: HashMap<String, Instant> = HashMap::new();
    while !until.is_cancelled() {
        let now = Instant::now();
        for account in world.control().accounts() {
            crowding.most = crowding.most.max(account.in_flight);
            if account.in_flight <= slots {
                above.remove(&account.name);
                continue;
            }
            let since = *above.entry(account.name).or_insert(now);
            crowding.longest_above = crowding.longest_above.max(now - since);
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    crowding
}
