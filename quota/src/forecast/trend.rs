//! The line through the points and how sure it is.

use super::{Interval, MOST, RECENT, Sample, seconds};

/// A moment in seconds against the last sample, so not above 0, and what was used then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) used: f64,
}

/// A line and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Units a second.
    pub(super) slope: Interval,
    /// Where the use is at the last sample.
    pub(super) level: f64,
    /// How far it may be above or below.
    pub(super) spread: f64,
}

/// One point a sample, or the medians of bins of equal time where there are more than [`MOST`]. Samples are sorted.
pub(super) fn thinned(samples: &[Sample], last: i64) -> Vec<Point> {
    let point = |sample: &Sample| Point { at: seconds(sample.at.saturating_sub(last)), used: sample.used };
    if samples.len() <= MOST {
        return samples.iter().map(point).collect();
    }
    let first = samples.first().map_or(last, |sample| sample.at);
    let bins = i128::try_from(MOST).unwrap_or(1);
    let span = i128::from(last).saturating_sub(first.into()).saturating_add(1);
    let bin = |sample: &Sample| {
        let since = i128::from(sample.at).saturating_sub(first.into());
        since.saturating_mul(bins).checked_div(span)
    };
    let together = samples.chunk_by(|a, b| bin(a) == bin(b));
    together
        .filter_map(|bin| {
            let points: Vec<Point> = bin.iter().map(point).collect();
            let at = median(points.iter().map(|point| point.at).collect())?;
            Some(Point { at, used: median(points.iter().map(|point| point.used).collect())? })
        })
        .collect()
}

/// The trend of points sorted by time; `None` where no two have different times or a number passes what floats hold.
pub(super) fn of(points: &[Point], confidence: f64) -> Option<Trend> {
    let mut slopes = slopes(points)?;
    slopes.sort_by(f64::total_cmp);
    let middle = median_of(&slopes)?;
    let rest: Vec<f64> = points.iter().map(|point| point.used - middle * point.at).collect();
    let at_zero = median(rest.clone())?;
    let z = normal_quantile(confidence);
    let deviations: Vec<f64> = rest.iter().map(|rest| rest - at_zero).collect();
    let inflation = inflation(&deviations);
    let slope = interval(&slopes, middle, points.len(), z, inflation)?;
    let recent = rest.get(rest.len().saturating_sub(RECENT)..)?.to_vec();
    let level = median(recent)?;
    let spread = median(deviations.iter().map(|deviation| deviation.abs()).collect())? * 1.4826 * z;
    let finite = [slope.low, slope.middle, slope.high, level, spread].into_iter().all(f64::is_finite);
    finite.then_some(Trend { slope, level, spread })
}

/// Between every two points of different times.
fn slopes(points: &[Point]) -> Option<Vec<f64>> {
    let mut slopes = Vec::new();
    for (place, a) in points.iter().enumerate() {
        for b in points.iter().skip(place.saturating_add(1)) {
            if b.at > a.at {
                slopes.push((b.used - a.used) / (b.at - a.at));
            }
        }
    }
    (!slopes.is_empty() && slopes.iter().all(|slope| slope.is_finite())).then_some(slopes)
}

/// The order statistics of sorted slopes at the ranks (N ± z·√var(S)) / 2, with var(S) = n(n−1)(2n+5)/18.
fn interval(slopes: &[f64], middle: f64, points: usize, z: f64, inflation: f64) -> Option<Interval> {
    let (n, pairs) = (float(points), float(slopes.len()));
    let reach = z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * inflation).sqrt();
    let low = slopes.get(rank((pairs - reach) / 2.0 - 1.0).min(slopes.len().saturating_sub(1)))?;
    let high = slopes.get(rank((pairs + reach) / 2.0).min(slopes.len().saturating_sub(1)))?;
    Some(Interval { low: low.min(middle), middle, high: high.max(middle) })
}

/// How many times larger the variance is because neighbours are alike; from 1 to 39.
fn inflation(deviations: &[f64]) -> f64 {
    // Where all lie on one line, what is left is what floats round off.
    let mut order: Vec<usize> = (0..deviations.len()).collect();
    let value = |place: &usize| deviations.get(*place).copied().unwrap_or(0.0);
    order.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let mut ranks = vec![0.0; deviations.len()];
    for (rank, place) in order.iter().enumerate() {
        if let Some(slot) = ranks.get_mut(*place) {
            *slot = float(rank);
        }
    }
    let mean = (float(ranks.len()) - 1.0) / 2.0;
    let all: f64 = ranks.iter().map(|rank| (rank - mean) * (rank - mean)).sum();
    let near: f64 = ranks.iter().zip(ranks.iter().skip(1)).map(|(a, b)| (a - mean) * (b - mean)).sum();
    let r = if all > 0.0 { (near / all).clamp(0.0, 0.95) } else { 0.0 };
    (1.0 + r) / (1.0 - r)
}

/// How many standard deviations about the mean have this share of a normal distribution, within 0.005 (Abramowitz and
/// Stegun 26.2.23).
fn normal_quantile(share: f64) -> f64 {
    let share = if share.is_finite() { share.clamp(0.5, 0.999) } else { 0.9 };
    let t = (-2.0 * ((1.0 - share) / 2.0).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    median_of(&values)
}

/// The middle of sorted values; of two middle ones what lies between.
fn median_of(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = sorted.get((sorted.len() / 2).checked_sub(1)?)?;
    Some(lower / 2.0 + upper / 2.0)
}

fn float(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of points and pairs are far below 2^53")]
    let count = count as f64;
    count
}

/// A place in a list: the nearest one, not below 0.
fn rank(place: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is below 0 is 0"
    )]
    let rank = place.round() as usize;
    rank
}
