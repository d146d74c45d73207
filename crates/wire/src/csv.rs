//! CSV as the exports of Chutes write it (RFC 4180), read tolerantly.

/// A table with its first line as the names of its columns.
///
/// Tolerant: a row may be shorter or longer than the head, a quote that never closes ends with the text, and lines
/// may end in `\n` or `\r\n`. Nothing is an error, since half an export is better than none.
///
/// ```
/// use ripcord_wire::csv::Table;
///
/// let table = Table::read("id,metrics\r\n1,\"{'it': 12, 'ot': 5}\"\r\n");
/// let row = table.rows().next().unwrap();
/// assert_eq!((row.get("id"), row.get("metrics")), (Some("1"), Some("{'it': 12, 'ot': 5}")));
/// assert_eq!(row.get("cost"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [String],
    /// The cells, in order.
    pub cells: &'a [String],
}

impl Table {
    /// Reads a whole text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
        let columns = records.next().unwrap_or_default();
        Self { columns, rows: records.collect() }
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are below the head.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows below the head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }
}

impl<'a> Row<'a> {
    /// The cell of a column; `None` without such a column or cell, and for an empty one.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.cells.get(at).map(String::as_str).filter(|cell| !cell.is_empty())
    }
}

/// Lines of cells. Empty lines are none.
struct Records<'a> {
    rest: &'a str,
}

impl Iterator for Records<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        self.rest = self.rest.trim_start_matches(['\r', '\n']);
        if self.rest.is_empty() {
            return None;
        }
        let mut cells = Vec::new();
        loop {
            let (cell, end) = self.cell();
            cells.push(cell);
            if end != Some(',') {
                return Some(cells);
            }
        }
    }
}

impl Records<'_> {
    /// The next cell, and the character that ended it.
    fn cell(&mut self) -> (String, Option<char>) {
        let mut cell = String::new();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            loop {
                let (inside, after) = self.rest.split_once('"').unwrap_or((self.rest, ""));
                cell.push_str(inside);
                self.rest = after;
                // A doubled quote stands for one.
                let Some(after) = after.strip_prefix('"') else { break };
                cell.push('"');
                self.rest = after;
            }
        }
        let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
        let (tail, after) = self.rest.split_at(end);
        cell.push_str(tail.strip_suffix('\r').unwrap_or(tail));
        let mut characters = after.chars();
        let ended_by = characters.next();
        self.rest = characters.as_str();
        (cell, ended_by)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn cells(text: &str) -> Vec<Vec<String>> {
        Table::read(text).rows().map(|row| row.cells.to_vec()).collect()
    }

    #[test]
    fn every_way_to_write_a_cell() {
        assert_eq!(
            cells("a,b\r\n1,2\r\n\"x,y\",\"say \"\"no\"\"\"\n\"two\nlines\",\r\n\n\"\",z"),
            [["1", "2"], ["x,y", "say \"no\""], ["two\nlines", ""], ["", "z"]]
        );
    }

    #[test]
    fn what_is_odd_is_kept_as_well_as_can_be() {
        assert_eq!(cells("a,b\n1\n1,2,3\n"), [vec!["1"], vec!["1", "2", "3"]]);
        assert_eq!(cells("a\n\"never closed, you see"), [["never closed, you see"]]);
        assert_eq!(cells("a\n\"x\"y,2"), [["xy", "2"]]);
        for nothing in ["", "\n\r\n", "only,a,head\r\n"] {
            assert!(Table::read(nothing).is_empty());
        }
        let table = Table::read("\u{feff}id,cost\n7,");
        assert_eq!(table.columns(), ["id", "cost"]);
        assert_eq!(table.rows().next().unwrap().get("cost"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_with_quotes_is_read_back(
            cells in proptest::collection::vec(proptest::collection::vec("[a-c\",\r\n é]{0,6}", 3), 0..5),
        ) {
            let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let lines: Vec<String> = cells.iter().map(line).collect();
            let text = format!("x,y,z\r\n{}\r\n", lines.join("\r\n"));
            proptest::prop_assert_eq!(self::cells(&text), cells);
        }

        #[test]
        fn any_text_is_a_table(text in "[a\",\r\n]{0,40}") {
            let table = Table::read(&text);
            let letters = |text: &str| text.matches('a').count();
            let kept = table.columns().iter().chain(table.rows.iter().flatten());
            proptest::prop_assert_eq!(kept.map(|cell| letters(cell)).sum::<usize>(), letters(&text));
        }
    }
}
