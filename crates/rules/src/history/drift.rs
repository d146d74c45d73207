//! Two records of the same hours: the server's, and Ripcord's own ledger.

/// What a ledger knows of the calls that Ripcord made in some hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OwnCalls {
    /// Attempts that completed: the server counts every one.
    pub completed: u64,
    /// Attempts that the server may have counted or not: broken off, left, or without an answer.
    pub uncertain: u64,
}

/// How the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// One of them is not known.
    Unknown,
    /// They do not contradict each other.
    None,
    /// At least so many requests of the server's did not come through Ripcord.
    Elsewhere(u64),
    /// So many of Ripcord's own completed calls are not in the server's record.
    Missing(u64),
}

/// Compares the two for hours whose figures have settled.
///
/// Both can be true at once: somebody else's requests hide own ones that are missing. What is said is what is certain.
#[must_use]
pub const fn drift(server: Option<u64>, own: Option<OwnCalls>) -> Drift {
    let (Some(server), Some(own)) = (server, own) else { return Drift::Unknown };
    let at_most = own.completed.saturating_add(own.uncertain);
    if server > at_most {
        Drift::Elsewhere(server - at_most)
    } else if server < own.completed {
        Drift::Missing(own.completed - server)
    } else {
        Drift::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_said() {
        let own = |completed, uncertain| Some(OwnCalls { completed, uncertain });
        let table = [
            (None, own(1, 0), Drift::Unknown),
            (Some(1), None, Drift::Unknown),
            (Some(0), own(0, 0), Drift::None),
            (Some(10), own(10, 0), Drift::None),
            (Some(10), own(8, 2), Drift::None),
            (Some(8), own(8, 2), Drift::None),
            (Some(11), own(8, 2), Drift::Elsewhere(1)),
            (Some(7), own(8, 2), Drift::Missing(1)),
            (Some(u64::MAX), own(0, 0), Drift::Elsewhere(u64::MAX)),
            (Some(0), own(u64::MAX, u64::MAX), Drift::Missing(u64::MAX)),
        ];
        for (server, own, expected) in table {
            assert_eq!(drift(server, own), expected, "{server:?} {own:?}");
        }
    }
}
