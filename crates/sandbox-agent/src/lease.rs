//! How long the sandbox lives without anybody who uses it.

use std::time::Duration;

/// A lease that is renewed by use. Times are since boot, so no setting of a clock moves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    length: Duration,
    used: Duration,
}

impl Lease {
    /// A lease of `secs` seconds from `now` on; 0 is one that never lapses.
    pub(crate) fn new(secs: u32, now: Duration) -> Self {
        Self {
            length: Duration::from_secs(secs.into()),
            used: now,
        }
    }

    pub(crate) fn renew(&mut self, now: Duration) {
        self.used = now;
    }

    /// Leaves whoever has just come a moment to say what for.
    pub(crate) fn spare(&mut self, now: Duration) {
        const MOMENT: Duration = Duration::from_secs(2);
        let least = (now + MOMENT.min(self.length)).saturating_sub(self.length);
        self.used = self.used.max(least);
    }

    pub(crate) fn secs(&self) -> u32 {
        u32::try_from(self.length.as_secs()).unwrap_or(u32::MAX)
    }

    /// What is left; nothing where it never lapses.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        (!self.length.is_zero()).then(|| (self.used + self.length).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_renews_it_and_none_never_lapses() {
        let second = Duration::from_secs(1);
        let mut lease = Lease::new(10, second);
        assert_eq!(lease.left(second * 4), Some(second * 7));
        assert_eq!(lease.left(second * 40), Some(Duration::ZERO));
        lease.renew(second * 40);
        assert_eq!(lease.left(second * 40), Some(second * 10));
        assert_eq!(Lease::new(0, second).left(second * 40), None);
    }

    #[test]
    fn whoever_comes_is_spared_a_moment_and_no_more() {
        let second = Duration::from_secs(1);
        let mut lease = Lease::new(10, second);
        lease.spare(second * 4);
        assert_eq!(lease.left(second * 4), Some(second * 7));
        lease.spare(second * 10);
        assert_eq!(lease.left(second * 10), Some(second * 2));
        let mut short = Lease::new(1, second);
        short.spare(second * 2);
        assert_eq!(short.left(second * 2), Some(second));
    }
}
