//! Tenants on a real API server: namespaces by self-service, rights in them, and the walls around them.

mod decisions;
mod decisions_of_replicas;
mod discovery;
mod front_proxy;
mod lineage;
mod namespaces;
mod profiles;
mod rights;
mod walls;

use tests::{Tenant, create_namespace as create, namespaces, until_may_create};
