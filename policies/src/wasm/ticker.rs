use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How often running guests are interrupted to look at their deadline.
const TICK: Duration = Duration::from_millis(1);

/// How many ticks without a guest before the thread goes to sleep.
const IDLE_TICKS: u32 = 100;

/// Advances the engine's epoch while guests run; the thread sleeps while none does and ends on drop.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// Keeps the ticker awake while a guest runs.
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("wasm-ticker".to_owned()).spawn(move || own.tick(&engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// To be called before a guest may run, and held until it has ended.
    pub(super) fn enter(&self) -> Running<'_> {
        // INVARIANT: this add and load, and the store and load in `sleep`, are sequentially consistent:
        // either we see `asleep` and wake the thread, or the thread sees us and stays awake.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = self.thread()
        {
            thread.unpark();
        }
        Running(&self.shared)
    }

    fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref().map(JoinHandle::thread)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot panic: it only counts and sleeps.
            let _ended = thread.join();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut idle = 0_u32;
        while !self.stop.load(Ordering::SeqCst) {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            idle = if self.running.load(Ordering::SeqCst) == 0 { idle.saturating_add(1) } else { 0 };
            if idle > IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.running.load(Ordering::SeqCst) == 0 && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_ticker_wakes_for_a_guest_and_ends_on_drop() {
        let ticker = Ticker::start(Engine::default()).expect("a thread");
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let running = ticker.enter();
        while ticker.shared.asleep.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        drop(running);
        drop(ticker);
    }
}
