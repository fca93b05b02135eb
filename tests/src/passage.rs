//! A way to the API server whose connections can fall silent, as when what carries them goes away without a word.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::World;

/// Passes on what comes; ends with this value.
pub struct Passage {
    kubeconfig: PathBuf,
    /// How often all connections fell silent.
    silences: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Passage {
    /// A way to the API server of a world, by the kubeconfig of Bailey.
    ///
    /// # Panics
    /// When there is no port, or the kubeconfig is not what it should be.
    pub async fn to_api_server(world: &World) -> Self {
        let text = std::fs::read(world.access().bailey_kubeconfig()).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        let server = &mut config["clusters"][0]["cluster"]["server"];
        let (_, port) = server.as_str().unwrap().rsplit_once(':').unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        *server = format!("https://127.0.0.1:{own}").into();
        let kubeconfig = world.access().folder().join(format!("passage-{own}.kubeconfig"));
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let silences = watch::Sender::new(0);
        let accepting = tokio::spawn(accept(listener, address, silences.subscribe()));
        Self { kubeconfig, silences, accepting }
    }

    /// The kubeconfig of Bailey that leads through here.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on nothing comes on the connections of now any more, and none of them ends. New ones are as good as ever.
    pub fn fall_silent(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, silences: watch::Receiver<u64>) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let mut silences = silences.clone();
        let born = *silences.borrow_and_update();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(address).await else { return };
            let silent = async { drop(silences.wait_for(|silences| *silences > born).await) };
            let passed = tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => true,
                () = silent => false,
            };
            // Both ends stay open, until the passage goes.
            while !passed && silences.changed().await.is_ok() {}
        });
    }
}
