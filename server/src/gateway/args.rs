//! Flags of the gateway.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use fairness::rates::{Class, Limit, Limits, Rate};
use gateway::TenantLimits;
use tenancy::cluster::RATE_LEDGER;

/// How tenants are served in front of the API server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gateway")]
pub struct GatewayArgs {
    /// Address of the tenants' endpoint (TLS), with the role gateway
    #[arg(long, env = "BAILEY_GATEWAY_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8446")]
    pub gateway_listen: SocketAddr,
    /// Take tenants' client certificates of this authority, in PEM; none where not given
    #[arg(long, env = "BAILEY_GATEWAY_CLIENT_CA", value_name = "FILE")]
    pub gateway_client_ca: Option<PathBuf>,
    /// The issuers of identity tokens (OpenID Connect), in YAML; none where not given
    #[arg(long, env = "BAILEY_GATEWAY_ISSUERS", value_name = "FILE")]
    pub gateway_issuers: Option<PathBuf>,
    /// Requests per second of each tenant, and how many at once, by class, such as list=5:20; a class not named has no limit
    #[arg(
        long,
        env = "BAILEY_GATEWAY_RATES",
        value_name = "CLASS=RATE:BURST",
        value_delimiter = ',',
        default_value = "read=100:200,list=20:60,watch=20:100,write=50:100,event=20:100,token=20:50,exec=10:50"
    )]
    pub gateway_rates: Vec<ClassRate>,
    /// The RateLedger of the gateways that have these rates together
    #[arg(long, env = "BAILEY_GATEWAY_LEDGER", value_name = "NAME", default_value = "gateway", value_parser = ledger_name)]
    pub gateway_ledger: String,
    /// How much of them one user may use, in percent
    #[arg(long, env = "BAILEY_GATEWAY_USER_PERCENT", value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub gateway_user_percent: u8,
    /// The most requests of a tenant under way at once
    #[arg(long, env = "BAILEY_GATEWAY_REQUESTS", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub gateway_requests: u32,
    /// The most watches, logs, exec, attach and port-forward streams of a tenant open at once
    #[arg(long, env = "BAILEY_GATEWAY_STREAMS", value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub gateway_streams: u32,
    /// The most bytes of answers to a tenant in a second; no limit where not given
    #[arg(long, env = "BAILEY_GATEWAY_BYTES_PER_SECOND", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_024..))]
    pub gateway_bytes_per_second: Option<u32>,
    /// The most objects that one list may ask for; lists that do not say how many are refused then. No limit where not given
    #[arg(long, env = "BAILEY_GATEWAY_PAGE", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub gateway_page: Option<u64>,
    /// How many requests of all tenants may be at the API server at once; the others take turns by tenant. With 0 all go on
    #[arg(long, env = "BAILEY_GATEWAY_SEATS", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub gateway_seats: u32,
    /// How many may wait for their turn, a quarter of them of one tenant
    #[arg(long, env = "BAILEY_GATEWAY_QUEUE", value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_queue: u32,
    /// Seconds that a request waits for its turn
    #[arg(long, env = "BAILEY_GATEWAY_WAIT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub gateway_wait: u64,
    /// The longest body of a request, in bytes
    #[arg(long, env = "BAILEY_GATEWAY_BODY_BYTES", value_name = "BYTES", default_value_t = 8 << 20, value_parser = clap::value_parser!(u32).range(1_024..=134_217_728))]
    pub gateway_body_bytes: u32,
    /// Seconds that a client may take to read or send one piece of a body
    #[arg(long, env = "BAILEY_GATEWAY_PATIENCE", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub gateway_patience: u64,
    /// The most connections of clients
    #[arg(long, env = "BAILEY_GATEWAY_CONNECTIONS", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_connections: u32,
    /// The most of them from one address
    #[arg(long, env = "BAILEY_GATEWAY_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_connections_per_address: u32,
}

impl GatewayArgs {
    /// The limits of each tenant.
    pub(super) fn limits(&self) -> TenantLimits {
        let mut rates = [None; Class::ALL.len()];
        for given in &self.gateway_rates {
            if let Some(place) = rates.get_mut(given.class as usize) {
                *place = Some(self.for_users(given.limit));
            }
        }
        TenantLimits {
            rates,
            requests: self.gateway_requests,
            streams: self.gateway_streams,
            bytes_per_second: self.gateway_bytes_per_second.and_then(NonZeroU32::new),
            page: self.gateway_page,
        }
    }

    fn for_users(&self, tenant: Limit) -> Limits {
        let percent = u64::from(self.gateway_user_percent);
        let part = |whole: u64| whole.saturating_mul(percent).div_ceil(100);
        let rate = Rate::thousandths(part(tenant.rate.as_thousandths()));
        let burst = u32::try_from(part(tenant.burst.into())).unwrap_or(u32::MAX);
        Limits { tenant, user: (percent < 100).then_some(Limit { rate, burst }) }
    }
}

/// The name of a ledger that is not the webhooks'.
fn ledger_name(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        let ends = [part.chars().next(), part.chars().next_back()];
        ends.iter().all(|end| end.is_some_and(|end| end != '-'))
            && part.chars().all(|found| matches!(found, 'a'..='z' | '0'..='9' | '-'))
    };
    if text == RATE_LEDGER {
        return Err(
            "that is the ledger of the webhooks, which count for themselves; take another name".to_owned()
        );
    }
    if text.len() <= 253 && text.split('.').all(part) {
        return Ok(text.to_owned());
    }
    Err("a name has small letters, digits, `-` and `.`, and begins and ends with a letter or digit"
        .to_owned())
}

/// A rate of a class of requests, written `CLASS=RATE:BURST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRate {
    class: Class,
    limit: Limit,
}

impl FromStr for ClassRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Class::ALL.map(Class::as_str).join(", ");
        let (name, limit) = text.split_once('=').ok_or("write CLASS=RATE:BURST, such as list=5:20")?;
        let class = Class::ALL.into_iter().find(|class| class.as_str() == name);
        let class = class.ok_or_else(|| format!("`{name}` is no class; there are {}", names()))?;
        let (rate, burst) = limit.split_once(':').ok_or("write CLASS=RATE:BURST, such as list=5:20")?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let (Some(rate), Some(burst)) = (number(rate), number(burst)) else {
            return Err("rate and burst are whole numbers above 0".to_owned());
        };
        Ok(Self { class, limit: Limit::per_second(rate.into(), burst) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_has_a_name_of_its_own() {
        assert_eq!(ledger_name("gateway").as_deref(), Ok("gateway"));
        assert!(ledger_name("east-1.gateways").is_ok());
        assert!(ledger_name("webhook").unwrap_err().contains("webhooks"));
        for text in ["", "a/b", "A", "a..b", "-a", "a-", &"a".repeat(254)] {
            assert!(ledger_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_read_or_refused() {
        let rate: ClassRate = "list=5:20".parse().unwrap();
        assert_eq!(rate, ClassRate { class: Class::List, limit: Limit::per_second(5, 20) });
        for text in [
            "",
            "list",
            "list=5",
            "lists=5:20",
            "list=0:1",
            "list=1:0",
            "list=a:b",
            "list=-1:1",
            "list=1.5:2",
        ] {
            assert!(text.parse::<ClassRate>().is_err(), "{text}");
        }
    }
}
