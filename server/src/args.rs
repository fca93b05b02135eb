//! How the daemon runs. What it enforces is not here: those are Kubernetes objects or files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::decisions::PeerUrl;
use crate::gateway::GatewayArgs;

/// A part of Bailey this process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers the API server's admission reviews.
    Admission,
    /// Keeps what tenants have in the cluster as it should be.
    Controller,
    /// Serves tenants in front of the API server; a process of its own, with rights of its own.
    Gateway,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Arguments of `bailey serve`. Each has an environment variable of its name, such as `BAILEY_LISTEN`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The parts this process plays
    #[arg(long, env = "BAILEY_ROLES", value_delimiter = ',', default_value = "admission,controller")]
    pub roles: Vec<Role>,
    /// Address of the webhook (TLS)
    #[arg(long, env = "BAILEY_LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Address of plain HTTP for probes and metrics
    #[arg(long, env = "BAILEY_HTTP_LISTEN", default_value = "127.0.0.1:8080")]
    pub http_listen: SocketAddr,
    /// Address of the aggregated API (TLS) with which members of tenants read their decisions; off where not given
    #[arg(long, env = "BAILEY_API_LISTEN", value_name = "ADDRESS")]
    pub api_listen: Option<SocketAddr>,
    /// The authority of the API server's proxy certificate, in PEM; what the API server publishes where not given
    #[arg(long, env = "BAILEY_PROXY_CA", value_name = "FILE")]
    pub proxy_ca: Option<PathBuf>,
    /// The name in that certificate; front-proxy-client with --proxy-ca, else what the API server publishes, where not given
    #[arg(long, env = "BAILEY_PROXY_NAME", value_name = "NAME")]
    pub proxy_name: Option<String>,
    /// The other replicas
    #[command(flatten)]
    pub peers: PeersArgs,
    /// Groups whose users pass the walls of tenants
    #[arg(
        long,
        env = "BAILEY_ADMINISTRATORS",
        value_name = "GROUP",
        value_delimiter = ',',
        default_value = "system:masters"
    )]
    pub administrators: Vec<String>,
    /// How policies are evaluated
    #[command(flatten)]
    pub evaluation: EvaluationArgs,
    /// How connections are secured
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How tenants are served in front of the API server
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Read policies and bindings from YAML files in this folder, not from a cluster
    #[arg(long, env = "BAILEY_POLICIES", value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// The file that keeps every decision
    #[arg(long, env = "BAILEY_AUDIT_DB", value_name = "FILE", default_value = "bailey-audit.db")]
    pub audit_db: PathBuf,
    /// Days a decision is kept
    #[arg(long, env = "BAILEY_AUDIT_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub audit_days: u32,
    /// Seconds between two looks at how budgets stand, which are kept in the same file
    #[arg(long, env = "BAILEY_USAGE_INTERVAL", value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub usage_interval: u32,
    /// Seconds between two checks of what budgets count against a consistent list
    #[arg(long, env = "BAILEY_QUOTA_CHECK_INTERVAL", value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub quota_check_interval: u32,
    /// Whom a refused person may ask, shown in every refusal
    #[arg(long, env = "BAILEY_CONTACT", value_name = "TEXT")]
    pub contact: Option<String>,
    /// How log lines are written
    #[arg(long, env = "BAILEY_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Send traces to this OTLP endpoint (gRPC), such as http://127.0.0.1:4317
    #[arg(long, env = "BAILEY_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Seconds to stay up, unready, before connections are closed at shutdown
    #[arg(long, env = "BAILEY_SHUTDOWN_DELAY", value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub shutdown_delay: u64,
}

/// The other replicas, whose decisions are told to members of tenants too.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Another replica, or a host name with the addresses of all, such as https://bailey-peers.bailey-system.svc:8445
    #[arg(long, env = "BAILEY_PEERS", value_name = "URL", value_delimiter = ',', requires_all = ["peers_listen", "peers_ca"])]
    pub peers: Vec<PeerUrl>,
    /// Address at which the others ask this replica (TLS), with a certificate for the host of a --peers
    #[arg(long, env = "BAILEY_PEERS_LISTEN", value_name = "ADDRESS", requires = "peers")]
    pub peers_listen: Option<SocketAddr>,
    /// The authority of the certificates of all replicas, in PEM; read again when it changes
    #[arg(long, env = "BAILEY_PEERS_CA", value_name = "FILE", requires = "peers")]
    pub peers_ca: Option<PathBuf>,
}

/// Bounds on evaluation.
#[derive(Debug, Clone, Args)]
pub struct EvaluationArgs {
    /// Evaluation threads; as many as processors where not given
    #[arg(long, env = "BAILEY_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Reviews that may wait for an evaluation thread, a quarter of them of one tenant; beyond it they are refused with 429
    #[arg(long, env = "BAILEY_QUEUE", value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue: u32,
    /// The longest one policy may run, in milliseconds
    #[arg(long, env = "BAILEY_POLICY_TIMEOUT_MS", value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub policy_timeout_ms: u32,
    /// The most memory one wasm guest may use, in MiB
    #[arg(long, env = "BAILEY_POLICY_MEMORY_MIB", value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2_048))]
    pub policy_memory_mib: u32,
    /// Where compiled wasm modules are kept between starts
    #[arg(long, env = "BAILEY_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// The longest review accepted, in bytes
    #[arg(long, env = "BAILEY_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1024..=134_217_728))]
    pub max_body_bytes: u32,
}

/// Certificate and key, and who may call.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// The webhook's certificate chain, in PEM; read again when it changes
    #[arg(long, env = "BAILEY_TLS_CERT", value_name = "FILE")]
    pub tls_cert: PathBuf,
    /// Its private key, in PEM
    #[arg(long, env = "BAILEY_TLS_KEY", value_name = "FILE")]
    pub tls_key: PathBuf,
    /// Take reviews only from clients with a certificate of this authority, in PEM
    #[arg(long, env = "BAILEY_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Of those, only clients whose certificate has this common name or DNS name
    #[arg(long, env = "BAILEY_CLIENT_NAME", value_name = "NAME", requires = "client_ca")]
    pub client_name: Option<String>,
}

impl ServeArgs {
    /// How long the daemon stays up, unready, at shutdown.
    pub fn shutdown_delay(&self) -> Duration {
        Duration::from_secs(self.shutdown_delay)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(flags: &[&str]) -> Result<ServeArgs, clap::Error> {
        let needed = ["bailey", "--tls-cert=tls.crt", "--tls-key=tls.key"];
        Command::try_parse_from([&needed[..], flags].concat()).map(|command| command.serve)
    }

    #[test]
    fn peers_come_with_an_address_and_an_authority_or_not_at_all() {
        let all = ["--peers=https://a:1,https://b:2", "--peers-listen=127.0.0.1:1", "--peers-ca=ca.crt"];
        let hosts: Vec<_> =
            parse(&all).unwrap().peers.peers.iter().map(|peer| peer.host().to_owned()).collect();
        assert_eq!(hosts, ["a", "b"]);
        assert!(parse(&[]).is_ok());
        for part in
            [&all[..1], &all[1..2], &all[2..], &all[..2], &all[1..], &["--peers=http://a:1", all[1], all[2]]]
        {
            assert!(parse(part).is_err(), "{part:?}");
        }
    }
}
