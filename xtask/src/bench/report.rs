//! Rows as a table, as Markdown, and as JSON.

use serde::Serialize;

use super::BenchError;
use super::sample::Samples;

/// How the rows are printed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    #[default]
    Table,
    /// For a document
    Markdown,
    /// For a program
    Json,
}

/// One work, done in several ways. What the last is measured against is the first.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What is done.
    pub(crate) work: &'static str,
    /// How long it took each way.
    pub(crate) samples: Vec<Samples>,
    /// What was aimed at.
    pub(crate) goal: Goal,
    /// What else was seen, such as how much memory it took.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

impl Row {
    /// Some ways of doing a work, of which the last is ours.
    pub(crate) fn new(work: &'static str, samples: Vec<Samples>, goal: Goal) -> Self {
        Self {
            work,
            samples,
            goal,
            notes: Vec::new(),
        }
    }

    /// What the others are measured against: the first way's median, in milliseconds.
    pub(crate) fn baseline(&self) -> f64 {
        self.samples.first().map_or(f64::NAN, Samples::median)
    }
}

/// What was aimed at.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// This many milliseconds more than the first way, at most.
    Over(f64),
    /// This many milliseconds, at most.
    Within(f64),
    /// This many times the first way, at most.
    Times(f64),
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::Over(milliseconds) => format!("+ {milliseconds} ms"),
            Self::Within(milliseconds) => format!("{milliseconds} ms"),
            Self::Times(times) => format!("× {}", (times * 100.0).round() / 100.0),
        }
    }

    /// The most that meets it, in milliseconds.
    pub(crate) fn limit(self, baseline: f64) -> f64 {
        match self {
            Self::Over(milliseconds) => baseline + milliseconds,
            Self::Within(milliseconds) => milliseconds,
            Self::Times(times) => baseline * times,
        }
    }
}

/// A line of the table: one way of doing one work.
struct Line {
    cells: [String; 5],
}

/// Three figures that matter, or all that are before the point.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.2}"),
        1.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

const HEAD: [&str; 5] = ["work", "by", "median ms", "ratio", "goal"];

fn lines(row: &Row) -> Vec<Line> {
    let baseline = row.baseline();
    let last = row.samples.len().saturating_sub(1);
    let line = |(place, samples): (usize, &Samples)| {
        let median = samples.median();
        let goal = if place == last {
            let met = if median <= row.goal.limit(baseline) {
                "met"
            } else {
                "missed"
            };
            format!("{}: {met}", row.goal.text())
        } else {
            String::new()
        };
        let work = if place == 0 {
            row.work.to_owned()
        } else {
            String::new()
        };
        Line {
            cells: [
                work,
                samples.name.to_owned(),
                milliseconds(median),
                format!("{:.2}", median / baseline),
                goal,
            ],
        }
    };
    row.samples.iter().enumerate().map(line).collect()
}

pub(crate) fn table(rows: &[Row], format: Format) -> String {
    let lines: Vec<[String; 5]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows.iter().flat_map(lines).map(|line| line.cells))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let (edge, gap) = match format {
        Format::Markdown => ("|", " | "),
        Format::Table | Format::Json => ("", "  "),
    };
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                2 | 3 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        let joined = cells.join(gap);
        let joined = if edge.is_empty() {
            joined
        } else {
            format!("{edge} {joined} {edge}")
        };
        text.push_str(joined.trim_end());
        text.push('\n');
        if place == 0 && format == Format::Markdown {
            text.push_str("| --- | --- | ---: | ---: | --- |\n");
        }
    }
    text
}

/// What else was seen, with the work at which it was.
pub(crate) fn notes(rows: &[Row]) -> impl Iterator<Item = (&'static str, &str)> {
    rows.iter()
        .flat_map(|row| row.notes.iter().map(|note| (row.work, note.as_str())))
}

/// Prints the rows on standard output.
pub(crate) fn print(rows: &[Row], format: Format) -> Result<(), BenchError> {
    match format {
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(rows)?),
        Format::Table | Format::Markdown => {
            anstream::print!("{}", table(rows, format));
            for (row, note) in notes(rows) {
                anstream::println!("{row}: {note}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Row; 1] {
        let samples = |name, milliseconds: &[f64]| Samples {
            name,
            milliseconds: milliseconds.into(),
        };
        let samples = vec![samples("plain", &[200.0]), samples("talaria", &[230.04])];
        [Row::new("docker run", samples, Goal::Over(60.0))]
    }

    #[test]
    fn a_table_compares_the_last_with_the_first() {
        insta::assert_snapshot!(table(&rows(), Format::Table), @r"
        work        by       median ms  ratio  goal
        docker run  plain          200   1.00
                    talaria        230   1.15  + 60 ms: met
        ");
    }

    #[test]
    fn markdown_has_a_rule_below_its_head() {
        insta::assert_snapshot!(table(&rows(), Format::Markdown), @r"
        | work       | by      | median ms | ratio | goal         |
        | --- | --- | ---: | ---: | --- |
        | docker run | plain   |       200 |  1.00 |              |
        |            | talaria |       230 |  1.15 | + 60 ms: met |
        ");
    }
}
