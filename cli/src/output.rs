//! Text for people: aligned, in UTC, and harmless whatever it quotes.

use std::io::Write as _;

use model::Record;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// One value of a table: text and, on a terminal, its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Cell {
    /// Text as it is; an empty one is shown as `-`.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        Self { text: if text.is_empty() { "-".to_owned() } else { one_line(text) }, colour: None }
    }

    /// Text that is shown in a colour on a terminal.
    pub(crate) fn coloured(text: &str, colour: Colour) -> Self {
        Self { colour: Some(colour.code()), ..Self::plain(text) }
    }

    /// The same with more text behind it.
    pub(crate) fn followed_by(mut self, text: &str) -> Self {
        self.text.push_str(&one_line(text));
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn push_to(&self, line: &mut String, colour: bool) {
        match self.colour {
            Some(code) if colour => line.extend([code, &self.text, "\u{1b}[0m"]),
            _ => line.push_str(&self.text),
        }
    }
}

/// Colours that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It is as it should be.
    Good,
    /// It may be wrong.
    Doubtful,
    /// It is wrong, or was refused.
    Bad,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\u{1b}[32m",
            Self::Doubtful => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
        }
    }
}

/// Rows under headings; columns keep their width from one call to the next.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<Cell>,
    widths: Vec<usize>,
    colour: bool,
    headings_shown: bool,
}

impl Table {
    pub(crate) fn new(headings: &[&str], colour: bool) -> Self {
        let headings: Vec<_> = headings.iter().map(Cell::plain).collect();
        let widths = headings.iter().map(Cell::width).collect();
        Self { headings, widths, colour, headings_shown: false }
    }

    /// The rows as lines, the headings before the first of them.
    pub(crate) fn render(&mut self, rows: &[Vec<Cell>]) -> String {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        let mut text = String::new();
        if !self.headings_shown {
            self.push_line(&mut text, &self.headings);
            self.headings_shown = true;
        }
        rows.iter().for_each(|row| self.push_line(&mut text, row));
        text
    }

    fn push_line(&self, text: &mut String, cells: &[Cell]) {
        let last = cells.len().saturating_sub(1);
        for (place, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            cell.push_to(text, self.colour);
            if place < last {
                let padding = width.saturating_sub(cell.width()).saturating_add(2);
                text.extend(std::iter::repeat_n(' ', padding));
            }
        }
        text.push('\n');
    }
}

/// One value a line behind its name.
pub(crate) fn fields(fields: &[(&str, Cell)], colour: bool) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, cell) in fields {
        text.push_str(&format!("{name:width$}  "));
        cell.push_to(&mut text, colour);
        text.push('\n');
    }
    text
}

/// Allowed or denied.
pub(crate) fn verdict(record: &Record) -> Cell {
    if record.allowed { Cell::plain("allowed") } else { Cell::coloured("denied", Colour::Bad) }
}

/// What was asked about, such as `apps/v1 Deployment team-a/web`.
pub(crate) fn object(record: &Record) -> String {
    let name = if record.name.is_empty() { "(no name yet)" } else { &record.name };
    let place = if record.namespace.is_empty() { String::new() } else { format!("{}/", record.namespace) };
    format!("{} {} {place}{name}", record.kind.api_version(), record.kind.kind)
}

/// A time in UTC, as RFC 3339 has it, to the millisecond.
pub(crate) fn instant(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros).saturating_mul(1_000))
        .ok()
        .and_then(|time| time.format(INSTANT).ok())
        .unwrap_or_else(|| format!("{micros} µs"))
}

/// Text that cannot break a line or steer a terminal: control and direction characters are escaped.
pub(crate) fn one_line(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Says something beside the result, on standard error.
pub(crate) fn note(text: &str) {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "note: {}", one_line(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_aligned_between_batches_and_colour_takes_no_room() {
        let mut table = Table::new(&["A", "B"], true);
        let red = Cell { text: "no".into(), colour: Some("\u{1b}[31m") };
        let first = table.render(&[vec![Cell::plain("long one"), Cell::plain("x")]]);
        assert_eq!(first, "A         B\nlong one  x\n");
        assert_eq!(table.render(&[vec![red, Cell::plain("")]]), "\u{1b}[31mno\u{1b}[0m        -\n");
    }

    #[test]
    fn times_are_utc_and_out_of_range_ones_are_shown_as_they_are() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(instant(i64::MAX), "9223372036854775807 µs");
    }
}
