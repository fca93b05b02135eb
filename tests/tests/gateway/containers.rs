//! The stock kubectl in containers of a real node, through the gateway and straight at the API server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use tests::command::Said;
use tests::gateway::Gateway;
use tests::node::Node;
use tests::{ALICE, BOB, Tenant, User, World, give_namespace, until};
use tokio::sync::OnceCell;

use crate::gateway;

/// The namespace of tenant `studio`, whose owner is alice and where bob may look.
pub(crate) const STUDIO: &str = "studio-web";
/// Its Pod.
const STAGE: &str = "stage";
/// Over WebSocket, as kubectl does by itself, and over SPDY.
pub(crate) const SOCKETS: [bool; 2] = [true, false];

static TENANT: OnceCell<()> = OnceCell::const_new();
static NODE: OnceCell<Node> = OnceCell::const_new();

/// The tenant, with its rights in force.
pub(crate) async fn studio() -> &'static Gateway {
    let gateway = gateway().await;
    TENANT
        .get_or_init(async || {
            let members = "[{kind: User, name: alice, role: owner}, {kind: User, name: bob, role: viewer}]";
            Tenant::create("studio", &format!("{{members: {members}}}")).await;
            give_namespace(World::shared(), "studio", STUDIO).await;
            for (user, verb, resource) in [(ALICE, "create", "pods/exec"), (BOB, "get", "pods")] {
                let ask = ["auth", "can-i", verb, resource, "--namespace", STUDIO];
                until("the rights are there", async || gateway.kubectl(user, &ask).status.success()).await;
            }
        })
        .await;
    gateway
}

/// The same with a Pod that runs.
async fn stage() -> &'static Gateway {
    let gateway = studio().await;
    NODE.get_or_init(|| Node::start(World::shared(), STUDIO, STAGE, &["sleep", "3600"])).await;
    gateway
}

/// kubectl as a user in the namespace, straight at the API server without a gateway.
pub(crate) fn kubectl(gateway: Option<&Gateway>, user: User, sockets: bool, arguments: &[&str]) -> Command {
    let arguments = [&["--namespace", STUDIO][..], arguments].concat();
    let mut command = match gateway {
        Some(gateway) => gateway.kubectl_command(user, &arguments),
        None => {
            let access = World::shared().access();
            let mut command = Command::new(access.kubectl());
            command.arg("--kubeconfig").arg(access.kubeconfig(user)).args(arguments);
            command
        }
    };
    for name in ["KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS"] {
        command.env(name, sockets.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it says to somebody who types this, and no more.
fn say(mut command: Command, typed: &[u8]) -> Said {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(typed));
        Said::of(&child.wait_with_output().unwrap())
    })
}

/// What a command says through the gateway over each protocol, which is what it says straight at the API server.
fn as_straight(gateway: &Gateway, user: User, arguments: &[&str], typed: &[u8]) -> [Said; 2] {
    SOCKETS.map(|sockets| {
        let [straight, through] =
            [None, Some(gateway)].map(|way| say(kubectl(way, user, sockets, arguments), typed));
        let parts = |said: &Said| (said.code, said.text.clone(), said.error.clone());
        assert_eq!(parts(&straight), parts(&through));
        through
    })
}

#[tokio::test]
async fn exec_has_input_output_errors_and_an_exit_code() {
    let gateway = stage().await;
    let run = |script: &str, typed: &[u8]| {
        as_straight(gateway, ALICE, &["exec", "-i", STAGE, "--", "sh", "-c", script], typed)
    };
    // More than any buffer on the way holds.
    let long = "x".repeat(3 << 20);
    let failed = "wrong\ncommand terminated with exit code 7\n";
    for (script, typed, wanted) in [
        ("cat; echo wrong >&2; exit 7", "typed\n", (7, "typed\n", failed)),
        ("true", "", (0, "", "")),
        ("cat", long.as_str(), (0, long.as_str(), "")),
    ] {
        for said in run(script, typed.as_bytes()) {
            assert!(
                (said.code, said.text.as_str(), said.error.as_str()) == wanted,
                "{script}: {}",
                said.error
            );
        }
    }
    for said in as_straight(gateway, ALICE, &["exec", STAGE, "--", "no-such-program"], b"") {
        assert!(said.code == 1 && said.error.contains("executable file not found"), "{said:?}");
    }
}

#[tokio::test]
async fn exec_in_a_terminal_follows_its_size() {
    let gateway = stage().await;
    for sockets in SOCKETS {
        let wait = |size: &str| format!("until [ \"$(stty size)\" = '{size}' ]; do sleep 0.1; done");
        let inside = format!("{}; echo small; {}; echo large", wait("33 77"), wait("40 100"));
        let exec = kubectl(Some(gateway), ALICE, sockets, &["exec", "-it", STAGE, "--", "sh", "-c", &inside]);
        // A terminal for kubectl, which says where it is.
        let mut script = Command::new("script");
        let quoted = exec.get_args().map(|part| part.to_str().unwrap().replace('\'', r"'\''"));
        let quoted = quoted.map(|part| format!("'{part}'")).collect::<Vec<_>>().join(" ");
        let program = exec.get_program().to_str().unwrap();
        let line = format!("tty; stty rows 33 cols 77; exec '{program}' {quoted}");
        script.args(["-qefc", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        script.envs(exec.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let terminal = lines.next().unwrap();
        assert_eq!(lines.next().unwrap().trim_end(), "small");
        let resize = ["-F", terminal.trim_end(), "rows", "40", "cols", "100"];
        assert!(Command::new("stty").args(resize).status().unwrap().success());
        assert_eq!(lines.next().unwrap().trim_end(), "large");
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn attach_talks_to_the_process_that_runs() {
    let gateway = studio().await;
    let script = "while read line; do echo \"heard $line\"; done";
    let _node = Node::start(World::shared(), STUDIO, "listener", &["sh", "-c", script]).await;
    for way in [None, Some(gateway)] {
        for sockets in SOCKETS {
            let mut child = kubectl(way, ALICE, sockets, &["attach", "-i", "listener"]).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            for word in ["one", "two"] {
                writeln!(stdin, "{word}").unwrap();
                assert_eq!(lines.next().unwrap(), format!("heard {word}"));
            }
            drop(stdin);
            assert!(child.wait().unwrap().success());
        }
    }
    let said = say(kubectl(Some(gateway), ALICE, true, &["logs", "listener", "--tail=2"]), b"");
    assert_eq!((said.code, said.text.as_str()), (0, "heard one\nheard two\n"));
}

#[tokio::test]
async fn logs_come_as_they_are_written() {
    let gateway = studio().await;
    let folder = &gateway.settings.folder;
    let wait = |file: &str| format!("until [ -e '{}' ]; do sleep 0.1; done", folder.join(file).display());
    let script = format!("echo first; {}; echo second; {}", wait("go-on"), wait("end"));
    let _node = Node::start(World::shared(), STUDIO, "writer", &["sh", "-c", &script]).await;
    let follow = |way: Option<&Gateway>| {
        let mut child = kubectl(way, ALICE, true, &["logs", "--follow", "writer"]).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        (child, lines)
    };
    let mut both = [follow(None), follow(Some(gateway))];
    for (_, lines) in &mut both {
        assert_eq!(lines.next().unwrap(), "first");
    }
    std::fs::write(folder.join("go-on"), "").unwrap();
    for (_, lines) in &mut both {
        assert_eq!(lines.next().unwrap(), "second");
    }
    std::fs::write(folder.join("end"), "").unwrap();
    for (child, lines) in &mut both {
        assert_eq!(lines.next(), None);
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn files_are_copied_both_ways() {
    let gateway = stage().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bytes: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_le_bytes).collect();
    std::fs::create_dir_all(path("here/deep")).unwrap();
    std::fs::write(path("here/deep/file"), &bytes).unwrap();
    for sockets in SOCKETS {
        let here = path("here");
        let there = format!("{STAGE}:{}", path(&format!("there-{sockets}")).display());
        let back = path(&format!("back-{sockets}"));
        for [from, to] in [[here.to_str().unwrap(), &there], [&there, back.to_str().unwrap()]] {
            let said = say(kubectl(Some(gateway), ALICE, sockets, &["cp", from, to]), b"");
            assert_eq!(said.code, 0, "{said:?}");
        }
        assert!(std::fs::read(back.join("deep/file")).unwrap() == bytes);
    }
}

#[tokio::test]
async fn who_may_only_look_runs_nothing() {
    let gateway = stage().await;
    for arguments in [
        &["exec", STAGE, "--", "true"][..],
        &["attach", STAGE],
        &["port-forward", STAGE, ":80"],
        &["cp", "/etc/hostname", "stage:/tmp/never"],
    ] {
        let wanted = "is forbidden: User \"bob\" cannot create resource \"pods/";
        for said in as_straight(gateway, BOB, arguments, b"") {
            assert!(said.code == 1 && said.error.contains(wanted), "{arguments:?}: {said:?}");
        }
    }
}

#[tokio::test]
async fn streams_are_counted_and_limited() {
    let _shared = stage().await;
    let gateway = Gateway::start("containers", &["--gateway-streams=1"]);
    let pid = |child: &mut std::process::Child| {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().parse::<u32>().unwrap()
    };
    for sockets in SOCKETS {
        let exec = ["exec", "-i", STAGE, "--", "sh", "-c", "echo $$; exec cat"];
        let mut open = kubectl(Some(&gateway), ALICE, sockets, &exec).spawn().unwrap();
        let process = pid(&mut open);
        until("it is counted", async || gateway.metric("bailey_gateway_streams") == 1).await;
        for arguments in [
            &["exec", STAGE, "--", "true"][..],
            &["attach", STAGE],
            &["port-forward", STAGE, ":80"],
            &["logs", "-f", STAGE],
        ] {
            let said = say(kubectl(Some(&gateway), ALICE, sockets, arguments), b"");
            let wanted = "tenant studio has 1 watches and streams open; close some, or share them between clients \
                          [gateway_watches]";
            assert!(said.code == 1 && said.error.contains(wanted), "{arguments:?}: {said:?}");
        }
        assert!(
            gateway.metric(r#"bailey_gateway_limited_total{tenant="studio",code="gateway_watches"}"#) >= 4
        );
        // kubectl goes without a word, and what it ran has no more input.
        open.kill().unwrap();
        open.wait().unwrap();
        until("its place is free", async || gateway.metric("bailey_gateway_streams") == 0).await;
        until("it has ended at the node", async || !xtask::process::runs(process, "cat")).await;
    }
}
