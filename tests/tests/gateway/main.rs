//! The gateway in front of a real API server: what tenants' users see of it, and what does not get through.

mod attacks;
mod classes;
mod containers;
mod everywhere;
mod forwards;
mod granted;
mod identities;
mod issuers;
mod kubectl;
mod limits;
mod lists;
mod logins;
mod outage;
mod rights;
mod seats;
mod sharing;
mod streams;
mod twins;
mod wire;

use std::process::Output;
use std::sync::OnceLock;

use tests::gateway::Gateway;
use tests::{ALICE, Tenant, World, give_namespace};
use tokio::sync::OnceCell;

static GATEWAY: OnceLock<Gateway> = OnceLock::new();
static TENANT: OnceCell<()> = OnceCell::const_new();

/// The gateway that most tests share, with alice as the owner of tenant `shop` and its namespace `shop-web`, and bob of
/// tenant `bank` with `bank-web`.
async fn gateway() -> &'static Gateway {
    TENANT
        .get_or_init(async || {
            for (tenant, user) in [("shop", "alice"), ("bank", "bob")] {
                let spec = format!("{{members: [{{kind: User, name: {user}, role: owner}}]}}");
                Tenant::create(tenant, &spec).await;
                give_namespace(World::shared(), tenant, &format!("{tenant}-web")).await;
            }
        })
        .await;
    // All tests' service accounts live in one tenant, which pays for them.
    let rates = "--gateway-rates=read=5000:5000,list=5000:5000,watch=5000:5000,write=5000:5000";
    let gateway = GATEWAY.get_or_init(|| Gateway::start("shared", &[rates]));
    tests::until("alice has her rights", async || {
        let asked =
            gateway.kubectl(ALICE, &["auth", "can-i", "create", "configmaps", "--namespace=shop-web"]);
        asked.status.success()
    })
    .await;
    gateway
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
