//! What is printed: a table on a terminal, fields with tabs between them in a pipe.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::Style;

/// Prints a line.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Prints rows. The header is for people only.
pub(crate) fn rows(header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    if io::stdout().is_terminal() {
        let mut out = anstream::stdout().lock();
        out.write_all(aligned(header, rows).as_bytes())
    } else {
        let mut out = io::stdout().lock();
        rows.iter()
            .try_for_each(|row| writeln!(out, "{}", row.join("\t")))
    }
}

fn aligned(header: &[&str], rows: &[Vec<String>]) -> String {
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
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let bold = Style::new().bold();
    let mut text = format!("{bold}{}{bold:#}\n", line(header.to_vec()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
        text.push('\n');
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
        let text = anstream::adapter::strip_str(&aligned(&["NAME", "STATE"], &rows)).to_string();
        assert_eq!(text, "NAME     STATE\na        up\ngateway  down\n");
    }
}
