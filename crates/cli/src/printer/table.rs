//! Tables: as wide as their content, and on a narrow terminal narrower in the order the command chose.

use std::borrow::Cow;

use super::Device;
use super::text::{Text, Tone};

/// The gap between two columns.
const GAP: usize = 2;

/// Nearly every model's name fits in this width.
const COMFORTABLE_NAME: usize = 44;
/// A name is hardly to be told from others below this width.
const SHORTEST_NAME: usize = 18;

/// What somebody sends may be of any length; no cell is wider than this, however much room there is.
const WIDEST_CELL: usize = 400;
/// As [`WIDEST_CELL`], for a name.
const WIDEST_NAME: usize = 200;

/// Which side of a column its cells keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    header: Cow<'static, str>,
    align: Align,
    /// Columns with the highest number leave first when there is no room; 0 never leaves.
    leaves: u8,
    /// The width down to which cells may be cut.
    shrinks_to: Option<usize>,
    /// Other columns leave before the cells get narrower than this.
    comfortable: Option<usize>,
    /// Whether cells are cut in the middle instead of at the end.
    keeps_ends: bool,
}

/// Rows under headers.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    indent: usize,
    columns: Vec<Column>,
    rows: Vec<Vec<Text>>,
}

// === impl Column ===

impl Column {
    /// A column of words.
    pub(crate) fn left(header: impl Into<Cow<'static, str>>) -> Self {
        Self::aligned(Align::Left, header.into())
    }

    /// A column of figures.
    pub(crate) fn right(header: impl Into<Cow<'static, str>>) -> Self {
        Self::aligned(Align::Right, header.into())
    }

    const fn aligned(align: Align, header: Cow<'static, str>) -> Self {
        Self { header, align, leaves: 0, shrinks_to: None, comfortable: None, keeps_ends: false }
    }

    /// Lets the column go when the terminal is narrow; the highest `order` goes first.
    pub(crate) fn leaves(mut self, order: u8) -> Self {
        self.leaves = order;
        self
    }

    /// A column of models. Whole names are what people copy, so other columns leave first; cut, they lose their middle,
    /// since variants differ at the end.
    pub(crate) fn names(header: impl Into<Cow<'static, str>>) -> Self {
        Self {
            keeps_ends: true,
            comfortable: Some(COMFORTABLE_NAME),
            ..Self::left(header).shrinks_to(SHORTEST_NAME)
        }
    }

    /// Lets the cells be cut down to this width.
    pub(crate) fn shrinks_to(mut self, width: usize) -> Self {
        self.shrinks_to = Some(width);
        self
    }
}

// === impl Table ===

impl Table {
    /// A table without rows.
    pub(crate) const fn new(indent: usize, columns: Vec<Column>) -> Self {
        Self { indent, columns, rows: Vec::new() }
    }

    /// Adds a row; one cell per column.
    pub(crate) fn row(&mut self, cells: Vec<Text>) -> &mut Self {
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells);
        self
    }

    /// The table's lines for this device.
    pub(crate) fn lines(&self, device: Device) -> Vec<Text> {
        let room = if device.cuts { device.width.saturating_sub(self.indent) } else { usize::MAX };
        let natural: Vec<usize> =
            (0..self.columns.len()).map(|index| self.natural(index)).collect();
        let shown = self.shown(&natural, room);
        let widths = self.fitted(&natural, &shown, room);
        let mut lines = Vec::new();
        if self.columns.iter().any(|column| !column.header.is_empty()) {
            let headers =
                self.columns.iter().map(|column| Text::toned(Tone::Dim, column.header.as_ref()));
            lines.push(self.line(&headers.collect::<Vec<_>>(), &shown, &widths));
        }
        for row in &self.rows {
            lines.push(self.line(row, &shown, &widths));
        }
        lines
    }

    fn natural(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index)).map(Text::width).max();
        let header = self.columns.get(index).map_or(0, |column| column.header.chars().count());
        let is_name = self.columns.get(index).is_some_and(|column| column.keeps_ends);
        let widest = if is_name { WIDEST_NAME } else { WIDEST_CELL };
        cells.unwrap_or(0).max(header).min(widest)
    }

    /// The indices of the columns that stay: they fit when every one of them is as narrow as it may comfortably be.
    fn shown(&self, natural: &[usize], room: usize) -> Vec<usize> {
        let narrowest = |index: &usize| {
            let natural = natural.get(*index).copied().unwrap_or(0);
            let shrunk = self
                .columns
                .get(*index)
                .and_then(|column| column.comfortable.or(column.shrinks_to));
            shrunk.map_or(natural, |width| width.min(natural))
        };
        let leaves = |index: &usize| self.columns.get(*index).map_or(0, |column| column.leaves);
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        // A column whose cells are all empty says nothing.
        shown.retain(|index| {
            leaves(index) == 0
                || self.rows.iter().any(|row| row.get(*index).is_some_and(|cell| cell.width() > 0))
        });
        loop {
            let needed: usize =
                shown.iter().map(narrowest).sum::<usize>() + GAP * shown.len().saturating_sub(1);
            let leaver = shown.iter().copied().filter(|index| leaves(index) > 0).max_by_key(leaves);
            match leaver {
                Some(leaver) if needed > room => shown.retain(|index| *index != leaver),
                _ => return shown,
            }
        }
    }

    /// The width of every column, cut where the sum is too wide: the widest of those that may shrink first.
    fn fitted(&self, natural: &[usize], shown: &[usize], room: usize) -> Vec<usize> {
        let mut widths = natural.to_vec();
        let gaps = GAP * shown.len().saturating_sub(1);
        loop {
            let needed: usize =
                shown.iter().filter_map(|index| widths.get(*index)).sum::<usize>() + gaps;
            let shrinkable = |index: &usize| {
                let least = self.columns.get(*index).and_then(|column| column.shrinks_to)?;
                widths.get(*index).filter(|width| **width > least).map(|width| (*width, *index))
            };
            let widest = shown.iter().filter_map(shrinkable).max();
            match widest {
                Some((width, index)) if needed > room => {
                    if let Some(slot) = widths.get_mut(index) {
                        *slot = width - 1;
                    }
                }
                _ => return widths,
            }
        }
    }

    fn line(&self, cells: &[Text], shown: &[usize], widths: &[usize]) -> Text {
        let mut line = Text::new().plain(" ".repeat(self.indent));
        for (position, index) in shown.iter().enumerate() {
            let (Some(cell), Some(column), Some(width)) =
                (cells.get(*index), self.columns.get(*index), widths.get(*index))
            else {
                continue;
            };
            if position > 0 {
                line = line.plain(" ".repeat(GAP));
            }
            let cell = if column.keeps_ends {
                cell.clone().cut_in_the_middle(*width)
            } else {
                cell.clone().cut(*width)
            };
            line = line.append(match column.align {
                Align::Left => cell.padded_right(*width),
                Align::Right => cell.padded_left(*width),
            });
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(width: usize) -> Device {
        Device {
            terminal: true,
            error_terminal: true,
            color: false,
            error_color: false,
            unicode: true,
            width,
            cuts: true,
        }
    }

    fn table() -> Table {
        let mut table = Table::new(
            2,
            vec![
                Column::left("model").shrinks_to(10),
                Column::right("price"),
                Column::left("features").leaves(1),
            ],
        );
        table.row(vec!["zai-org/GLM-5.2-TEE".into(), "$3.15".into(), "tools".into()]);
        table.row(vec!["a/b".into(), "$10.00".into(), "".into()]);
        table
    }

    fn drawn(width: usize) -> Vec<String> {
        table()
            .lines(device(width))
            .iter()
            .map(|line| line.render(false).trim_end().to_owned())
            .collect()
    }

    #[test]
    fn columns_align() {
        assert_eq!(
            drawn(80),
            [
                "  model                 price  features",
                "  zai-org/GLM-5.2-TEE   $3.15  tools",
                "  a/b                  $10.00",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_loses_what_may_go_and_then_cuts() {
        assert_eq!(drawn(26)[1], "  zai-org/GLM-5.2…   $3.15");
        assert_eq!(drawn(10)[1], "  zai-org/G…   $3.15");
    }

    #[test]
    fn columns_leave_before_names_are_cut_and_then_their_middle_goes() {
        let mut table =
            Table::new(0, vec![Column::names("model"), Column::right("price").leaves(1)]);
        table.row(vec!["Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE".into(), "$3.15".into()]);
        let row = |width| table.lines(device(width))[1].render(false).trim_end().to_owned();
        assert!(row(50).ends_with("FP8-TEE  $3.15"));
        assert_eq!(row(49), "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE");
        assert_eq!(row(30), "Qwen/Qwen3-Code…struct-FP8-TEE");
    }

    #[test]
    fn a_cell_of_any_length_is_bounded() {
        let mut table = Table::new(0, vec![Column::left(""), Column::names("")]);
        table.row(vec!["a".repeat(5_000).into(), "b".repeat(5_000).into()]);
        let pipe = Device { cuts: false, ..device(20) };
        let width = table.lines(pipe)[0].width();
        assert_eq!(width, WIDEST_CELL + GAP + WIDEST_NAME);
    }

    #[test]
    fn a_pipe_gets_whole_names() {
        let pipe = Device { cuts: false, ..device(20) };
        assert!(table().lines(pipe)[1].render(false).contains("zai-org/GLM-5.2-TEE"));
    }
}
