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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
