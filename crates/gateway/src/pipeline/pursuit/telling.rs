//! What the story of a request is told of its way: why something else than the first was asked, and what was not.

use super::{Link, Pursuit, Scope};
use crate::story::Story;

impl Pursuit {
    /// The first attempt goes to this link. That is worth a word where another one comes first.
    pub(super) fn tell_choice(&self, link: &Link, story: &mut Story) {
        if story.attempts() > 0 {
            return;
        }
        if let Some((first, why)) = self.why_not_first(link) {
            story.chosen(&link.key, first, why);
        }
    }

    fn why_not_first(&self, link: &Link) -> Option<(&str, &'static str)> {
        let best = self.itinerary.links().first()?;
        if best.key == link.key {
            let (first, why) = self.itinerary.not_first.as_ref()?;
            return Some((first, why));
        }
        Some((&best.key, self.why_not_asked(best).unwrap_or("closed")))
    }

    /// An attempt failed, or the request is refused: what else was there, and why it did not help. Of a request that is
    /// answered at once nobody asks that.
    pub(super) fn tell_left_out(&self, story: &mut Story) {
        for left_out in &self.itinerary.left_out {
            story.left_out(&left_out.key, left_out.why.name());
        }
        let failed = self.last_failure.as_ref().map(|(_, link, _)| &link.key);
        for link in self.itinerary.links().iter().filter(|link| Some(&link.key) != failed) {
            if let Some(why) = self.why_not_asked(link) {
                story.left_out(&link.key, why);
            }
        }
    }

    fn why_not_asked(&self, link: &Link) -> Option<&'static str> {
        let now = self.shared.clock.mono();
        if self.itinerary.is_too_short(link) {
            return Some("context_too_short");
        }
        let rest = self.shared.rests.lock().resting(&Scope::Model(link.key.to_string()), now);
        let is_left_alone = || self.shared.health.is_left_alone(now, &link.key);
        rest.map(|rest| rest.cause.name()).or_else(|| is_left_alone().then_some("keeps_failing"))
    }
}
