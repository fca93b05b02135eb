//! How much a workload should ask for, from what it used.
//!
//! **Method.** A moving percentile with decay, as in Google's Autopilot (Rzadca et al., EuroSys 2020, 3.2) and the
//! recommender of Kubernetes' Vertical Pod Autoscaler: samples fall into a [`Histogram`] of exponential buckets, and
//! weigh half as much after each half-life.
//! - **cpu** is the 90th percentile of all samples: what is short of it for a moment runs slower.
//! - **memory** is the 95th percentile of the highest use of each window of a day: what is short of it is killed, so
//!   peaks count and how long they lasted does not. With a half-life of a day that is the highest of the last days.
//! - Both get a margin of 15 %, and are rounded up to a millicore and a mebibyte.
//!
//! Every number of this is an option. A recommendation is shown and never applied.
//!
//! **Bounds.** A workload takes at most about 400 buckets of 16 bytes, however many samples it has. Sizes are told
//! apart to 5 %, and what is recommended is never below the percentile for it.

mod histogram;

#[cfg(test)]
mod tests;

pub use histogram::{Histogram, Scale};

/// What was used at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Cores.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory: Option<f64>,
}

/// How recommendations are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// After how many seconds a sample weighs half.
    pub half_life: i64,
    /// The share of cpu samples that should fit.
    pub cpu_share: f64,
    /// The share of memory peaks that should fit.
    pub memory_share: f64,
    /// The time in which only the highest use of memory counts, in seconds.
    pub window: i64,
    /// What is added, as a share of the percentile.
    pub margin: f64,
    /// The least that is recommended, in cores.
    pub least_cpu: f64,
    /// The least that is recommended, in bytes.
    pub least_memory: f64,
    /// The fewest samples to judge from.
    pub least_samples: u64,
    /// The shortest time they must span, in seconds.
    pub least_span: i64,
}

impl Default for Options {
    /// A half-life and a window of 24 hours, 90 % of cpu, 95 % of memory peaks, 15 % on top, at least 10 millicores and
    /// 16 MiB, from at least 24 samples over at least 12 hours.
    fn default() -> Self {
        Self {
            half_life: 86_400,
            cpu_share: 0.9,
            memory_share: 0.95,
            window: 86_400,
            margin: 0.15,
            least_cpu: 0.01,
            least_memory: 16.0 * MIB,
            least_samples: 24,
            least_span: 43_200,
        }
    }
}

const MIB: f64 = 1_048_576.0;

/// What one workload used. Samples may come in any order; those in order are judged best.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    options: Options,
    cpu: Track,
    memory: Track,
    /// The highest use of memory in the newest window.
    peak: Option<Peak>,
}

/// One resource's histogram, and what it was made from.
#[derive(Debug, Clone, PartialEq)]
struct Track {
    histogram: Histogram,
    samples: u64,
    ignored: u64,
    times: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Peak {
    window: i64,
    at: i64,
    size: f64,
}

/// What is recommended, and what from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    /// Of cpu, in cores.
    pub cpu: Advice,
    /// Of memory, in bytes.
    pub memory: Advice,
}

/// What is recommended of one resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice {
    /// How much to ask for; `None` where there is too little to judge from.
    pub request: Option<f64>,
    /// Samples that count.
    pub samples: u64,
    /// Samples that do not: negative, no number, larger than anything there is, or after now.
    pub ignored: u64,
    /// The time between the first and the last, in seconds.
    pub span: i64,
}

impl Advice {
    /// How much less to ask for than now; negative where it is more.
    pub fn saving(&self, now: f64) -> Option<f64> {
        self.request.map(|request| now - request).filter(|saving| saving.is_finite())
    }
}

impl Usage {
    /// Nothing used yet.
    pub fn new(options: Options) -> Self {
        let track = |scale| Track {
            histogram: Histogram::new(scale, options.half_life),
            samples: 0,
            ignored: 0,
            times: None,
        };
        Self { options, cpu: track(Scale::CPU), memory: track(Scale::MEMORY), peak: None }
    }

    /// Adds what was used at a moment. What cannot be, or lies after now, is counted and changes nothing.
    pub fn add(&mut self, sample: Sample, now: i64) {
        if let Some(cpu) = sample.cpu
            && self.cpu.takes(sample.at, cpu, now)
        {
            self.cpu.histogram.add(sample.at, cpu);
        }
        if let Some(memory) = sample.memory
            && self.memory.takes(sample.at, memory, now)
        {
            let window = sample.at.div_euclid(self.options.window.max(1));
            self.rise(Peak { window, at: sample.at, size: memory });
        }
    }

    /// Adds all that another used: of another Pod of the workload, or of other days.
    pub fn merge(&mut self, other: &Self) {
        self.cpu.merge(&other.cpu);
        self.memory.merge(&other.memory);
        if let Some(peak) = other.peak {
            self.rise(peak);
        }
    }

    /// What it should ask for.
    pub fn recommend(&self) -> Recommendation {
        let Options { cpu_share, memory_share, least_cpu, least_memory, .. } = self.options;
        let mut memory = self.memory.histogram.clone();
        if let Some(peak) = self.peak {
            memory.add(peak.at, peak.size);
        }
        let (cpu, memory) = (self.cpu.histogram.percentile(cpu_share), memory.percentile(memory_share));
        Recommendation {
            cpu: self.advice(&self.cpu, cpu, least_cpu, 0.001),
            memory: self.advice(&self.memory, memory, least_memory, MIB),
        }
    }

    /// Takes in a peak: a higher one of the newest window replaces it, a newer window closes it.
    fn rise(&mut self, new: Peak) {
        let done = match self.peak {
            Some(peak) if peak.window == new.window => {
                self.peak = Some(if new.size > peak.size { new } else { peak });
                return;
            }
            Some(peak) if peak.window > new.window => new,
            peak => {
                self.peak = Some(new);
                let Some(peak) = peak else { return };
                peak
            }
        };
        self.memory.histogram.add(done.at, done.size);
    }

    fn advice(&self, track: &Track, percentile: Option<f64>, least: f64, step: f64) -> Advice {
        let span = track.times.map_or(0, |(first, last)| last.saturating_sub(first));
        let enough = track.samples >= self.options.least_samples && span >= self.options.least_span;
        let request = percentile.filter(|_| enough).map(|size| {
            let wanted = (size * (1.0 + self.options.margin)).max(least);
            // A whole number of steps stays one although floats are not exact.
            (wanted / step - 1e-6).ceil() * step
        });
        let request = request.filter(|request| request.is_finite());
        Advice { request, samples: track.samples, ignored: track.ignored, span }
    }
}

impl Track {
    /// Counts a sample; whether it can be one.
    fn takes(&mut self, at: i64, size: f64, now: i64) -> bool {
        if at > now || !self.histogram.takes(size) {
            self.ignored = self.ignored.saturating_add(1);
            return false;
        }
        self.samples = self.samples.saturating_add(1);
        self.spans(at, at);
        true
    }

    fn spans(&mut self, first: i64, last: i64) {
        let (known_first, known_last) = self.times.unwrap_or((first, last));
        self.times = Some((known_first.min(first), known_last.max(last)));
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.samples = self.samples.saturating_add(other.samples);
        self.ignored = self.ignored.saturating_add(other.ignored);
        if let Some((first, last)) = other.times {
            self.spans(first, last);
        }
    }
}
