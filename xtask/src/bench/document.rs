//! docs/benchmarks.md and its plot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::machine::Machine;
use super::report::{self, Format, Row};
use super::{BenchError, plot};

/// Writes `benchmarks.md` and `benchmarks.svg` into `folder`.
pub(crate) fn write(
    folder: &Path,
    rows: &[Row],
    machine: &Machine,
    samples: usize,
) -> Result<(), BenchError> {
    let files = [
        ("benchmarks.md", text(rows, machine, samples)),
        ("benchmarks.svg", plot::svg(rows)),
    ];
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|source| BenchError::Write { path, source })?;
    }
    Ok(())
}

fn text(rows: &[Row], machine: &impl std::fmt::Display, samples: usize) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
        Written by `cargo xtask bench --write docs`; not edited by hand.\n\n\
        Each work is done in several ways, in turns, so that whatever else the machine does falls \
        on all of them: up to {samples} times each way, fewer where it takes a second or more. \
        Compare the ratios; the figures are this machine's. A ratio is to the first way. What cannot be \
        installed here is left out, never estimated.\n\n\
        Machine: {machine}.\n\n\
        ![The medians as bars, on a logarithmic scale](benchmarks.svg)\n\n"
    );
    text.push_str(&report::table(rows, Format::Markdown));
    for (place, (work, note)) in report::notes(rows).enumerate() {
        let gap = if place == 0 { "\n" } else { "" };
        // A string takes all that is written to it.
        writeln!(text, "{gap}- {work}: {note}.").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Goal;
    use crate::bench::sample::Samples;

    #[test]
    fn the_document_says_where_and_how_it_was_measured() {
        let samples = |name, milliseconds: f64| Samples {
            name,
            milliseconds: vec![milliseconds],
        };
        let both = vec![samples("theirs", 60.0), samples("ours", 2.34)];
        let mut row = Row::new("true", both, Goal::Within(3.0));
        row.notes.push("it took 3 KiB".to_owned());
        insta::assert_snapshot!(text(&[row], &"two cores", 20));
    }
}
