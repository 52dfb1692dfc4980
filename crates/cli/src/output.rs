//! What is printed: a table on a terminal, fields with tabs between them in a pipe.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::Style;

/// Prints a line.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Prints rows. The header is for people only.
pub(crate) fn rows(header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    styled_rows(header, rows, |_| Style::new())
}

/// Prints rows, each cell for people in the style that its text has.
pub(crate) fn styled_rows(
    header: &[&str],
    rows: &[Vec<String>],
    style: impl Fn(&str) -> Style,
) -> io::Result<()> {
    if io::stdout().is_terminal() {
        let mut out = anstream::stdout().lock();
        out.write_all(aligned(header, rows, style).as_bytes())
    } else {
        // The standard output writes every line by itself, and there may be thousands.
        let mut out = BufWriter::new(io::stdout().lock());
        for row in rows {
            writeln!(out, "{}", row.join("\t"))?;
        }
        out.flush()
    }
}

fn aligned(header: &[&str], rows: &[Vec<String>], style: impl Fn(&str) -> Style) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(header.get(column).map(|title| title.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let bold = Style::new().bold();
    let line = |cells: Vec<&str>, style: &dyn Fn(&str) -> Style| {
        let last = cells.len().saturating_sub(1);
        let styled = cells.iter().zip(&widths).enumerate();
        let cells = styled.map(|(column, (cell, width))| {
            let style = style(cell);
            // What follows the last cell is nobody's.
            let width = width - cell.chars().count();
            let padding = if column == last { 0 } else { width };
            format!("{style}{cell}{style:#}{:padding$}", "")
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    let mut text = line(header.to_vec(), &|_| bold);
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect(), &style));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["a".to_owned(), "up".to_owned()],
            vec!["gateway".to_owned(), "down".to_owned()],
        ];
        let text =
            anstream::adapter::strip_str(&aligned(&["NAME", "STATE"], &rows, |_| Style::new()))
                .to_string();
        assert_eq!(text, "NAME     STATE\na        up\ngateway  down\n");
    }
}
