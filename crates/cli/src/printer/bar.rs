//! Bars: how much of a window is used, to the nearest cell but never a full bar that has room, nor an empty one
//! that is in use.

use super::text::{Text, Tone};

/// How much of a whole, in thousandths. More than the whole is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permille(pub(crate) u32);

/// A bar of `cells` columns inside two edges.
pub(crate) fn bar(used: Option<Permille>, cells: usize, tone: Tone) -> Text {
    let Some(Permille(permille)) = used else {
        return Text::new().dim("▕").dim("·".repeat(cells)).dim("▏");
    };
    let whole = usize::try_from(permille.min(1000)).unwrap_or(1000);
    let rounded = (whole * cells + 500) / 1000;
    let filled = match whole {
        0 => 0,
        1000 => cells,
        _ => rounded.clamp(1, cells.saturating_sub(1)),
    };
    Text::new().dim("▕").then(tone, "█".repeat(filled)).dim("░".repeat(cells - filled)).dim("▏")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(permille: u32) -> String {
        bar(Some(Permille(permille)), 10, Tone::Plain).render(false)
    }

    #[test]
    fn the_ends_are_reserved_for_nothing_and_everything() {
        assert_eq!(drawn(0), "▕░░░░░░░░░░▏");
        assert_eq!(drawn(1), "▕█░░░░░░░░░▏");
        assert_eq!(drawn(500), "▕█████░░░░░▏");
        assert_eq!(drawn(999), "▕█████████░▏");
        assert_eq!(drawn(1000), "▕██████████▏");
        assert_eq!(drawn(1400), "▕██████████▏");
    }

    #[test]
    fn unknown_is_not_drawn_as_empty() {
        assert_eq!(bar(None, 4, Tone::Plain).render(false), "▕····▏");
    }
}
