//! A kubeconfig for one namespace.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use serde_json::{Value, json};

use super::fault::Fault;
use super::session::Session;

/// The shortest life of a token that the API server gives.
const SHORTEST: Duration = Duration::from_secs(600);
const NO_FILE: &str = "there is no kubeconfig to take the cluster's address from: give `--kubeconfig FILE`";

/// Whose token, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTerms {
    /// A service account of the namespace.
    pub service_account: String,
    /// How long it is good for.
    pub duration: Duration,
}

impl Session {
    /// A kubeconfig that stands by itself and means the session's namespace: with the user's own credentials, or
    /// with a new token of a service account.
    ///
    /// # Errors
    /// When a file that the kubeconfig names cannot be read, or the token is refused.
    pub async fn kubeconfig(&self, terms: Option<&TokenTerms>) -> Result<Value, Fault> {
        let kubeconfig = self.kubeconfig.as_ref().ok_or_else(|| Fault::Kubeconfig(NO_FILE.to_owned()))?;
        let (cluster, user) = parts(kubeconfig, &self.context)?;
        let (name, user) = match terms {
            Some(terms) => {
                let token = self.token(terms).await?;
                (format!("{}/{}", self.namespace(), terms.service_account), json!({"token": token}))
            }
            None => (self.whoami().await?.username, user),
        };
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{
                "name": self.namespace(),
                "context": {"cluster": "cluster", "user": name, "namespace": self.namespace()},
            }],
            "current-context": self.namespace(),
        }))
    }

    async fn token(&self, terms: &TokenTerms) -> Result<String, Fault> {
        if terms.duration < SHORTEST {
            let shortest = SHORTEST.as_secs() / 60;
            return Err(Fault::Usage(format!(
                "a token is good for at least {shortest} minutes: give `--duration 10m` or more"
            )));
        }
        let seconds = i64::try_from(terms.duration.as_secs()).unwrap_or(i64::MAX);
        let spec = TokenRequestSpec { expiration_seconds: Some(seconds), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), self.namespace());
        let answer = api.create_token_request(&terms.service_account, &PostParams::default(), &request).await;
        let answer = answer.map_err(|error| match self.fault(&error) {
            Fault::NotFound(_) => Fault::NotFound(format!(
                "there is no service account `{}` in the namespace `{}`",
                terms.service_account,
                self.namespace()
            )),
            other => other.or("owners and editors of the namespace's tenant may ask for tokens"),
        })?;
        Ok(answer.status.and_then(|status| status.token).unwrap_or_default())
    }
}

/// The cluster and the user of a context, with what their files hold instead of the files' names.
fn parts(kubeconfig: &Kubeconfig, context: &str) -> Result<(Value, Value), Fault> {
    let missing = |what: &str| Fault::Kubeconfig(format!("the context `{context}` names no {what}"));
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let context = named.and_then(|named| named.context.as_ref()).ok_or_else(|| missing("cluster"))?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let mut cluster: Cluster =
        cluster.and_then(|named| named.cluster.clone()).ok_or_else(|| missing("cluster"))?;
    let user = kubeconfig.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref());
    let mut user: AuthInfo = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    embed(&mut cluster.certificate_authority, &mut cluster.certificate_authority_data)?;
    embed(&mut user.client_certificate, &mut user.client_certificate_data)?;
    let mut key = None;
    embed(&mut user.client_key, &mut key)?;
    let json = |value: Result<Value, serde_json::Error>| {
        value.map_err(|error| Fault::Kubeconfig(format!("the kubeconfig cannot be written: {error}")))
    };
    let (mut cluster, mut user) = (json(serde_json::to_value(&cluster))?, json(serde_json::to_value(&user))?);
    if let (Some(fields), Some(key)) = (user.as_object_mut(), key) {
        fields.entry("client-key-data").or_insert(key.into());
    }
    for value in [&mut cluster, &mut user] {
        value.as_object_mut().into_iter().for_each(|fields| fields.retain(|_, value| !value.is_null()));
    }
    Ok((cluster, user))
}

/// Puts what a file holds, as base64, in the place of its name. What is given as data already counts.
fn embed(file: &mut Option<String>, data: &mut Option<String>) -> Result<(), Fault> {
    let Some(path) = file.take().filter(|_| data.is_none()) else { return Ok(()) };
    let bytes = std::fs::read(Path::new(&path)).map_err(|error| {
        Fault::Kubeconfig(format!("cannot read `{path}`, which the kubeconfig names: {error}"))
    })?;
    // The kind of string that Kubernetes has for bytes writes them so.
    let text = serde_json::to_value(k8s_openapi::ByteString(bytes)).unwrap_or_default();
    *data = text.as_str().map(str::to_owned);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_stands_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.crt", "authority"), ("me.crt", "certificate"), ("me.key", "key")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let file = folder.path().join("config");
        let text = "apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}, {name: there, context: {cluster: c, user: v}}]
clusters: [{name: c, cluster: {server: 'https://c', certificate-authority: ca.crt}}]
users:
- {name: u, user: {client-certificate: me.crt, client-key: me.key}}
- {name: v, user: {token: secret}}
";
        std::fs::write(&file, text).unwrap();
        let kubeconfig = Kubeconfig::read_from(&file).unwrap();
        let (cluster, user) = parts(&kubeconfig, "here").unwrap();
        let expected = json!({"server": "https://c", "certificate-authority-data": "YXV0aG9yaXR5"});
        assert_eq!(cluster, expected);
        let expected = json!({"client-certificate-data": "Y2VydGlmaWNhdGU=", "client-key-data": "a2V5"});
        assert_eq!(user, expected);
        assert_eq!(parts(&kubeconfig, "there").unwrap().1, json!({"token": "secret"}));
        assert!(parts(&kubeconfig, "nowhere").is_err());
    }
}
