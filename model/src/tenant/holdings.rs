use std::collections::{BTreeSet, HashMap};

use super::hosts::{covers, wildcards_above};

/// What tenants hold that there is only one of in the cluster, as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    volumes: HashMap<String, Holder>,
    hosts: HashMap<String, BTreeSet<String>>,
}

/// Whose a PersistentVolume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The tenant that its label names.
    Tenant(String),
    /// The namespace of the claim that it is bound to.
    Namespace(String),
    /// Nobody's.
    Nobody,
}

impl Holdings {
    /// Holdings of these volumes by name, and of host names by the namespaces that use them.
    pub fn new<H>(volumes: HashMap<String, Holder>, hosts: H) -> Self
    where
        H: IntoIterator<Item = (String, String)>,
    {
        let mut by_name: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (host, namespace) in hosts {
            by_name.entry(host).or_default().insert(namespace);
        }
        Self { volumes, hosts: by_name }
    }

    /// Whose a PersistentVolume is; `None` where the snapshot does not know it.
    pub fn volume(&self, name: &str) -> Option<&Holder> {
        self.volumes.get(name)
    }

    /// The namespaces that use a host name: the same one, or one which means it too, such as `*.example.com`.
    ///
    /// Takes time in the number of labels of the name, or for a name that begins with `*.` in the number of all.
    pub fn users_of(&self, host: &str) -> BTreeSet<&str> {
        let mut users = BTreeSet::new();
        let mut add = |host: &str| {
            users.extend(self.hosts.get(host).into_iter().flatten().map(String::as_str));
        };
        add(host);
        wildcards_above(host).iter().for_each(|wide| add(wide));
        if host.is_empty() || host.starts_with('*') {
            self.hosts.keys().filter(|name| covers(host, name)).for_each(|name| add(name));
        }
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_the_same_host_are_found() {
        let hosts = [("a.example.com", "one"), ("*.example.com", "two"), ("b.c.example.com", "three")];
        let hosts = hosts.map(|(host, namespace)| (host.to_owned(), namespace.to_owned()));
        let holdings = Holdings::new(HashMap::new(), hosts);
        let users = |host: &str| holdings.users_of(host).into_iter().collect::<Vec<_>>();
        assert_eq!(users("a.example.com"), ["one", "two"]);
        assert_eq!(users("*.example.com"), ["one", "three", "two"]);
        assert_eq!(users("x.example.com"), ["two"]);
        assert_eq!(users("b.c.example.com"), ["three", "two"], "of a Gateway a wildcard means every depth");
        assert_eq!(users("*.c.example.com"), ["three", "two"]);
        assert_eq!(users(""), ["one", "three", "two"], "no name means every name");
        assert!(users("example.com").is_empty());
        let everywhere = Holdings::new(HashMap::new(), [(String::new(), "all".to_owned())]);
        assert_eq!(everywhere.users_of("a.b").into_iter().collect::<Vec<_>>(), ["all"]);
    }
}
