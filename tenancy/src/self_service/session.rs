use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;

use super::fault::{Fault, chain, innermost};
use crate::api::{GROUP, VERSION};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// The most objects of one list request.
const PAGE: u32 = 500;

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// The kubeconfig; `$KUBECONFIG` or `~/.kube/config` where not given, or the Pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of it; the current one where not given.
    pub context: Option<String>,
    /// The namespace; that of the context where not given.
    pub namespace: Option<String>,
}

/// A connection to the API server as one user.
pub struct Session {
    pub(super) client: Client,
    pub(super) kubeconfig: Option<Kubeconfig>,
    pub(super) context: String,
    namespace: String,
    server: String,
    origin: String,
}

impl Session {
    /// Reads the kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read, or has no such context.
    pub async fn open(connect: &Connect) -> Result<Self, Fault> {
        let (kubeconfig, origin) = read(connect)?;
        let (mut config, context) = match &kubeconfig {
            Some(kubeconfig) => {
                let context = context(kubeconfig, connect, &origin)?;
                let options =
                    KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await;
                (config.map_err(|error| unusable(&origin, &chain(&error)))?, context)
            }
            None => {
                let config = Config::incluster().map_err(|error| unusable(&origin, &chain(&error)))?;
                (config, String::new())
            }
        };
        (config.connect_timeout, config.read_timeout) = (Some(CONNECT), Some(ANSWER));
        config.reset_reader_on_write = true;
        let server = config.cluster_url.to_string();
        let namespace = connect.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&origin, &chain(&error)))?;
        Ok(Self { client, kubeconfig, context, namespace, server, origin })
    }

    /// The namespace that was given, or is the context's.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What an error of the client means.
    pub(super) fn fault(&self, error: &kube::Error) -> Fault {
        let (server, kubeconfig) = (self.server.trim_end_matches('/').to_owned(), self.origin.clone());
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                Fault::Unauthenticated { server, kubeconfig, message: status.message.clone() }
            }
            kube::Error::Api(status) => Fault::of_status(status),
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                Fault::Unreachable { server, kubeconfig, why: innermost(error) }
            }
            kube::Error::Auth(_) => Fault::Unauthenticated { server, kubeconfig, message: chain(error) },
            other => Fault::Failed(chain(other)),
        }
    }

    /// The objects of one of Bailey's own kinds, read as they are: a newer Bailey's may have more fields.
    pub(super) fn own(&self, kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &own(kind))
    }

    /// Every object of a kind that the selector picks.
    pub(super) async fn list<K>(&self, api: Api<K>, labels: &str) -> Result<Vec<K>, Fault>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let mut all = Vec::new();
        let mut parameters = ListParams::default().limit(PAGE).labels(labels);
        loop {
            let page = api.list(&parameters).await.map_err(|error| self.fault(&error))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}

/// How the API server names one of Bailey's kinds.
pub(super) fn own(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind))
}

/// The kubeconfig, if there is one, and where it is from.
fn read(connect: &Connect) -> Result<(Option<Kubeconfig>, String), Fault> {
    let variable = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let (read, origin) = match (&connect.kubeconfig, &variable) {
        (Some(path), _) => (Kubeconfig::read_from(path), format!("kubeconfig `{}`", path.display())),
        (None, Some(value)) => {
            (Kubeconfig::read(), format!("kubeconfig `{}` from $KUBECONFIG", value.to_string_lossy()))
        }
        (None, None) => (Kubeconfig::read(), "kubeconfig `~/.kube/config`".to_owned()),
    };
    match read {
        Ok(kubeconfig) => Ok((Some(kubeconfig), origin)),
        // In a Pod there is no file, but an account.
        Err(_) if connect.kubeconfig.is_none() && variable.is_none() && in_cluster() => {
            Ok((None, "the Pod's service account".to_owned()))
        }
        Err(KubeconfigError::ReadConfig(why, path)) => {
            Err(unusable(&format!("kubeconfig `{}`", path.display()), &why.to_string()))
        }
        Err(error) => Err(unusable(&origin, &chain(&error))),
    }
}

fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// The context that is meant, by name.
fn context(kubeconfig: &Kubeconfig, connect: &Connect, origin: &str) -> Result<String, Fault> {
    let known: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let wanted = connect.context.as_ref().or(kubeconfig.current_context.as_ref());
    match wanted.filter(|name| !name.is_empty()) {
        Some(wanted) if known.contains(&wanted.as_str()) => Ok(wanted.clone()),
        Some(wanted) => {
            let known =
                if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
            Err(Fault::Kubeconfig(format!("{origin} has no context `{wanted}`; it has {known}")))
        }
        None => Err(Fault::Kubeconfig(format!(
            "{origin} has no current context: give `--context`, or set one with `kubectl config use-context`"
        ))),
    }
}

fn unusable(origin: &str, why: &str) -> Fault {
    Fault::Kubeconfig(format!("{origin} cannot be used: {why}; give `--kubeconfig FILE` or set $KUBECONFIG"))
}
