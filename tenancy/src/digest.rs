use model::Digest;
use sha2::{Digest as _, Sha256};

/// The SHA-256 digest of these bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}
