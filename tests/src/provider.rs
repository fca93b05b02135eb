//! An OpenID Connect provider that users log in at.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};
use serde_json::Value;
use xtask::go::Program;
use xtask::process::Component;

use crate::World;
use crate::world::fail;

const READY: Duration = Duration::from_secs(30);
/// Where its clients have users sent back to; nobody listens there.
const BACK: &str = "http://localhost:8000/";
/// A proof key and its challenge, of RFC 7636, appendix B.
const PROOF: [&str; 2] =
    ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"];

/// A running provider, with a certificate of the world's authority.
pub struct Provider {
    /// Its address, which tokens name in `iss`.
    pub url: String,
    folder: PathBuf,
    component: Component,
    world: &'static World,
}

/// What somebody gets who has logged in.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The identity token.
    pub identity: String,
    /// The access token, which is a JWT too.
    pub access: String,
}

impl Provider {
    /// Starts one that knows these: each has `name`, `password`, `email`, `verified` and `groups`.
    ///
    /// # Panics
    /// When it cannot be built or started.
    #[must_use]
    pub fn start(world: &'static World, name: &str, people: &Value) -> Self {
        let folder = world.access().folder().join(format!("provider-{name}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("people.json"), people.to_string()).unwrap();
        let component = spawn(world, &folder, "127.0.0.1:0");
        let url = format!("https://{}", fs::read_to_string(folder.join("address")).unwrap());
        Self { url, folder, component, world }
    }

    /// Ends it as a crash would.
    pub fn leave(&mut self) {
        self.component.kill();
        self.world.unwatch(self.component.pid());
        let _ = fs::remove_file(self.folder.join("address"));
    }

    /// Starts it again at the same address, with a key that nobody has seen.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn come_back(&mut self) {
        self.component = spawn(self.world, &self.folder, self.url.trim_start_matches("https://"));
    }

    /// Has it sign with a new key from now on; it publishes the one before as well.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn rotate(&self) {
        let response = self.client().post(format!("{}/rotate", self.url)).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }

    /// What somebody gets for one of its clients, `bailey` or `other`, by the code flow with a proof key: as a browser shows
    /// the form, and as the client comes for the tokens.
    ///
    /// # Panics
    /// When the provider does not let them in.
    pub async fn login(&self, client: &str, name: &str, password: &str) -> Tokens {
        let browser = self.client();
        let query = [
            ("client_id", client),
            ("redirect_uri", BACK),
            ("response_type", "code"),
            ("scope", "openid email profile groups"),
            ("state", "state"),
            ("code_challenge", PROOF[1]),
            ("code_challenge_method", "S256"),
        ];
        let begin = Url::parse_with_params(&format!("{}/auth", self.url), query).unwrap();
        let form = next(&browser.get(begin).send().await.unwrap());
        let id = parameter(&form, "authRequestID");
        let typed = [("id", id.as_str()), ("username", name), ("password", password)];
        let page = form.join("/login/username").unwrap();
        let done = next(&browser.post(page).form(&typed).send().await.unwrap());
        let back = next(&browser.get(done).send().await.unwrap());
        assert!(back.as_str().starts_with(BACK) && parameter(&back, "state") == "state", "{back}");
        let code = parameter(&back, "code");
        let ask = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", BACK),
            ("code", code.as_str()),
            ("code_verifier", PROOF[0]),
        ];
        let response =
            self.client().post(format!("{}/oauth/token", self.url)).form(&ask).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        let token =
            |kind: &str| answer[kind].as_str().unwrap_or_else(|| panic!("no {kind}: {answer}")).to_owned();
        Tokens { identity: token("id_token"), access: token("access_token") }
    }

    /// Somebody who goes nowhere by themselves.
    fn client(&self) -> Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = fs::read(self.world.access().authority()).unwrap();
        let builder = Client::builder().tls_certs_only([Certificate::from_pem(&authority).unwrap()]);
        builder.no_proxy().redirect(Policy::none()).build().unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.component.stop();
        self.world.unwatch(self.component.pid());
    }
}

fn spawn(world: &World, folder: &std::path::Path, listen: &str) -> Component {
    let program = Program::provider().binary().unwrap_or_else(fail);
    let (address, server) = (folder.join("address"), world.access().webhook_server());
    let mut command = Command::new(program);
    command.arg("--certificate").arg(&server.certificate).arg("--key").arg(&server.key);
    command.arg("--people").arg(folder.join("people.json")).args(["--listen", listen]);
    command.arg("--address-file").arg(&address);
    let log = folder.join("provider.log");
    let mut component = Component::spawn("provider", &mut command, log).unwrap_or_else(fail);
    world.watch(component.pid());
    component.wait_ready(READY, || address.is_file()).unwrap_or_else(fail);
    component
}

/// Where an answer sends the browser.
fn next(response: &Response) -> Url {
    let location = response.headers().get("location").unwrap_or_else(|| panic!("{response:?}"));
    response.url().join(location.to_str().unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}
