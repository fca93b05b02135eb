//! A gate inside of an API server: requests stop there, and go on one by one.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::until;

/// A webhook that answers nobody: a request with the gate's label waits at it until it is let through, or for half a minute.
pub struct Gate {
    name: String,
    port: u16,
    /// How many wait, and how many waited at once at most.
    waiting: watch::Receiver<(usize, usize)>,
    through: Arc<Semaphore>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// A gate of this name, which is closed. The API server has to be told of it: [`Gate::webhook`].
    ///
    /// # Panics
    /// When there is no port.
    pub async fn new(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, waiting) = watch::channel((0, 0));
        let through = Arc::new(Semaphore::new(0));
        let accepting = tokio::spawn(accept(listener, sender, Arc::clone(&through)));
        Self { name: name.to_owned(), port, waiting, through, accepting }
    }

    /// The object that leads new ConfigMaps with [`Gate::labels`] here.
    #[must_use]
    pub fn webhook(&self) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": format!("gate-{}", self.name)},
            "webhooks": [{
                "name": "gate.tests.bailey.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Ignore", "timeoutSeconds": 30, "objectSelector": {"matchLabels": self.labels()},
                "clientConfig": {"url": format!("https://127.0.0.1:{}/", self.port)},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
                }],
            }],
        })
    }

    /// The labels of an object that has to pass.
    #[must_use]
    pub fn labels(&self) -> Value {
        json!({"tests.bailey.dev/gate": self.name})
    }

    /// How many wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().0
    }

    /// How many waited at once at most.
    #[must_use]
    pub fn most(&self) -> usize {
        self.waiting.borrow().1
    }

    /// Waits until so many wait.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn until_waiting(&self, count: usize) {
        until(&format!("{count} wait at the gate"), async || self.waiting() == count).await;
    }

    /// Lets one through, now or as soon as it is there.
    pub fn let_one(&self) {
        self.through.add_permits(1);
    }

    /// Lets all through from now on.
    pub fn open(&self) {
        self.through.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections and says nothing on them. One that is closed is an error, which the configuration has ignored.
async fn accept(listener: TcpListener, waiting: watch::Sender<(usize, usize)>, through: Arc<Semaphore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (waiting, through) = (waiting.clone(), Arc::clone(&through));
        waiting.send_modify(|(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
        tokio::spawn(async move {
            if let Ok(permit) = through.acquire().await {
                permit.forget();
            }
            waiting.send_modify(|(now, _)| *now -= 1);
            drop(stream);
        });
    }
}
