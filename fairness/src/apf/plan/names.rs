//! Names of objects, and which shard a tenant is in: the same for the same tenant, always.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The longest name of an object.
const MAX_NAME: usize = 253;

/// The name of a tenant's own object, or of a part of it. Where the tenant's cannot be part of a name, its digest stands for it, under
/// another prefix, so that no tenant's name can be chosen to collide.
pub(super) fn of_tenant(kind: &str, tenant: &str, part: usize) -> String {
    let kind = of_part(kind, part);
    let plain = format!("bailey.{kind}.{tenant}");
    if plain.len() <= MAX_NAME && is_subdomain(tenant) {
        return plain;
    }
    let digest = Sha256::digest(tenant.as_bytes());
    let mut name = format!("bailey.{kind}-digest.");
    for byte in digest.iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The name of a shard's object. A class is a DNS label, so the dots tell the parts apart.
pub(super) fn of_shard(kind: &str, class: &str, shard: u32, part: usize) -> String {
    format!("bailey.{}.{class}.{shard:03}", of_part(kind, part))
}

/// The prefix of one of an object's parts: the first keeps it. The end of a name is a tenant's to choose.
fn of_part(kind: &str, part: usize) -> String {
    if part == 0 { kind.to_owned() } else { format!("{kind}-part{part}") }
}

/// The shard of a tenant.
pub(super) fn shard(tenant: &str, shards: u32) -> u32 {
    let digest = Sha256::digest(tenant.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |sum, byte| sum.wrapping_shl(8) | u64::from(*byte));
    let shard = first.checked_rem(u64::from(shards)).unwrap_or_default();
    u32::try_from(shard).unwrap_or_default()
}

/// Whether a text is dot-separated DNS labels, as names of service accounts and of FlowSchemas are.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_part)
}

/// Whether a text is a DNS label, as names of namespaces are.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_tenants_or_a_digest() {
        assert_eq!(of_tenant("tenant", "acme.eu", 0), "bailey.tenant.acme.eu");
        let long = "x".repeat(240);
        for tenant in [long.as_str(), "Acme", "", "a..b", "-a", "ä"] {
            let name = of_tenant("tenant", tenant, 0);
            assert!(name.starts_with("bailey.tenant-digest.") && name.len() == 53, "{name}");
            assert!(is_subdomain(&name));
        }
        assert_eq!(of_shard("shared", "gold", 7, 0), "bailey.shared.gold.007");
        assert_eq!(of_tenant("tenant", "acme", 2), "bailey.tenant-part2.acme");
    }

    #[test]
    fn shards_are_even_and_stay() {
        let mut counts = [0; 16];
        for tenant in 0..16_000 {
            counts[shard(&format!("tenant-{tenant}"), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!((shard("acme", 16), shard("shop", 16), shard("shop", 0)), (0, 13, 0));
    }
}
