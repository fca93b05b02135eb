//! The evaluation threads: a bounded queue in front, an [`Evaluator`] on each.
//!
//! Guarantees: a job is refused at once when the queue is full; a panic in a job costs that job alone,
//! and the thread goes on with new engine instances; a set that was published is adopted by each thread
//! before its next job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use model::ObjectEvent;
use thiserror::Error;

use super::Evaluator;
use crate::PolicySet;

/// Work for one evaluation thread.
pub(crate) type Job = Box<dyn FnOnce(&mut Evaluator) + Send>;

/// How many threads, and how many requests may wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Evaluation threads; at least one is started.
    pub threads: usize,
    /// Requests that may wait; beyond it they are refused.
    pub queue: usize,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// The queue is full.
    #[error("all evaluation threads are busy and {queue} requests wait already")]
    Full {
        /// The queue's bound.
        queue: usize,
    },
    /// The threads have ended.
    #[error("the evaluation threads have ended")]
    Closed,
}

/// What the pool counted since it started.
#[derive(Debug, Default)]
pub struct PoolCounts {
    /// Jobs that panicked.
    pub panics: AtomicU64,
}

struct Thread {
    events: Sender<ObjectEvent>,
    sets: Sender<Arc<PolicySet>>,
    adopted: Arc<AtomicU64>,
    handle: Option<JoinHandle<()>>,
}

/// The threads. Dropping the pool lets them finish what is queued, and waits for them.
pub struct EvaluationPool {
    jobs: Option<Sender<Job>>,
    queue: usize,
    threads: Vec<Thread>,
    counts: Arc<PoolCounts>,
}

impl EvaluationPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(config: PoolConfig) -> std::io::Result<Self> {
        let (jobs, received) = bounded::<Job>(config.queue.max(1));
        let counts = Arc::new(PoolCounts::default());
        let threads = (0..config.threads.max(1))
            .map(|number| start_thread(number, received.clone(), Arc::clone(&counts)))
            .collect::<Result<_, _>>()?;
        Ok(Self { jobs: Some(jobs), queue: config.queue.max(1), threads, counts })
    }

    /// Gives a job to the first thread that is free.
    ///
    /// # Errors
    /// When the queue is full or the pool is closed; the job is dropped.
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        let jobs = self.jobs.as_ref().ok_or(SubmitError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full { queue: self.queue },
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    /// Puts a set in force on every thread, each before its next job.
    pub fn publish(&self, set: &Arc<PolicySet>) {
        for thread in &self.threads {
            // A thread that has ended takes no jobs either.
            let _ = thread.sets.send(Arc::clone(set));
        }
    }

    /// Tells every thread of a change of the watch caches.
    pub fn observe(&self, event: &ObjectEvent) {
        for thread in &self.threads {
            let _ = thread.events.send(event.clone());
        }
    }

    /// The oldest revision any thread still has in force.
    pub fn adopted(&self) -> u64 {
        self.threads.iter().map(|thread| thread.adopted.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// Requests waiting now.
    pub fn waiting(&self) -> usize {
        self.jobs.as_ref().map_or(0, Sender::len)
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// What was counted.
    pub fn counts(&self) -> &PoolCounts {
        &self.counts
    }
}

impl Drop for EvaluationPool {
    fn drop(&mut self) {
        self.jobs = None;
        for handle in self.threads.iter_mut().filter_map(|thread| thread.handle.take()) {
            // A thread's panics are caught and counted; there is nothing more to learn here.
            let _ = handle.join();
        }
    }
}

fn start_thread(number: usize, jobs: Receiver<Job>, counts: Arc<PoolCounts>) -> std::io::Result<Thread> {
    let (events, received_events) = unbounded();
    let (sets, received_sets) = unbounded();
    let adopted = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&adopted);
    let handle = std::thread::Builder::new()
        .name(format!("evaluate-{number}"))
        .stack_size(crate::rego::STACK_BYTES)
        .spawn(move || run(Evaluator::new(received_events), &jobs, &received_sets, &seen, &counts))?;
    Ok(Thread { events, sets, adopted, handle: Some(handle) })
}

fn run(
    mut evaluator: Evaluator,
    jobs: &Receiver<Job>,
    sets: &Receiver<Arc<PolicySet>>,
    adopted: &AtomicU64,
    counts: &PoolCounts,
) {
    let events = evaluator.events.clone();
    loop {
        crossbeam_channel::select! {
            recv(sets) -> set => match set {
                Ok(set) => adopt(&mut evaluator, set, adopted),
                Err(_) => return,
            },
            recv(events) -> event => match event {
                Ok(event) => evaluator.apply(&event),
                Err(_) => return,
            },
            recv(jobs) -> job => {
                let Ok(job) = job else { return };
                sets.try_iter().last().into_iter().for_each(|set| adopt(&mut evaluator, set, adopted));
                evaluator.refresh();
                if catch_unwind(AssertUnwindSafe(|| job(&mut evaluator))).is_err() {
                    counts.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("an evaluation panicked, its thread starts anew");
                    evaluator.renew();
                }
            }
        }
    }
}

fn adopt(evaluator: &mut Evaluator, set: Arc<PolicySet>, adopted: &AtomicU64) {
    let revision = set.revision();
    evaluator.adopt(set);
    adopted.store(revision, Ordering::Release);
}
