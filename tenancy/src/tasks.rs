//! Tasks that must not end: who keeps the handle ends the task, and an end of its own is reported.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Starts tasks, and knows when one ended that should not have.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    failure: Arc<watch::Sender<Option<String>>>,
}

/// A running task, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { failure: Arc::new(watch::Sender::new(None)) }
    }

    /// Runs a future that must not end by itself.
    pub(crate) fn spawn<F>(&self, name: impl Into<String>, future: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (name, failure) = (name.into(), Arc::clone(&self.failure));
        let running = tokio::spawn(future);
        let task = Task(running.abort_handle());
        tokio::spawn(async move {
            let reason = match running.await {
                Ok(()) => format!("the task `{name}` ended"),
                Err(error) if error.is_panic() => format!("the task `{name}` panicked"),
                Err(_) => return,
            };
            failure.send_if_modified(|first| first.is_none() && first.replace(reason).is_none());
        });
        task
    }

    /// Waits until a task has ended by itself, and says which.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|reason| (*reason).clone()) {
            Ok(Some(reason)) => reason,
            // INVARIANT: the sender lives as long as `self`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ended_task_is_reported_and_a_dropped_one_is_not() {
        let tasks = Tasks::new();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        drop(tasks.spawn("dropped", async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        }));
        assert!(ended.await.is_err());
        let _task = tasks.spawn("short", async {});
        assert_eq!(tasks.failed().await, "the task `short` ended");
    }

    #[tokio::test]
    async fn a_panic_is_reported() {
        let tasks = Tasks::new();
        let _task = tasks.spawn("bad", async { panic!("on purpose") });
        assert_eq!(tasks.failed().await, "the task `bad` panicked");
    }
}
