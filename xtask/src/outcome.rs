//! What a run of `cargo test` says of its tests, read from the lines that libtest prints.

use std::collections::BTreeSet;

/// The tests that a run told of, by name: names are not told apart between packages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// Programs of tests that have begun and not said how they ended: they were killed.
    unfinished: usize,
}

impl Outcome {
    /// Takes in one line of the output.
    pub(crate) fn read(&mut self, line: &str) {
        if line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
            self.unfinished += 1;
        } else if line.starts_with("test result: ") {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        let Some((name, ended)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        let name = name.trim_end_matches(" - should panic").to_owned();
        match ended {
            "ok" => self.passed.insert(name),
            "FAILED" => self.failed.insert(name),
            _ => false,
        };
    }

    pub(crate) fn failed(&self) -> impl ExactSizeIterator<Item = &str> {
        self.failed.iter().map(String::as_str)
    }

    /// Whether every program of tests has told how it ended: one that was killed has not.
    pub(crate) fn is_whole(&self) -> bool {
        self.unfinished == 0
    }

    /// Whether all that failed before has passed here, and nothing has failed.
    pub(crate) fn clears(&self, before: &Self) -> bool {
        self.is_whole() && self.failed.is_empty() && before.failed.is_subset(&self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &str) -> Outcome {
        let mut outcome = Outcome::default();
        lines.lines().for_each(|line| outcome.read(line));
        outcome
    }

    #[test]
    fn tests_are_told_by_their_names() {
        let found = outcome(
            "running 5 tests\n\
             test a::one ... ok\n\
             test a::two ... FAILED\n\
             test a::three ... ignored, a child of others\n\
             test a::four - should panic ... FAILED\n\
             test src/lib.rs - Item (line 12) ... ok\n\
             test result: FAILED. 2 passed; 2 failed; 1 ignored\n",
        );
        assert_eq!(found.failed().collect::<Vec<_>>(), ["a::four", "a::two"]);
        assert_eq!(found.passed.len(), 2);
        assert!(found.is_whole());
    }

    #[test]
    fn a_program_that_was_killed_has_not_told_of_its_tests() {
        let found = outcome("running 1 test\ntest one ... FAILED\ntest result: FAILED. 0 passed");
        assert!(found.is_whole());
        assert!(!outcome("running 2 tests\ntest one ... FAILED").is_whole());
    }

    #[test]
    fn only_a_run_in_which_each_passed_clears_those_that_failed() {
        let before = outcome("test one ... FAILED\ntest two ... FAILED\ntest three ... ok");
        assert!(outcome("test one ... ok\ntest two ... ok").clears(&before));
        assert!(!outcome("test one ... ok").clears(&before));
        assert!(!outcome("").clears(&before));
        assert!(!outcome("test one ... ok\ntest two ... FAILED").clears(&before));
        // The same name in two packages: one of them failed again.
        assert!(!outcome("test one ... ok\ntest two ... ok\ntest two ... FAILED").clears(&before));
    }
}
