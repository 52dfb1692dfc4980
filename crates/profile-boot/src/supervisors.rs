//! Whose supervisors work on the slots of a scandir.

use s6_svc::Scandir;

/// Whose s6-supervise processes are those of a scandir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisors {
    /// Those of whoever makes the slots, or nobody's yet.
    Ours,
    /// Root's, as in s6-overlay: what they make in a slot is root's, so a slot
    /// needs its supervise skeleton beforehand. Whoever can make slots there
    /// has root run what is in them.
    Roots,
}

impl Supervisors {
    /// Looks who scans a scandir.
    ///
    /// The scanner is known by its lock, which it holds for as long as it runs,
    /// and its user by `/proc`. Where the lock tells nothing, nobody scans who
    /// would let this process control a service anyway.
    #[must_use]
    pub fn of(scandir: &Scandir) -> Self {
        match scandir.scanner() {
            Ok(Some(scanner)) if scanner.uid() == Some(0) => Self::Roots,
            _ => Self::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scandir_that_nobody_scans_is_ours() {
        let scandir = tempfile::tempdir().unwrap();
        let scandir = Scandir::new(scandir.path()).unwrap();
        assert_eq!(Supervisors::of(&scandir), Supervisors::Ours);
    }
}
