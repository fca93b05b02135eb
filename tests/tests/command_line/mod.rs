//! Running the binaries as a user, and tenants to run them over.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tests::{ADMIN, Objects, User, World, documents, until, until_some};

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub text: String,
    /// Standard error.
    pub error: String,
}

impl Said {
    /// What a process said.
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), text: text(&output.stdout), error: text(&output.stderr) }
    }

    /// Runs the command until what it says is as wanted: rights follow a moment later than tenants.
    pub async fn until(command: impl Fn() -> Self, wanted: impl Fn(&Self) -> bool) -> Self {
        let mut last = None;
        until_some("the command says what is wanted", async || {
            let said = command();
            if wanted(&said) {
                return Some(said);
            }
            // The last word is in the test's output where it is waited in vain.
            let text = format!("{said:?}");
            if last.as_ref() != Some(&text) {
                println!("{text}");
                last = Some(text);
            }
            None
        })
        .await
    }

    /// Standard output as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Runs `kubectl tenant …` as a user.
pub fn tenant(user: User, arguments: &[&str]) -> Said {
    tenant_stdin(user, arguments, "")
}

/// Runs `kubectl tenant …` as a user who types this.
pub fn tenant_stdin(user: User, arguments: &[&str], input: &str) -> Said {
    run(user, "kubectl-tenant", arguments, input)
}

/// Runs `bailey …` as a user.
pub fn bailey(user: User, arguments: &[&str]) -> Said {
    run(user, "bailey", arguments, "")
}

fn run(user: User, binary: &str, arguments: &[&str], input: &str) -> Said {
    let world = World::shared();
    let mut command = Command::new(world.bailey.settings.binary.with_file_name(binary));
    command.env("KUBECONFIG", world.access().kubeconfig(user)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Said::of(&child.wait_with_output().unwrap())
}

/// The record of a decision, which is written a moment after the answer.
pub async fn record(decision: &str) -> String {
    until_some("the decision is kept", async || World::shared().bailey.audit(&["show", decision]).ok()).await
}

/// A tenant of one test.
pub struct Tenant {
    name: String,
    /// The administrator.
    pub admin: Objects,
}

impl Tenant {
    /// Creates it and waits until it is in sync.
    pub async fn create(name: &str, spec: &str) -> Self {
        let tenant = Self { name: name.to_owned(), admin: Objects::new(World::shared().client(ADMIN).await) };
        let yaml = format!(
            "apiVersion: bailey.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {name}}}\nspec: {spec}"
        );
        tenant.admin.apply_all(&yaml).await;
        let object = documents(&yaml).swap_remove(0);
        until("the tenant is in sync", async || {
            let found = tenant.admin.get(&object).await.unwrap();
            found.data["status"]["conditions"][0]["status"] == "True"
        })
        .await;
        tenant
    }

    /// Gives it a namespace, as the administrator, and waits until its walls stand and the tenant tells of it.
    pub async fn with_namespace(self, name: &str) -> Self {
        let yaml = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{bailey.dev/tenant: {}}}}}",
            self.name
        );
        self.admin.apply_all(&yaml).await;
        let tenant = documents(&format!(
            "apiVersion: bailey.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {}}}",
            self.name
        ));
        until("the tenant tells of its namespace", async || {
            let found = self.admin.get(&tenant[0]).await.unwrap();
            let names = found.data["status"]["namespaces"].as_array().cloned().unwrap_or_default();
            let namespace = self.admin.get(&documents(&yaml)[0]).await.unwrap();
            let labels = namespace.metadata.labels.unwrap_or_default();
            names.contains(&Value::from(name)) && labels.contains_key("bailey.dev/walls")
        })
        .await;
        self
    }
}
