use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{GroupVersionKind, LabelSelector, Operation};

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first twelve hexadecimal digits: enough to tell versions apart in a table.
    pub fn short(&self) -> String {
        self.to_string().chars().skip("sha256:".len()).take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("`{text}` is not `sha256:` and 64 lower-case hexadecimal digits");
        let digits = text.strip_prefix("sha256:").ok_or_else(error)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(error());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            if pair.bytes().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(error());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

/// The dialect of a Rego module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegoVersion {
    /// Rego as OPA before 1.0 read it, without `import rego.v1`.
    V0,
    /// Rego v1: the default.
    #[default]
    V1,
}

/// One Rego module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegoModule {
    /// A name for error positions, such as `policy.rego`.
    pub name: String,
    /// The source text.
    pub text: String,
}

/// The calling convention of a wasm module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WasmInterface {
    /// Bailey's own component interface.
    #[default]
    Bailey,
    /// The waPC protocol of Kubewarden policies.
    Kubewarden,
}

/// What a policy is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Rego, evaluated by regorus. The first module is the policy, the others are libraries.
    Rego {
        /// The dialect of all modules.
        version: RegoVersion,
        /// The modules; never empty.
        modules: Vec<RegoModule>,
    },
    /// WebAssembly, run by wasmtime.
    Wasm {
        /// The calling convention.
        interface: WasmInterface,
        /// The module or component, as read.
        bytes: Bytes,
        /// The digest of `bytes`.
        digest: Digest,
    },
}

/// A kind of cluster objects a policy may look up.
pub type LookupKind = GroupVersionKind;

/// Limits a policy asks for itself; never wider than the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PolicyLimits {
    /// Wall-clock time per evaluation, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// Memory of a wasm guest, in MiB.
    pub memory_mib: Option<u32>,
}

/// A loaded policy: what is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The object's name.
    pub name: String,
    /// The object's generation; 0 for files.
    pub generation: i64,
    /// The source.
    pub source: Source,
    /// Whether the policy mutates: only such policies are called on `/mutate`.
    pub mutates: bool,
    /// The JSON Schema of parameters; `None` takes any object.
    pub parameter_schema: Option<serde_json::Value>,
    /// The message catalogue: finding code to text with `{placeholders}`.
    pub messages: BTreeMap<String, String>,
    /// The kinds the policy may look up.
    pub lookups: Vec<LookupKind>,
    /// Limits of its own.
    pub limits: PolicyLimits,
}

/// What a finding of a binding does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Refuse the request.
    #[default]
    Deny,
    /// Admit it and warn the user.
    Warn,
    /// Admit it and keep the finding.
    Audit,
}

/// What happens when a policy cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// The request is refused (only where the binding's enforcement is `deny`).
    #[default]
    Fail,
    /// The request goes on; the failure is counted and kept.
    Ignore,
}

/// Namespaced, cluster-scoped, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Objects inside a namespace.
    Namespaced,
    /// Objects outside any namespace, and Namespaces themselves.
    Cluster,
    /// Both.
    #[default]
    #[serde(rename = "*")]
    Any,
}

/// One row of kinds and operations; a request matches when every list has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceRule {
    /// API groups; `*` is any group but Bailey's own.
    pub groups: Vec<String>,
    /// API versions; empty is any.
    pub versions: Vec<String>,
    /// Kinds (`Pod`); `*` is any. A rule has kinds or resources.
    pub kinds: Vec<String>,
    /// Resources (`pods`); `*` is any.
    pub resources: Vec<String>,
    /// Subresources; empty is the object itself only, `*` is the object and any subresource.
    pub sub_resources: Vec<String>,
    /// Operations; empty is create and update.
    pub operations: Vec<Operation>,
    /// The scope.
    pub scope: Scope,
}

/// Users, groups and service accounts; names may have globs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects {
    /// User names.
    pub users: Vec<String>,
    /// Group names.
    pub groups: Vec<String>,
    /// Service accounts as `namespace:name`.
    pub service_accounts: Vec<String>,
}

impl Subjects {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.service_accounts.is_empty()
    }
}

/// Which requests a binding concerns: every part that is set must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchRules {
    /// Kinds and operations: one of the rows must match; never empty.
    pub resources: Vec<ResourceRule>,
    /// Namespaces, with globs; empty is all.
    pub namespaces: Vec<String>,
    /// Namespaces left out, with globs; wins over `namespaces`.
    pub excluded_namespaces: Vec<String>,
    /// Labels of the namespace.
    pub namespace_selector: LabelSelector,
    /// Labels of the object or the old object.
    pub object_selector: LabelSelector,
    /// Object names, with globs; a generated name is tested by its prefix. Empty is all.
    pub names: Vec<String>,
    /// Who asks; empty is everyone.
    pub subjects: Subjects,
    /// Who is left out; wins over `subjects`.
    pub excluded_subjects: Subjects,
}

/// A binding: of which requests a policy is asked, with what parameters, and how strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyBinding {
    /// The object's name.
    pub name: String,
    /// The object's generation; 0 for files.
    pub generation: i64,
    /// The policy's name.
    pub policy: String,
    /// The parameters; an object.
    pub parameters: serde_json::Value,
    /// Which requests.
    pub rules: MatchRules,
    /// What a finding does.
    pub enforcement: Enforcement,
    /// What a failure does.
    pub failure_policy: FailurePolicy,
    /// The place among mutating bindings, lowest first; equal ones go by name.
    pub order: i32,
    /// Whether an approved exception may cover what it finds.
    pub exceptions: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_else() {
        let digest = Digest::new([0xab; 32]);
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest.clone()));
        assert_eq!(digest.short(), "abababababab");
        for bad in ["", "sha256:", "sha512:ab", &digest.to_string().to_uppercase(), &"é".repeat(35)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
