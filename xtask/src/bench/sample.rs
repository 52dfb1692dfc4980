//! Samples of one work done in several ways.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::BenchError;

/// One way of doing the work, and how long it took each time.
#[derive(Debug, Serialize)]
pub(crate) struct Samples {
    /// What does the work.
    pub(crate) name: &'static str,
    /// In milliseconds, in the order in which they were taken.
    pub(crate) milliseconds: Vec<f64>,
}

impl Samples {
    /// The middle one; between the middle two where there is no middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }
}

/// A way of doing the work: what does it, and how long that took.
pub(crate) type Way<'a> = (
    &'static str,
    &'a mut dyn FnMut() -> Result<Duration, BenchError>,
);

/// Times each of the ways in turn, `samples` times over.
pub(crate) fn in_turns<const N: usize>(
    samples: usize,
    mut ways: [Way<'_>; N],
) -> Result<Vec<Samples>, BenchError> {
    let mut taken: Vec<Samples> = ways
        .iter()
        .map(|(name, _)| Samples {
            name,
            milliseconds: Vec::new(),
        })
        .collect();
    for _ in 0..samples {
        for ((_, way), samples) in ways.iter_mut().zip(&mut taken) {
            samples.milliseconds.push(way()?.as_secs_f64() * 1000.0);
        }
    }
    Ok(taken)
}

/// How long `work` takes.
pub(crate) fn time<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::odd(&[3.0, 1.0, 2.0], 2.0)]
    #[case::even(&[4.0, 1.0, 2.0, 3.0], 2.5)]
    fn the_median_is_in_the_middle(#[case] milliseconds: &[f64], #[case] median: f64) {
        let samples = Samples {
            name: "",
            milliseconds: milliseconds.to_vec(),
        };
        assert!((samples.median() - median).abs() < f64::EPSILON);
    }
}
