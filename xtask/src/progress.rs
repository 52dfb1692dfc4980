//! What is going on, while it goes on: a moving line on a terminal, plain lines elsewhere.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One piece of work that a person waits for.
#[derive(Debug)]
pub(crate) struct Step {
    label: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Announces the work.
    pub(crate) fn begin(label: impl Into<String>) -> Self {
        let label = label.into();
        let bar = stderr().is_terminal().then(|| spinner(&label));
        if bar.is_none() {
            anstream::eprintln!("{label} ...");
        }
        Self {
            label,
            started: Instant::now(),
            bar,
        }
    }

    /// One line of detail; on a terminal it replaces the one before.
    pub(crate) fn note(&self, detail: impl Display) {
        let detail = detail.to_string();
        let detail = detail.trim();
        if detail.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(printable(detail)),
            None => anstream::eprintln!("  {detail}"),
        }
    }

    /// Position `at` of `of`, shown as a bar on a terminal; elsewhere the detail alone.
    pub(crate) fn position(&self, at: u64, of: u64, detail: impl Display) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(of) {
                bar.set_length(of);
                bar.set_style(style(
                    "{spinner} {prefix} [{bar:20}] {pos}/{len} {elapsed} {wide_msg}",
                ));
            }
            bar.set_position(at);
        }
        self.note(detail);
    }

    /// The work is done: one line stays, with how long it took.
    pub(crate) fn done(self, outcome: impl Display) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        anstream::eprintln!("{}: {outcome} ({seconds:.1} s)", self.label);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner(label: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} {prefix} {elapsed} {wide_msg}"));
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A line of some other program, without what would move the cursor.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
