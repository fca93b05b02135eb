//! How often each size was seen, the older the less.

use std::collections::BTreeMap;

/// Beyond this power of two weights are brought back to the newest sample, so that none passes what floats hold.
const MOST_HALVINGS: f64 = 100.0;
/// What weighs less than this against a new sample is forgotten, after 53 half-lives.
const LEAST_WEIGHT: f64 = 1e-16;

/// Which sizes are told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The end of the first bucket.
    pub first: f64,
    /// How much wider each bucket is than the one before, above 1: so also how exact a percentile is.
    pub ratio: f64,
    /// The largest size that can be meant; more is no sample.
    pub most: f64,
}

impl Scale {
    /// From 10 millicores to a thousand cores, within 5 %.
    pub const CPU: Self = Self { first: 0.01, ratio: 1.05, most: 1_000.0 };
    /// From 10 megabytes to a terabyte, within 5 %.
    pub const MEMORY: Self = Self { first: 1e7, ratio: 1.05, most: 1e12 };

    /// The bucket of a size.
    fn bucket(&self, size: f64) -> u16 {
        let place = (size * (self.ratio - 1.0) / self.first + 1.0).ln() / self.ratio.ln();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and a size is not below 0"
        )]
        let bucket = place.floor() as u16;
        bucket
    }

    /// Where a bucket ends.
    fn end(&self, bucket: u16) -> f64 {
        let power = self.ratio.powi(i32::from(bucket).saturating_add(1));
        self.first * (power - 1.0) / (self.ratio - 1.0)
    }
}

/// A histogram with buckets that grow by a ratio, whose weights halve after a time.
///
/// A sample weighs 2^((its time − a reference) / half-life), as in the histograms of Kubernetes' Vertical Pod
/// Autoscaler: what is there need never be touched for the rest to grow old. Adding costs a logarithm and a look-up;
/// there are never more buckets than the scale has, about 170 for cpu.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    scale: Scale,
    /// In seconds.
    half_life: f64,
    /// The time at which a sample weighs 1, in seconds since 1970.
    reference: Option<i64>,
    weights: BTreeMap<u16, f64>,
}

impl Histogram {
    /// An empty one; a half-life below a second is one second.
    pub fn new(scale: Scale, half_life: i64) -> Self {
        let half_life = seconds(half_life.max(1));
        Self { scale, half_life, reference: None, weights: BTreeMap::new() }
    }

    /// Adds a sample; `false` where it is no size: negative, no number, or more than the scale has.
    pub fn add(&mut self, at: i64, size: f64) -> bool {
        if !self.takes(size) {
            return false;
        }
        let weight = self.weight_at(at);
        let slot = self.weights.entry(self.scale.bucket(size)).or_default();
        *slot += weight;
        true
    }

    /// Whether it is a size.
    pub fn takes(&self, size: f64) -> bool {
        (0.0..=self.scale.most).contains(&size)
    }

    /// Adds all of another of the same scale and half-life; `false`, and nothing is added, where it is of another.
    pub fn merge(&mut self, other: &Self) -> bool {
        #[expect(clippy::float_cmp, reason = "set once and never computed with")]
        let alike = self.scale == other.scale && self.half_life == other.half_life;
        let (true, Some(reference)) = (alike, other.reference) else { return alike };
        let weight = self.weight_at(reference);
        for (bucket, theirs) in &other.weights {
            let slot = self.weights.entry(*bucket).or_default();
            *slot = (*slot + theirs * weight).min(f64::MAX);
        }
        true
    }

    /// The size that this share of the weight does not pass, within the ratio of the scale and never too small;
    /// `None` where there is none. The share is held to 0 to 1.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let total: f64 = self.weights.values().sum();
        let wanted = share.clamp(0.0, 1.0) * total;
        let mut sum = 0.0;
        for (bucket, weight) in &self.weights {
            sum += weight;
            if sum >= wanted {
                return Some(self.scale.end(*bucket));
            }
        }
        self.weights.last_key_value().map(|(bucket, _)| self.scale.end(*bucket))
    }

    /// What a sample of this time weighs; the reference moves where that would be too much.
    fn weight_at(&mut self, at: i64) -> f64 {
        let reference = *self.reference.get_or_insert(at);
        let halvings = self.halvings(at, reference);
        if halvings <= MOST_HALVINGS {
            return halvings.exp2();
        }
        let lighter = (-halvings).exp2();
        self.weights.values_mut().for_each(|weight| *weight *= lighter);
        self.weights.retain(|_, weight| *weight > LEAST_WEIGHT);
        self.reference = Some(at);
        1.0
    }

    fn halvings(&self, at: i64, reference: i64) -> f64 {
        seconds(at.saturating_sub(reference)) / self.half_life
    }
}

fn seconds(count: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a percentile is no account")]
    let count = count as f64;
    count
}
