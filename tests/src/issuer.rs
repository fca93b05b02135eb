//! An issuer of identity tokens, as the gateway reads its keys.

use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::World;

/// An issuer with keys that come and go.
#[derive(Clone)]
pub struct Issuer {
    /// Its address, which tokens name in `iss`.
    pub url: String,
    /// What it publishes; `None` while it is away.
    keys: Arc<Mutex<Option<Vec<Jwk>>>>,
}

/// A key to sign with.
pub struct Signer {
    /// The key.
    pub key: EncodingKey,
    /// What is published of it.
    pub jwk: Jwk,
}

impl Signer {
    /// A new key with this id.
    ///
    /// # Panics
    /// When there is no good source of randomness.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { key, jwk }
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// When they cannot be signed.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.jwk.common.key_id.clone(), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.key).unwrap()
    }
}

impl Issuer {
    /// Starts one that publishes this key, with a certificate of the world's authority.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(world: &World, signer: &Signer) -> Self {
        let issued = world.access().webhook_server();
        let chain = vec![CertificateDer::from_pem_file(&issued.certificate).unwrap()];
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config =
            config.with_single_cert(chain, PrivateKeyDer::from_pem_file(&issued.key).unwrap()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let issuer = Self { url, keys: Arc::new(Mutex::new(Some(vec![signer.jwk.clone()]))) };
        let serves = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serves.answer(&acceptor, stream).await;
            }
        });
        issuer
    }

    async fn answer(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let keys = self.keys.lock().unwrap().clone();
        let body = match keys {
            Some(keys) if head.starts_with(b"GET /keys ") => json!({"keys": keys}),
            Some(_) => json!({"issuer": self.url, "jwks_uri": format!("{}/keys", self.url)}),
            None => return Ok(()),
        }
        .to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        stream.shutdown().await
    }

    /// What a good token of somebody says, who is in the group `staff`.
    #[must_use]
    pub fn claims(&self, subject: &str) -> Value {
        json!({"iss": self.url, "aud": "bailey", "exp": get_current_timestamp() + 600, "sub": subject, "groups": ["staff"]})
    }

    /// Publishes other keys.
    ///
    /// # Panics
    /// When an answer panicked.
    pub fn publish(&self, signers: &[&Signer]) {
        *self.keys.lock().unwrap() = Some(signers.iter().map(|signer| signer.jwk.clone()).collect());
    }

    /// Answers nothing until it publishes again.
    ///
    /// # Panics
    /// As [`Issuer::publish`].
    pub fn leave(&self) {
        *self.keys.lock().unwrap() = None;
    }
}
