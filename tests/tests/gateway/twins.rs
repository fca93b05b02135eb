//! What the stock kubectl says through the gateway is what it says straight at the API server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};
use tests::command::Said;
use tests::{ALICE, Tenant, World, give_namespace, until};
use xtask::workspace;

use crate::gateway;

const COMMANDS: &str = include_str!("twins.txt");

/// One of the two: where its kubectl asks, and in which namespace.
struct Twin {
    namespace: &'static str,
    bin: PathBuf,
}

impl Twin {
    /// One whose `kubectl` has this kubeconfig.
    fn new(folder: &Path, namespace: &'static str, config: &Value) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let bin = folder.join(namespace);
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("config"), config.to_string()).unwrap();
        let script = format!(
            "#!/bin/sh\nexec '{}' --kubeconfig='{bin}/config' --cache-dir='{bin}/cache' \"$@\"\n",
            World::shared().access().kubectl().display(),
            bin = bin.display(),
        );
        fs::write(bin.join("kubectl"), script).unwrap();
        fs::set_permissions(bin.join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { namespace, bin }
    }

    /// What a line of shell says, but for what is of this moment and of this twin.
    fn say(&self, line: &str) -> Said {
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path).env("NS", self.namespace).env("TZ", "UTC");
        command.env("KUBE_EDITOR", r#"sed -i s/\"3\"/\"4\"/"#);
        command.current_dir(workspace::root().join("tests/tests/gateway/twins"));
        let said = Said::of(&command.output().unwrap());
        Said { text: self.plain(&said.text), error: self.plain(&said.error), code: said.code }
    }

    fn plain(&self, text: &str) -> String {
        let of_this_moment = [
            (r"https://127\.0\.0\.1:\d+|127\.0\.0\.1:\d+", "SERVER"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
            (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", "TIME"),
            (r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} \+0000", "TIME"),
            (r"\w{3} +\d+ \d{2}:\d{2}:\d{2}\.\d+", "TIME"),
            (r"[EIW]\d{4} \d{2}:\d{2}:\d{2}\.\d+ +\d+", "LOG"),
            (r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d+ \+\d{4}( UTC)?", "TIME"),
            (r#"(resourceVersion"?: ?"?)\d+"#, "${1}VERSION"),
            (r"10\.96\.\d+\.\d+", "ADDRESS"),
            (r"(LIVE|MERGED|kubectl[a-z-]*)-\d+", "${1}-FILE"),
            (r"-[0-9a-f]{8,10}(-[a-z0-9]{5})?\b", "-HASH"),
            (r"\b(\d+[smh])+\b( ago)?", "AGE"),
            (r" +", " "),
        ];
        let text = text.replace(self.namespace, "NAMESPACE");
        of_this_moment
            .iter()
            .fold(text, |text, (pattern, word)| Regex::new(pattern).unwrap().replace_all(&text, *word).into())
    }
}

#[tokio::test]
async fn kubectl_says_the_same_with_and_without_the_gateway() {
    let gateway = gateway().await;
    let world = World::shared();
    let [straight, through] = ["twin-one", "twin-two"];
    Tenant::create("twins", "{members: [{kind: User, name: alice, role: owner}]}").await;
    for namespace in [straight, through] {
        give_namespace(world, "twins", namespace).await;
        let ask = ["auth", "can-i", "create", "configmaps", "--namespace", namespace];
        until("the rights are there", async || gateway.kubectl(ALICE, &ask).status.success()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let twins = [(straight, None), (through, Some(gateway.url("")))].map(|(namespace, url)| {
        let mut config = gateway.kubeconfig_of(ALICE);
        config["contexts"][0]["context"]["namespace"] = json!(namespace);
        if let Some(url) = url {
            config["clusters"][0]["cluster"]["server"] = json!(url);
        }
        Twin::new(folder.path(), namespace, &config)
    });
    let lines = COMMANDS.lines().filter(|line| line.starts_with("kubectl"));
    let mut differ = Vec::new();
    for line in lines {
        let [straight, through] = std::thread::scope(|scope| {
            twins.each_ref().map(|twin| scope.spawn(|| twin.say(line))).map(|said| said.join().unwrap())
        });
        let parts = |said: &Said| (said.code, said.text.clone(), said.error.clone());
        println!("{} {line}", straight.code);
        if parts(&straight) != parts(&through) {
            differ.push(format!("{line}\n  straight: {straight:?}\n  gateway:  {through:?}"));
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}
