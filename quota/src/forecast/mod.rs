//! When a budget will be full, from what was used of it so far.
//!
//! **Method.** The trend is the median of the slopes between all pairs of points (Theil 1950, Sen 1968): up to 29 % of
//! the points may lie anywhere without moving it far. Its interval comes from the order statistics of those slopes
//! that Kendall's S allows at the confidence asked for (Sen 1968; Hollander and Wolfe, *Nonparametric Statistical
//! Methods*, 9.3). Use at one time is like use a moment before, so neighbouring deviations are no independent facts:
//! the variance of S is multiplied by (1 + r) / (1 − r), where r is the correlation of the deviations' ranks with
//! those of their neighbours (after Yue and Wang 2004). A step in the use raises r, and so widens the interval.
//!
//! **Where the line begins.** At the median of the last five points, moved along the trend: after a step the forecast
//! starts from where the use is, not from where it was on average. The interval starts above and below it by as much
//! as the deviations spread (1.4826 times their median size, times the normal quantile of the confidence).
//!
//! **Bounds.** More than [`MOST`] points are thinned into bins of equal time, each with its medians; a bin without
//! samples is left out, so gaps are no zeros. Time is O(MOST² log MOST), memory O(MOST²), whatever the input. What
//! lies more than [`HORIZON`] ahead is not told.
//!
//! **How sure.** Of independent deviations, and of those that keep nine tenths of the one before, a trend that is none is
//! taken for one about as often as the confidence allows. Where all of it is kept, which is a random walk, it is in about
//! half of the cases: then the interval is too narrow.
//!
//! It does not know the hours of a day or the days of a week: give it at least two of the longest cycle.

mod trend;

#[cfg(test)]
mod tests;

use trend::thinned;

/// The most points that slopes are taken between: 28,680 pairs.
pub const MOST: usize = 240;
/// How far ahead is told, in seconds: ten years of 365 days.
pub const HORIZON: i64 = 315_360_000;
/// How many of the last points say where the use is now.
const RECENT: usize = 5;

/// How a limit stood at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was used, in units of the resource.
    pub used: f64,
    /// The most that may be used, in the same units.
    pub bound: f64,
}

/// How much is asked of a forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How often the interval should have the truth in it; held to 0.5 to 0.999.
    pub confidence: f64,
    /// The fewest points to judge from; never fewer than 4.
    pub least_samples: usize,
    /// The shortest time they must span, in seconds.
    pub least_span: i64,
}

impl Default for Options {
    /// Nine in ten, from at least 8 points over at least 6 hours.
    fn default() -> Self {
        Self { confidence: 0.9, least_samples: 8, least_span: 6 * 3600 }
    }
}

/// What is to be expected of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// There is too little to judge from.
    NotEnough,
    /// All of it is used.
    Full,
    /// The use grows, with the confidence asked for.
    Filling(Filling),
    /// The use may grow, shrink or stay; were it to grow as fast as the interval allows, it would be full then.
    Unclear {
        /// The soonest, in seconds since 1970; `None` beyond the horizon.
        earliest: Option<i64>,
    },
    /// The use shrinks or stays: by this trend it is never full.
    NotFilling,
}

/// When a limit is full by its trend, in seconds since 1970; `None` is beyond the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling {
    /// By the upper end of the interval.
    pub earliest: Option<i64>,
    /// By the trend itself.
    pub line: Option<i64>,
    /// By the lower end.
    pub latest: Option<i64>,
}

/// A forecast, and what it is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// What is to be expected.
    pub outlook: Outlook,
    /// Samples that could be read; those with a number that is none, and those after now, are left out.
    pub samples: usize,
    /// The time between the first and the last, in seconds.
    pub span: i64,
    /// What the last sample used, in units; 0 without samples.
    pub used: f64,
    /// The newest bound, in units; 0 without samples.
    pub bound: f64,
    /// Units a day with the ends of its interval, where there is enough to judge from.
    pub trend: Option<Interval>,
}

/// A value between two others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The value.
    pub middle: f64,
    /// The upper end.
    pub high: f64,
}

/// What is to be expected of one limit, from its samples in any order.
///
/// It never fails: what cannot be judged is [`Outlook::NotEnough`].
pub fn forecast(samples: &[Sample], now: i64, options: &Options) -> Forecast {
    let usable = |sample: &&Sample| sample.used.is_finite() && sample.bound.is_finite() && sample.at <= now;
    let mut usable: Vec<Sample> = samples.iter().filter(usable).copied().collect();
    usable.sort_by_key(|sample| sample.at);
    let (Some(first), Some(last)) = (usable.first().copied(), usable.last().copied()) else {
        let outlook = Outlook::NotEnough;
        return Forecast { outlook, samples: 0, span: 0, used: 0.0, bound: 0.0, trend: None };
    };
    let span = last.at.saturating_sub(first.at);
    let points = thinned(&usable, last.at);
    let mut forecast = Forecast {
        outlook: Outlook::NotEnough,
        samples: usable.len(),
        span,
        used: last.used,
        bound: last.bound,
        trend: None,
    };
    if points.len() >= options.least_samples.max(4)
        && span >= options.least_span.max(1)
        && let Some(trend) = trend::of(&points, options.confidence)
    {
        forecast.trend = per_day(trend.slope);
        let gap = last.at.saturating_sub(now);
        forecast.outlook = look(&trend, last.bound, seconds(gap), now);
    }
    if last.used >= last.bound {
        forecast.outlook = Outlook::Full;
    }
    forecast
}

/// Where the trend meets the bound; `gap` is the time of the last sample against now, not above 0.
fn look(trend: &trend::Trend, bound: f64, gap: f64, now: i64) -> Outlook {
    let meets = |slope: f64, level: f64| {
        let room = (bound - level).max(0.0);
        // Slower than this is beyond every horizon; it keeps the division from what is no number.
        if slope <= room / (2.0 * seconds(HORIZON)) || slope <= 0.0 {
            return None;
        }
        let ahead = (room / slope + gap).max(0.0);
        (ahead <= seconds(HORIZON)).then(|| now.saturating_add(whole(ahead)))
    };
    let Interval { low, middle, high } = trend.slope;
    let earliest = meets(high, trend.level + trend.spread);
    if low > 0.0 {
        let (line, latest) = (meets(middle, trend.level), meets(low, trend.level - trend.spread));
        Outlook::Filling(Filling { earliest, line, latest })
    } else if high > 0.0 {
        Outlook::Unclear { earliest }
    } else {
        Outlook::NotFilling
    }
}

fn per_day(slope: Interval) -> Option<Interval> {
    const DAY: f64 = 86_400.0;
    let day = Interval { low: slope.low * DAY, middle: slope.middle * DAY, high: slope.high * DAY };
    [day.low, day.middle, day.high].into_iter().all(f64::is_finite).then_some(day)
}

fn seconds(count: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a forecast is no account")]
    let count = count as f64;
    count
}

/// Seconds up to the horizon, rounded.
fn whole(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "held to the horizon, and saturating")]
    let whole = seconds.round() as i64;
    whole
}
