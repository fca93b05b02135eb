#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test may fail"
)]

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_800_000_000;

/// A sample an hour up to now.
fn hourly(count: i64, bound: f64, used: impl Fn(i64) -> f64) -> Vec<Sample> {
    let start = NOW - (count - 1) * 3600;
    (0..count).map(|hour| Sample { at: start + hour * 3600, used: used(hour), bound }).collect()
}

fn filling(samples: &[Sample]) -> Filling {
    match forecast(samples, NOW, &Options::default()).outlook {
        Outlook::Filling(filling) => filling,
        other => panic!("{other:?}"),
    }
}

/// Numbers that look random and are the same in every run, from -1 to 1.
#[allow(clippy::cast_precision_loss)]
fn noise(seed: i64) -> f64 {
    let mut x = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn a_straight_line_is_full_when_it_meets_the_bound() {
    // 1 more an hour, 28 of 40 used now.
    let samples = hourly(25, 40.0, |hour| 4.0 + hour as f64);
    let at = Some(NOW + 12 * 3600);
    assert_eq!(filling(&samples), Filling { earliest: at, line: at, latest: at });
}

#[test]
fn many_samples_are_thinned_and_say_the_same() {
    let samples = hourly(5_000, 6_000.0, |hour| hour as f64);
    let exact = NOW + 1_001 * 3600;
    let found = filling(&samples);
    for at in [found.earliest, found.line, found.latest] {
        assert!((at.unwrap() - exact).abs() < 3600, "{found:?}");
    }
}

#[test]
fn no_change_and_a_falling_use_are_never_full() {
    for samples in [hourly(48, 40.0, |_| 7.0), hourly(48, 40.0, |hour| 30.0 - hour as f64 / 10.0)] {
        assert_eq!(forecast(&samples, NOW, &Options::default()).outlook, Outlook::NotFilling);
    }
}

#[test]
fn noise_without_a_trend_is_unclear() {
    let samples = hourly(100, 40.0, |hour| 20.0 + noise(hour));
    let found = forecast(&samples, NOW, &Options::default());
    assert!(matches!(found.outlook, Outlook::Unclear { .. }), "{found:?}");
    let trend = found.trend.unwrap();
    assert!(trend.low < 0.0 && trend.high > 0.0, "{trend:?}");
}

#[test]
fn a_tenth_of_wild_values_moves_the_line_little() {
    let samples = hourly(101, 400.0, |hour| if hour % 10 == 3 { 390.0 } else { hour as f64 });
    let (found, exact) = (filling(&samples).line.unwrap(), NOW + 300 * 3600);
    assert!((found - exact).abs() < 15 * 3600, "{} hours off", (found - exact) / 3600);
}

#[test]
fn after_a_step_the_forecast_starts_from_where_the_use_is_and_is_less_sure() {
    let smooth = hourly(96, 100.0, |hour| 10.0 + hour as f64 / 4.0 + noise(hour) / 10.0);
    let step = hourly(96, 100.0, |hour| {
        10.0 + hour as f64 / 4.0 + noise(hour) / 10.0 + if hour < 60 { 0.0 } else { 30.0 }
    });
    let [smooth, step] = [&smooth, &step].map(|samples| forecast(samples, NOW, &Options::default()));
    let width = |found: &Forecast| found.trend.unwrap().high - found.trend.unwrap().low;
    assert!(width(&step) > 5.0 * width(&smooth), "{} and {}", width(&step), width(&smooth));
    let Outlook::Filling(Filling { line: Some(line), .. }) = step.outlook else { panic!("{step:?}") };
    let from_here = (100.0 - 63.75) / step.trend.unwrap().middle * DAY as f64;
    assert!(((line - NOW) as f64 / from_here - 1.0).abs() < 0.02, "{line} is not {from_here} from now");
}

#[test]
fn a_gap_is_no_zero() {
    let mut samples = hourly(100, 200.0, |hour| hour as f64);
    samples.retain(|sample| !(NOW - 60 * 3600..NOW - 20 * 3600).contains(&sample.at));
    assert_eq!(filling(&samples).line, Some(NOW + 101 * 3600));
}

#[test]
fn samples_that_ended_some_time_ago_are_carried_on_to_now() {
    let samples = hourly(25, 40.0, |hour| 4.0 + hour as f64);
    let now = NOW + 6 * 3600;
    let found = forecast(&samples, now, &Options::default()).outlook;
    let at = Some(NOW + 12 * 3600);
    assert_eq!(found, Outlook::Filling(Filling { earliest: at, line: at, latest: at }));
    // By then it should have been full: so it is full now, as far as anyone knows.
    let found = forecast(&samples, NOW + DAY, &Options::default()).outlook;
    let at = Some(NOW + DAY);
    assert_eq!(found, Outlook::Filling(Filling { earliest: at, line: at, latest: at }));
}

#[test]
fn few_samples_or_a_short_time_are_not_enough() {
    let options = Options::default();
    let hours = hourly(60, 90.0, |hour| hour as f64).into_iter();
    let minutes: Vec<_> = hours.map(|s| Sample { at: NOW - (NOW - s.at) / 60, ..s }).collect();
    for samples in [vec![], hourly(1, 40.0, |_| 1.0), hourly(7, 40.0, |hour| hour as f64), minutes] {
        assert_eq!(forecast(&samples, NOW, &options).outlook, Outlook::NotEnough);
    }
    let twice = vec![Sample { at: NOW, used: 1.0, bound: 2.0 }; 50];
    assert_eq!(forecast(&twice, NOW, &options).outlook, Outlook::NotEnough);
}

#[test]
fn what_is_full_is_full_however_little_is_known() {
    for bound in [7.0, 5.0, 0.0] {
        let samples = [Sample { at: NOW, used: 7.0, bound }];
        assert_eq!(forecast(&samples, NOW, &Options::default()).outlook, Outlook::Full);
    }
}

#[test]
fn the_newest_bound_counts() {
    let mut samples = hourly(25, 30.0, |hour| hour as f64);
    samples.last_mut().unwrap().bound = 48.0;
    assert_eq!(filling(&samples).line, Some(NOW + DAY));
}

#[test]
fn what_is_no_number_or_in_the_future_is_left_out() {
    let mut samples = hourly(25, 40.0, |hour| hour as f64);
    samples.push(Sample { at: NOW, used: f64::NAN, bound: 40.0 });
    samples.push(Sample { at: NOW, used: 1.0, bound: f64::INFINITY });
    samples.push(Sample { at: NOW + 1, used: 40.0, bound: 40.0 });
    let found = forecast(&samples, NOW, &Options::default());
    assert_eq!((found.samples, found.span), (25, DAY));
    assert!(matches!(found.outlook, Outlook::Filling(_)));
}

#[test]
fn the_interval_has_the_true_slope_in_it_about_as_often_as_asked_for() {
    let inside = (0..200).filter(|run| {
        let samples = hourly(60, 1e6, |hour| hour as f64 + 20.0 * noise(run * 1_000 + hour));
        let trend = forecast(&samples, NOW, &Options::default()).trend.unwrap();
        (trend.low..=trend.high).contains(&24.0)
    });
    let inside = inside.count();
    assert!((170..=198).contains(&inside), "{inside} of 200");
}

#[test]
fn samples_that_are_like_those_before_are_seldom_taken_for_a_trend() {
    // Each keeps nine tenths of the one before: as many independent samples would be a twentieth of these.
    let taken = (0..100_i64).filter(|run| {
        let mut level = 0.0;
        let mut next = |hour| {
            level = 0.9 * level + noise(run * 10_000 + hour);
            level
        };
        let values: Vec<f64> = (0..336).map(&mut next).collect();
        let samples = hourly(336, 1e6, |hour| values[hour as usize]);
        let trend = forecast(&samples, NOW, &Options::default()).trend.unwrap();
        trend.low > 0.0 || trend.high < 0.0
    });
    let taken = taken.count();
    assert!(taken <= 20, "{taken} of 100");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_straight_line_is_predicted(
        start in 0.0..1e6_f64, slope in 1e-3..1e3_f64, ahead in 1_i64..1_000, count in 10_i64..200,
    ) {
        let bound = start + slope * (count - 1 + ahead) as f64;
        let samples = hourly(count, bound, |hour| start + slope * hour as f64);
        let line = filling(&samples).line.unwrap();
        // What floats round off of a large start counts for little.
        let off = (line - (NOW + ahead * 3600)).abs();
        prop_assert!(off <= 60 + ahead * 36, "{off} seconds off");
    }

    #[test]
    fn the_interval_has_the_line_in_it(values in prop::collection::vec(0.0..100.0_f64, 8..60)) {
        let samples = hourly(values.len() as i64, 120.0, |hour| values[hour as usize] + hour as f64 / 10.0);
        let found = forecast(&samples, NOW, &Options::default());
        if let Some(trend) = found.trend {
            prop_assert!(trend.low <= trend.middle && trend.middle <= trend.high);
        }
        if let Outlook::Filling(Filling { earliest, line, latest }) = found.outlook {
            let [earliest, line, latest] = [earliest, line, latest].map(|at| at.unwrap_or(i64::MAX));
            prop_assert!(NOW <= earliest && earliest <= line && line <= latest);
        }
    }

    #[test]
    fn more_noise_widens_the_interval(size in 0.5..5.0_f64, seed in 0_i64..1_000_000) {
        let width = |size: f64| {
            let samples = hourly(80, 1e6, |hour| hour as f64 + size * noise(seed + hour));
            let trend = forecast(&samples, NOW, &Options::default()).trend.unwrap();
            trend.high - trend.low
        };
        prop_assert!(width(size * 2.0) > width(size) && width(size) > width(0.0));
    }

    #[test]
    fn no_order_of_samples_changes_the_answer(mut places in Just((0..40).collect::<Vec<i64>>()).prop_shuffle()) {
        let samples = hourly(40, 90.0, |hour| hour as f64 + noise(hour));
        let sorted = forecast(&samples, NOW, &Options::default());
        let shuffled: Vec<_> = places.drain(..).map(|place| samples[place as usize]).collect();
        prop_assert_eq!(forecast(&shuffled, NOW, &Options::default()), sorted);
    }

    #[test]
    fn nothing_panics_and_every_answer_is_a_number(
        samples in prop::collection::vec((any::<i64>(), any::<f64>(), any::<f64>()), 0..600),
        near in prop::collection::vec((0_i64..10_000, -1e9..1e9_f64), 0..50),
        now in any::<i64>(), confidence in any::<f64>(), least_samples in any::<usize>(), least_span in any::<i64>(),
    ) {
        let wild = samples.into_iter().map(|(at, used, bound)| Sample { at, used, bound });
        let near = near.into_iter().map(|(at, used)| Sample { at, used, bound: 1e9 });
        for samples in [wild.collect::<Vec<_>>(), near.collect()] {
            for options in [Options { confidence, least_samples, least_span }, Options::default()] {
                let found = forecast(&samples, now, &options);
                prop_assert!(found.used.is_finite() && found.bound.is_finite());
                if let Some(trend) = found.trend {
                    prop_assert!([trend.low, trend.middle, trend.high].into_iter().all(f64::is_finite));
                }
            }
        }
    }
}
