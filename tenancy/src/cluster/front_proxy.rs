//! Whom the API server's aggregation layer asks to be trusted, as it publishes it for aggregated APIs.
//!
//! The ConfigMap `kube-system/extension-apiserver-authentication` is the API server's own: it puts it back where
//! somebody changes it. Reading it takes the Role `extension-apiserver-authentication-reader` there.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::sync::watch;

use super::retry::{shown, watch_pauses};
use crate::tasks::{Task, Tasks};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
const AUTHORITY: &str = "requestheader-client-ca-file";
const NAMES: &str = "requestheader-allowed-names";

/// The certificate that the API server shows to aggregated APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontProxy {
    /// The authorities that may have signed it, in PEM; not checked.
    pub authority: String,
    /// The names it may have. None means any to Kubernetes.
    pub names: Vec<String>,
}

/// What the API server publishes, followed until this is dropped.
#[derive(Debug)]
pub struct FrontProxyWatch {
    /// The newest that can be read; `None` before the first.
    pub current: watch::Receiver<Option<Arc<FrontProxy>>>,
    _task: Task,
}

/// Why what is published cannot be used.
#[derive(Debug, Error)]
enum Unusable {
    #[error("`{AUTHORITY}` is missing: the API server was started without an authority for aggregated APIs")]
    NoAuthority,
    #[error("`{NAMES}` is not a list of names")]
    Names(#[source] serde_json::Error),
}

pub(super) fn start(client: Client, tasks: &Tasks) -> FrontProxyWatch {
    let published = watch::Sender::new(None);
    let current = published.subscribe();
    FrontProxyWatch { current, _task: tasks.spawn("front proxy", run(client, published)) }
}

/// Publishes what there is, for ever. What cannot be read leaves the last in place.
async fn run(client: Client, published: watch::Sender<Option<Arc<FrontProxy>>>) {
    let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut events = watcher(api, config).backoff(watch_pauses()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(object) | Event::Apply(object)) if object.name_any() == NAME => {
                match FrontProxy::of(&object) {
                    Ok(found) => {
                        let found = Some(Arc::new(found));
                        published.send_if_modified(|last| {
                            let changed = *last != found;
                            *last = found;
                            changed
                        });
                    }
                    Err(error) => tracing::error!(
                        %error,
                        "what the API server publishes for aggregated APIs cannot be used, the last stays in force"
                    ),
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = shown(&error),
                    "what the API server publishes for aggregated APIs cannot be read"
                );
            }
        }
    }
}

impl FrontProxy {
    fn of(object: &ConfigMap) -> Result<Self, Unusable> {
        let value = |key| object.data.as_ref().and_then(|data| data.get(key));
        let authority =
            value(AUTHORITY).filter(|text| !text.trim().is_empty()).ok_or(Unusable::NoAuthority)?;
        let names = value(NAMES).map_or(Ok(Vec::new()), |text| serde_json::from_str(text));
        Ok(Self { authority: authority.clone(), names: names.map_err(Unusable::Names)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(data: &[(&str, &str)]) -> ConfigMap {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ConfigMap { data: Some(data), ..ConfigMap::default() }
    }

    #[test]
    fn authority_and_names_are_read() {
        let found =
            FrontProxy::of(&published(&[(AUTHORITY, "PEM"), (NAMES, r#"["front-proxy-client"]"#)])).unwrap();
        assert_eq!(found, FrontProxy { authority: "PEM".into(), names: vec!["front-proxy-client".into()] });
        assert_eq!(FrontProxy::of(&published(&[(AUTHORITY, "PEM")])).unwrap().names, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_authority_is_none() {
        for data in [&[][..], &[(AUTHORITY, " ")], &[("client-ca-file", "PEM")]] {
            assert!(matches!(FrontProxy::of(&published(data)), Err(Unusable::NoAuthority)));
        }
        assert!(matches!(FrontProxy::of(&ConfigMap::default()), Err(Unusable::NoAuthority)));
        let names = published(&[(AUTHORITY, "PEM"), (NAMES, "front-proxy-client")]);
        assert!(matches!(FrontProxy::of(&names), Err(Unusable::Names(_))));
    }
}
