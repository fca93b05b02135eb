#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a test may fail"
)]

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_800_057_600;
const GIB: f64 = 1024.0 * MIB;

fn cpu(at: i64, cpu: f64) -> Sample {
    Sample { at, cpu: Some(cpu), memory: None }
}

fn memory(at: i64, memory: f64) -> Sample {
    Sample { at, cpu: None, memory: Some(memory) }
}

fn used(samples: impl IntoIterator<Item = Sample>) -> Usage {
    let mut usage = Usage::new(Options::default());
    samples.into_iter().for_each(|sample| usage.add(sample, NOW));
    usage
}

fn near(found: f64, wanted: f64, share: f64) -> bool {
    (found / wanted - 1.0).abs() <= share
}

/// A sample a minute of the last day.
fn minutes(sample: impl Fn(i64) -> Sample) -> impl Iterator<Item = Sample> {
    (0..1440).map(move |minute| {
        let made = sample(minute);
        Sample { at: NOW - DAY + minute * 60, ..made }
    })
}

#[test]
fn a_percentile_of_a_known_distribution_is_found_within_the_width_of_a_bucket() {
    let mut histogram = Histogram::new(Scale::CPU, DAY);
    for size in 1..=1000 {
        histogram.add(NOW, f64::from(size) / 100.0);
    }
    for (share, size) in [(0.5, 5.0), (0.9, 9.0), (0.95, 9.5), (1.0, 10.0)] {
        let found = histogram.percentile(share).unwrap();
        assert!(found >= size && near(found, size, 0.06), "{share}: {found}");
    }
    assert!(histogram.percentile(0.0).unwrap() <= 0.021);
    assert_eq!(Histogram::new(Scale::CPU, DAY).percentile(0.5), None);
}

#[test]
fn cpu_is_the_90th_percentile_and_a_margin() {
    // 1 core in four minutes of five, 4 cores in the fifth: the 90th of a hundred is of the fifth.
    let busy = used(minutes(|minute| cpu(0, if minute % 5 == 0 { 4.0 } else { 1.0 })));
    assert!(near(busy.recommend().cpu.request.unwrap(), 4.0 * 1.15, 0.06));
    let calm = used(minutes(|minute| cpu(0, if minute % 20 == 0 { 4.0 } else { 1.0 })));
    assert!(near(calm.recommend().cpu.request.unwrap(), 1.15, 0.06));
}

#[test]
fn memory_is_the_highest_of_the_days_however_short_it_was() {
    let usage = used(minutes(|minute| memory(0, if minute == 700 { 3.0 * GIB } else { GIB })));
    let found = usage.recommend().memory;
    assert!(found.request.unwrap() >= 3.0 * GIB * 1.15, "{found:?}");
    assert!(near(found.request.unwrap(), 3.0 * GIB * 1.15, 0.06), "{found:?}");
    assert_eq!((found.samples, found.ignored, found.span), (1440, 0, 1439 * 60));
}

#[test]
fn what_was_high_long_ago_is_forgotten() {
    let sizes = |high: i64| {
        let samples = (0..40 * 24).map(move |hour| {
            let size = if hour < high * 24 { 8.0 } else { 1.0 };
            Sample { at: NOW - (40 * 24 - hour) * 3600, cpu: Some(size), memory: Some(size * GIB) }
        });
        used(samples).recommend()
    };
    let (recent, old) = (sizes(39), sizes(30));
    assert!(near(recent.cpu.request.unwrap(), 8.0 * 1.15, 0.06), "half of it is of yesterday and before");
    assert!(near(old.cpu.request.unwrap(), 1.15, 0.06), "{old:?}");
    assert!(near(old.memory.request.unwrap(), 1.15 * GIB, 0.06), "{old:?}");
}

#[test]
fn a_half_life_halves() {
    let mut histogram = Histogram::new(Scale::CPU, 100);
    // Three of 1 core, a half-life before two of 5: they weigh 1.5 against 2.
    for (at, size) in [(0, 1.0), (0, 1.0), (0, 1.0), (100, 5.0), (100, 5.0)] {
        assert!(histogram.add(at, size));
    }
    assert!(near(histogram.percentile(0.42).unwrap(), 1.0, 0.06));
    assert!(near(histogram.percentile(0.44).unwrap(), 5.0, 0.06));
}

#[test]
fn two_histograms_together_are_one_of_all_samples() {
    let all: Vec<_> =
        (0..500).map(|hour| (NOW - 500 * 3600 + hour * 3600, (hour % 37) as f64 / 4.0)).collect();
    let filled = |samples: &[(i64, f64)]| {
        let mut histogram = Histogram::new(Scale::CPU, DAY);
        samples.iter().for_each(|(at, size)| assert!(histogram.add(*at, *size)));
        histogram
    };
    let whole = filled(&all);
    let (early, late) = all.split_at(200);
    for (first, second) in [(early, late), (late, early)] {
        let mut merged = filled(first);
        assert!(merged.merge(&filled(second)));
        for share in [0.1, 0.5, 0.9, 0.99] {
            assert_eq!(merged.percentile(share), whole.percentile(share), "{share}");
        }
    }
    assert!(!filled(early).merge(&Histogram::new(Scale::MEMORY, DAY)), "sizes of another scale");
    assert!(!filled(early).merge(&Histogram::new(Scale::CPU, 1)), "another half-life");
}

#[test]
fn the_use_of_two_pods_is_recommended_for_together() {
    let mut one = used(minutes(|_| Sample { at: 0, cpu: Some(0.5), memory: Some(GIB) }));
    one.merge(&used(minutes(|_| Sample { at: 0, cpu: Some(2.0), memory: Some(2.0 * GIB) })));
    let found = one.recommend();
    assert!(near(found.cpu.request.unwrap(), 2.3, 0.06) && found.cpu.samples == 2880, "{found:?}");
    assert!(near(found.memory.request.unwrap(), 2.3 * GIB, 0.06), "{found:?}");
}

#[test]
fn what_cannot_be_is_counted_and_changes_nothing() {
    let good = used(minutes(|_| cpu(0, 1.0)));
    let mut bad = good.clone();
    for size in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e9, -0.001] {
        bad.add(cpu(NOW, size), NOW);
    }
    bad.add(cpu(NOW + 1, 500.0), NOW);
    let (good, bad) = (good.recommend().cpu, bad.recommend().cpu);
    assert_eq!(bad.ignored, 7);
    assert_eq!(Advice { ignored: 0, ..bad }, good);
}

#[test]
fn few_samples_or_a_short_time_are_not_enough() {
    let short = used((0..600).map(|second| cpu(NOW - 600 + second, 1.0)));
    let few = used((0..5).map(|day| cpu(NOW - day * DAY, 1.0)));
    for usage in [short, few, used([])] {
        assert_eq!(usage.recommend().cpu.request, None);
    }
}

#[test]
fn what_idles_is_recommended_the_least() {
    let found = used(minutes(|_| Sample { at: 0, cpu: Some(0.0), memory: Some(0.0) })).recommend();
    assert!(near(found.cpu.request.unwrap(), 0.012, 0.01), "{found:?}");
    assert_eq!(found.memory.request, Some(16.0 * MIB));
    assert!(near(found.memory.saving(GIB).unwrap(), GIB - 16.0 * MIB, 1e-9));
    assert!(found.cpu.saving(0.001).unwrap() < 0.0, "it asks for too little");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_percentile_is_never_below_the_exact_one_and_close_above(
        sizes in prop::collection::vec(0.05..900.0_f64, 1..200), share in 0.01..1.0_f64,
    ) {
        let mut histogram = Histogram::new(Scale::CPU, DAY);
        sizes.iter().for_each(|size| assert!(histogram.add(NOW, *size)));
        let mut sorted = sizes;
        sorted.sort_by(f64::total_cmp);
        let place = ((share * sorted.len() as f64 - 1e-9).ceil() as usize).clamp(1, sorted.len()) - 1;
        let found = histogram.percentile(share).unwrap();
        prop_assert!(found >= sorted[place] * (1.0 - 1e-9), "{found} is below {}", sorted[place]);
        prop_assert!(found <= sorted[place] * 1.05 + 0.011, "{found} is far above {}", sorted[place]);
    }

    #[test]
    fn nothing_panics_and_every_answer_is_a_number(
        samples in prop::collection::vec((any::<i64>(), any::<f64>(), any::<f64>()), 0..100),
        now in any::<i64>(), half_life in any::<i64>(), window in any::<i64>(), margin in any::<f64>(),
        share in any::<f64>(),
    ) {
        let options = Options { half_life, window, margin, cpu_share: share, memory_share: share, ..Options::default() };
        for options in [options, Options::default()] {
            let (mut one, mut other) = (Usage::new(options), Usage::new(options));
            for (place, (at, cpu, memory)) in samples.iter().enumerate() {
                let sample = Sample { at: *at, cpu: Some(cpu % 10.0), memory: Some(*memory) };
                if place % 2 == 0 { &mut one } else { &mut other }.add(sample, now);
            }
            one.merge(&other);
            let found = one.recommend();
            for advice in [found.cpu, found.memory] {
                prop_assert!(advice.request.is_none_or(f64::is_finite));
                prop_assert!(advice.samples + advice.ignored == samples.len() as u64);
            }
        }
    }
}
