//! The evaluation threads: a bounded queue in front, an [`Evaluator`] on each.
//!
//! Guarantees: a job is refused at once when the queue is full; a panic in a job costs that job alone,
//! and the thread goes on with new engine instances; a set that was published is adopted by each thread
//! before its next job; a thread that is still at a job [`LATE`] after the job's deadline is replaced, so
//! that what no engine limit stops costs a thread's stack and processor time, and no answer but its own.
//! At most [`MAX_LATE`] such threads are left behind; past that none is replaced, and what remains goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use model::ObjectEvent;
use thiserror::Error;

use super::Evaluator;
use super::memory::Memory;
use crate::PolicySet;

/// Work for one evaluation thread.
pub(crate) type Job = Box<dyn FnOnce(&mut Evaluator) + Send>;

/// How long after its job's deadline a thread is given up.
pub(crate) const LATE: Duration = Duration::from_secs(1);
/// The most threads given up that may still be running.
const MAX_LATE: u64 = 64;
/// How often it is looked for late threads.
const WATCH: Duration = Duration::from_millis(100);
/// How long threads may take to finish what is queued when the pool is dropped.
const FINISH: Duration = Duration::from_secs(5);

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
    /// Threads that were given up and replaced.
    pub replaced: AtomicU64,
    /// Of those, the ones that are still running.
    pub late: AtomicU64,
}

/// A job and the moment its answer is due.
struct Queued {
    job: Job,
    deadline: Instant,
}

/// What one thread is doing, as others may see it.
#[derive(Default)]
struct Busy {
    deadline: Mutex<Option<Instant>>,
    given_up: AtomicBool,
}

impl Busy {
    fn set(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn is_late(&self, now: Instant) -> bool {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.is_some_and(|deadline| now.saturating_duration_since(deadline) > LATE)
    }
}

struct Thread {
    events: Sender<ObjectEvent>,
    sets: Sender<Arc<PolicySet>>,
    adopted: Arc<AtomicU64>,
    busy: Arc<Busy>,
    handle: JoinHandle<()>,
}

/// The threads, and what a new one must be told.
struct Crew {
    threads: Vec<Thread>,
    memory: Memory,
    started: usize,
}

/// The threads. Dropping the pool lets them finish what is queued, and waits a bounded time for them.
pub struct EvaluationPool {
    jobs: Option<Sender<Queued>>,
    queue: usize,
    crew: Arc<Mutex<Crew>>,
    counts: Arc<PoolCounts>,
    watch: Option<(Sender<()>, JoinHandle<()>)>,
}

impl EvaluationPool {
    /// Starts the threads, and one that watches them.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(config: PoolConfig) -> std::io::Result<Self> {
        let (jobs, received) = bounded::<Queued>(config.queue.max(1));
        let counts = Arc::new(PoolCounts::default());
        let mut crew = Crew { threads: Vec::new(), memory: Memory::default(), started: 0 };
        for _ in 0..config.threads.max(1) {
            crew.enlist(&received, &counts)?;
        }
        let crew = Arc::new(Mutex::new(crew));
        let (stop, stopped) = bounded(1);
        let (watched, counted) = (Arc::clone(&crew), Arc::clone(&counts));
        let watcher = std::thread::Builder::new()
            .name("evaluate-watch".to_owned())
            .spawn(move || watch(&watched, &received, &counted, &stopped))?;
        Ok(Self { jobs: Some(jobs), queue: config.queue.max(1), crew, counts, watch: Some((stop, watcher)) })
    }

    /// Gives a job to the first thread that is free. Its thread is given up [`LATE`] after the deadline.
    ///
    /// # Errors
    /// When the queue is full or the pool is closed; the job is dropped.
    pub fn submit(&self, deadline: Instant, job: Job) -> Result<(), SubmitError> {
        let jobs = self.jobs.as_ref().ok_or(SubmitError::Closed)?;
        jobs.try_send(Queued { job, deadline }).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full { queue: self.queue },
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    /// Puts a set in force on every thread, each before its next job.
    pub fn publish(&self, set: &Arc<PolicySet>) {
        let mut crew = lock(&self.crew);
        crew.memory.publish(set);
        for thread in &crew.threads {
            // A thread that has ended takes no jobs either.
            let _ = thread.sets.send(Arc::clone(set));
        }
    }

    /// Tells every thread of a change of the watch caches.
    pub fn observe(&self, event: &ObjectEvent) {
        let mut crew = lock(&self.crew);
        crew.memory.observe(event);
        for thread in &crew.threads {
            let _ = thread.events.send(event.clone());
        }
    }

    /// The oldest revision any thread still has in force.
    pub fn adopted(&self) -> u64 {
        let crew = lock(&self.crew);
        crew.threads.iter().map(|thread| thread.adopted.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// Requests waiting now.
    pub fn waiting(&self) -> usize {
        self.jobs.as_ref().map_or(0, Sender::len)
    }

    /// The number of threads that take jobs.
    pub fn threads(&self) -> usize {
        lock(&self.crew).threads.len()
    }

    /// What was counted.
    pub fn counts(&self) -> &PoolCounts {
        &self.counts
    }
}

impl Drop for EvaluationPool {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some((stop, watcher)) = self.watch.take() {
            drop(stop);
            let _ = watcher.join();
        }
        let start = Instant::now();
        let all_finished = || lock(&self.crew).threads.iter().all(|thread| thread.handle.is_finished());
        while !all_finished() && start.elapsed() < FINISH {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn lock(crew: &Mutex<Crew>) -> MutexGuard<'_, Crew> {
    crew.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// Starts one more thread, told everything that those before it know.
    fn enlist(&mut self, jobs: &Receiver<Queued>, counts: &Arc<PoolCounts>) -> std::io::Result<()> {
        let (events, received_events) = unbounded();
        let (sets, received_sets) = unbounded();
        self.memory.replay(&events, &sets);
        let (adopted, busy) = (Arc::new(AtomicU64::new(0)), Arc::new(Busy::default()));
        let work = Work {
            jobs: jobs.clone(),
            sets: received_sets,
            adopted: Arc::clone(&adopted),
            busy: Arc::clone(&busy),
            counts: Arc::clone(counts),
        };
        let handle = std::thread::Builder::new()
            .name(format!("evaluate-{}", self.started))
            .stack_size(crate::rego::STACK_BYTES)
            .spawn(move || work.run(Evaluator::new(received_events)))?;
        self.started = self.started.saturating_add(1);
        self.threads.push(Thread { events, sets, adopted, busy, handle });
        Ok(())
    }
}

/// Replaces threads that are late, until told to stop.
fn watch(crew: &Mutex<Crew>, jobs: &Receiver<Queued>, counts: &Arc<PoolCounts>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(WATCH) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        let mut crew = lock(crew);
        while let Some(place) = crew.threads.iter().position(|thread| thread.busy.is_late(now)) {
            if counts.late.load(Ordering::Relaxed) >= MAX_LATE {
                break;
            }
            if let Err(error) = crew.enlist(jobs, counts) {
                tracing::error!(%error, "a late evaluation thread cannot be replaced");
                break;
            }
            let late = crew.threads.swap_remove(place);
            counts.late.fetch_add(1, Ordering::Relaxed);
            counts.replaced.fetch_add(1, Ordering::Relaxed);
            late.busy.given_up.store(true, Ordering::Release);
            tracing::error!("an evaluation did not end at its deadline, its thread is replaced");
        }
    }
}

/// What one thread works with.
struct Work {
    jobs: Receiver<Queued>,
    sets: Receiver<Arc<PolicySet>>,
    adopted: Arc<AtomicU64>,
    busy: Arc<Busy>,
    counts: Arc<PoolCounts>,
}

impl Work {
    fn run(self, mut evaluator: Evaluator) {
        self.serve(&mut evaluator);
        if self.busy.given_up.load(Ordering::Acquire) {
            self.counts.late.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes jobs until there are none to come, or this thread was given up.
    fn serve(&self, evaluator: &mut Evaluator) {
        let events = evaluator.events.clone();
        loop {
            crossbeam_channel::select! {
                recv(self.sets) -> set => match set {
                    Ok(set) => self.adopt(evaluator, set),
                    Err(_) => return,
                },
                recv(events) -> event => match event {
                    Ok(event) => evaluator.apply(&event),
                    Err(_) => return,
                },
                recv(self.jobs) -> queued => {
                    let Ok(queued) = queued else { return };
                    self.sets.try_iter().last().into_iter().for_each(|set| self.adopt(evaluator, set));
                    evaluator.refresh();
                    self.attempt(evaluator, queued);
                    if self.busy.given_up.load(Ordering::Acquire) {
                        return;
                    }
                }
            }
        }
    }

    fn attempt(&self, evaluator: &mut Evaluator, queued: Queued) {
        self.busy.set(Some(queued.deadline));
        if catch_unwind(AssertUnwindSafe(|| (queued.job)(evaluator))).is_err() {
            self.counts.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!("an evaluation panicked, its thread starts anew");
            evaluator.renew();
        }
        self.busy.set(None);
    }

    fn adopt(&self, evaluator: &mut Evaluator, set: Arc<PolicySet>) {
        let revision = set.revision();
        evaluator.adopt(set);
        self.adopted.store(revision, Ordering::Release);
    }
}
