use super::*;
use crate::rego::input::{decode, decode_request, from_json};
use model::{Code, MAX_DEPTH};
use proptest::prelude::*;

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has finite numbers only", |n| n.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z]{1,70}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(prop_oneof!["[a-c]{1,12}", any::<String>()], inner, 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn decoding_agrees_with_serde_json(value in any_json()) {
        let text = value.to_string();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let decoded = decode(text.as_bytes()).unwrap();
        prop_assert_eq!(&decoded, &from_json(&parsed));
        prop_assert_eq!(&decoded, &Value::from_json_str(&text).unwrap());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let parsed = serde_json::from_slice::<serde_json::Value>(&bytes);
        prop_assert_eq!(decode(&bytes).is_ok(), parsed.is_ok());
    }
}

#[test]
fn integers_are_exact_and_the_last_of_two_names_counts() {
    for number in ["9007199254740993", "18446744073709551615", "-9223372036854775808"] {
        assert_eq!(decode(number.as_bytes()).unwrap().to_string(), number);
    }
    assert_eq!(decode(br#"{"a":1,"b":2,"a":3}"#).unwrap(), decode(br#"{"b":2,"a":3}"#).unwrap());
    assert_eq!(decode(br#""\u00e9\n""#).unwrap(), Value::from("é\n"));
}

#[test]
fn a_request_is_decoded_without_managed_fields_and_nothing_else_is_missing() {
    let object = |managed: &str| {
        format!(
            r#"{{"managedFields":1,"metadata":{{"name":"a"{managed}}},"spec":{{"managedFields":2,"metadata":{{"managedFields":3}}}}}}"#
        )
    };
    let request = |managed: &str| {
        let object = object(managed);
        format!(
            r#"{{"object":{object},"oldObject":{object},"metadata":{{"managedFields":4}},"options":{object}}}"#
        )
    };
    let managed = request(r#","managedFields":[{"manager":"m","fieldsV1":{"f:spec":{}}}],"uid":"u""#);
    let decoded = decode_request(managed.as_bytes()).unwrap();
    // Those of `options` stay: they are no object's.
    let wanted = request(r#","uid":"u""#);
    let options = decode(managed.as_bytes()).unwrap();
    let mut wanted = decode(wanted.as_bytes()).unwrap();
    wanted.as_object_mut().unwrap().insert("options".into(), options["options"].clone());
    assert_eq!(decoded, wanted);
}

#[test]
fn depth_is_accepted_as_in_the_review_decoder() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode(nested(MAX_DEPTH).as_bytes()).is_ok());
    for depth in [MAX_DEPTH + 1, 10_000] {
        assert_eq!(decode(nested(depth).as_bytes()).unwrap_err().code, Code::ReviewTooDeep);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", "{", "[1,]", "{\"a\"}", "1 2", "nul", "\"\\x\"", "1e999", "{1:2}"] {
        assert_eq!(decode(text.as_bytes()).unwrap_err().code, Code::ReviewMalformed, "{text}");
    }
}
