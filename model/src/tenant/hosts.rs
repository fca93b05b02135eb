use serde_json::Value;

/// The host names that an Ingress, a Gateway or one of its routes uses, in lower case and without the dot of the
/// root. An empty one means every name.
pub fn hosts(object: &Value) -> Vec<String> {
    let texts = |list: Option<&Value>, field: &str| -> Vec<String> {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        let text = |item: &Value| item.get(field).and_then(Value::as_str).map(plain).unwrap_or_default();
        items.map(text).collect()
    };
    let spec = object.get("spec");
    let find = |field: &str| spec.and_then(|spec| spec.get(field));
    let mut found = texts(find("rules"), "host");
    if let Some(listeners) = find("listeners") {
        return texts(Some(listeners), "hostname");
    }
    // Routes have rules too, without hosts of their own.
    if find("parentRefs").is_some() || find("hostnames").is_some() {
        let names = find("hostnames").and_then(Value::as_array).into_iter().flatten();
        found = names.filter_map(Value::as_str).map(plain).collect();
    }
    for tls in find("tls").and_then(Value::as_array).into_iter().flatten() {
        let names = tls.get("hosts").and_then(Value::as_array).into_iter().flatten();
        found.extend(names.filter_map(Value::as_str).map(plain));
    }
    if find("defaultBackend").is_some() {
        found.push(String::new());
    }
    found.sort();
    found.dedup();
    found
}

/// A name as all of its spellings are.
fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

/// The names that mean a host name too and that a look-up finds: of `a.b.c` these are `*.b.c`, `*.c` and the empty one.
pub fn wildcards_above(name: &str) -> Vec<String> {
    let mut wide = Vec::new();
    let mut rest = name;
    while let Some((_, above)) = rest.split_once('.') {
        wide.push(format!("*.{above}"));
        rest = above;
    }
    wide.push(String::new());
    wide.retain(|wide| wide != name);
    wide
}

/// Whether a name such as `*.example.com` means another too, at any depth as with Gateways; the empty one means all.
pub fn covers(wide: &str, name: &str) -> bool {
    let below = |end: &str| name.strip_suffix(end).is_some_and(|first| !first.is_empty());
    wide != name && (wide.is_empty() || wide.strip_prefix('*').is_some_and(below))
}

/// Host names that a request wants for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnameAsk {
    /// The tenant.
    pub tenant: String,
    /// The names, each once.
    pub names: Vec<String>,
    /// The uid of the request's review.
    pub request: String,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
}

/// Why a request does not get its host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostnameFault {
    /// Another tenant has this one, or one that means it too.
    Taken(String),
    /// It could not be found out whether they are free, because of this.
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wildcard_covers_what_is_below_and_no_name_covers_all() {
        assert!(covers("*.example.com", "a.b.example.com") && covers("", "x") && covers("*.com", "*.a.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("a.example.com", "a.example.com") && !covers("", "") && !covers("*.a", "*.a"));
        assert_eq!(wildcards_above("a.b.c"), ["*.b.c", "*.c", ""]);
        assert_eq!(wildcards_above("*.b.c"), ["*.c", ""]);
        assert!(wildcards_above("").is_empty());
        for name in ["a.b.c", "*.b.c", "x"] {
            assert!(wildcards_above(name).iter().all(|wide| covers(wide, name)), "{name}");
        }
    }

    #[test]
    fn every_place_of_a_host_name_is_read() {
        let ingress = json!({"spec": {
            "rules": [{"host": "A.example.com"}, {"http": {}}],
            "tls": [{"hosts": ["b.example.com", "a.example.com"]}],
        }});
        assert_eq!(hosts(&ingress), ["", "a.example.com", "b.example.com"]);
        assert_eq!(hosts(&json!({"spec": {"defaultBackend": {}}})), [""]);
        let gateway = json!({"spec": {"listeners": [{"hostname": "*.example.com"}, {"port": 80}]}});
        assert_eq!(hosts(&gateway), ["*.example.com", ""]);
        let route =
            json!({"spec": {"parentRefs": [{}], "hostnames": ["x.example.com"], "rules": [{"matches": []}]}});
        assert_eq!(hosts(&route), ["x.example.com"]);
        assert_eq!(
            hosts(&json!({"spec": {"listeners": [{"hostname": "B.example.com."}]}})),
            ["b.example.com"]
        );
        // A route without names takes those of its Gateway, which is held against the rules itself.
        assert!(hosts(&json!({"spec": {"parentRefs": [{}], "rules": [{}]}})).is_empty());
        assert!(hosts(&json!({"spec": {"rules": "?"}})).is_empty() && hosts(&json!(1)).is_empty());
    }
}
