//! The users that the API server knows by token.

use std::fmt::Write as _;

/// A user of the control plane, known by a static token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user name, which also names the kubeconfig.
    pub name: &'static str,
    /// The groups it is in.
    pub groups: &'static [&'static str],
}

/// The administrator: may do everything.
pub const ADMIN: User = User { name: "admin", groups: &["system:masters"] };
/// An ordinary user with no rights until some are bound to her or to her groups.
pub const ALICE: User = User { name: "alice", groups: &["team-a", "tenants"] };
/// Another ordinary user, in another team.
pub const BOB: User = User { name: "bob", groups: &["team-b", "tenants"] };
/// An ordinary user who is in no team.
pub const CAROL: User = User { name: "carol", groups: &["tenants"] };

/// What the controller manager is known as.
pub(super) const CONTROLLER_MANAGER: User = User { name: "system:kube-controller-manager", groups: &[] };
/// What Bailey is known as: the service account of `deploy/manifests/rbac.yaml`, so that it runs here with
/// the rights it has in a cluster.
pub(super) const BAILEY: User = User {
    name: "system:serviceaccount:bailey-system:bailey",
    groups: &["system:serviceaccounts", "system:serviceaccounts:bailey-system"],
};

/// What the gateway is known as: the service account of `deploy/manifests/gateway-rbac.yaml`.
pub(super) const GATEWAY: User = User {
    name: "system:serviceaccount:bailey-system:bailey-gateway",
    groups: &["system:serviceaccounts", "system:serviceaccounts:bailey-system"],
};

pub(super) const ALL: [(&str, User); 7] = [
    ("admin", ADMIN),
    ("alice", ALICE),
    ("bob", BOB),
    ("carol", CAROL),
    ("controller-manager", CONTROLLER_MANAGER),
    ("bailey", BAILEY),
    ("bailey-gateway", GATEWAY),
];

/// The token of a user of this control plane: the secret of the world and the name.
pub(super) fn token(secret: &str, file: &str) -> String {
    format!("{secret}-{file}")
}

/// The API server's token file: token, user, uid, groups.
pub(super) fn token_file(secret: &str) -> String {
    ALL.iter().fold(String::new(), |mut text, (file, user)| {
        let _ = writeln!(
            text,
            "{},{},{},\"{}\"",
            token(secret, file),
            user.name,
            user.name,
            user.groups.join(",")
        );
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_file_has_one_line_per_user() {
        let text = token_file("s");
        assert_eq!(text.lines().count(), ALL.len());
        assert!(text.contains("s-alice,alice,alice,\"team-a,tenants\"\n"), "{text}");
    }
}
