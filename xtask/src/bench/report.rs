//! Rows as a table, as Markdown, and as JSON.

use serde::Serialize;

use super::BenchError;
use super::sample::Samples;

/// How the rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
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
}

/// What was aimed at.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// This many milliseconds more than the first way, at most.
    AtMostMore(f64),
    /// This many milliseconds, at most.
    AtMost(f64),
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtMostMore(milliseconds) => format!("+ {milliseconds:.0} ms"),
            Self::AtMost(milliseconds) => format!("{milliseconds:.0} ms"),
        }
    }

    fn is_met(self, baseline: f64, median: f64) -> bool {
        match self {
            Self::AtMostMore(milliseconds) => median <= baseline + milliseconds,
            Self::AtMost(milliseconds) => median <= milliseconds,
        }
    }
}

/// A line of the table: one way of doing one work.
struct Line {
    cells: [String; 5],
}

const HEAD: [&str; 5] = ["work", "by", "median ms", "ratio", "goal"];

fn lines(row: &Row) -> Vec<Line> {
    let baseline = row.samples.first().map_or(f64::NAN, Samples::median);
    let last = row.samples.len().saturating_sub(1);
    let line = |(place, samples): (usize, &Samples)| {
        let median = samples.median();
        let goal = if place == last {
            let met = if row.goal.is_met(baseline, median) {
                "met"
            } else {
                "missed"
            };
            format!("{}: {met}, {:+.0}", row.goal.text(), median - baseline)
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
                format!("{median:.1}"),
                format!("{:.2}", median / baseline),
                goal,
            ],
        }
    };
    row.samples.iter().enumerate().map(line).collect()
}

fn table(rows: &[Row], format: Format) -> String {
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

/// Prints the rows on standard output.
pub(crate) fn print(rows: &[Row], format: Format) -> Result<(), BenchError> {
    match format {
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(rows)?),
        Format::Table | Format::Markdown => anstream::print!("{}", table(rows, format)),
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
        [Row {
            work: "docker run",
            samples: vec![samples("plain", &[200.0]), samples("talaria", &[230.0])],
            goal: Goal::AtMostMore(60.0),
        }]
    }

    #[test]
    fn a_table_compares_the_last_with_the_first() {
        insta::assert_snapshot!(table(&rows(), Format::Table), @r"
        work        by       median ms  ratio  goal
        docker run  plain        200.0   1.00
                    talaria      230.0   1.15  + 60 ms: met, +30
        ");
    }

    #[test]
    fn markdown_has_a_rule_below_its_head() {
        insta::assert_snapshot!(table(&rows(), Format::Markdown), @r"
        | work       | by      | median ms | ratio | goal              |
        | --- | --- | ---: | ---: | --- |
        | docker run | plain   |     200.0 |  1.00 |                   |
        |            | talaria |     230.0 |  1.15 | + 60 ms: met, +30 |
        ");
    }
}
