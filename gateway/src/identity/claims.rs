//! Whether a token is what it says, with keys that are at hand, and whom it names.

use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use model::UserInfo;
use serde_json::{Map, Value};

use super::issuer::{Issuer, Mapping};

/// The difference between clocks that is let pass.
const LEEWAY: Duration = Duration::from_secs(10);
/// The most groups of a user.
const MAX_GROUPS: usize = 1_000;
/// The most keys of an issuer.
const MAX_KEYS: usize = 100;

/// The keys of an issuer, by their ids.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// Why a token names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is signed with a key that is not at hand: newer ones may have it.
    UnknownKey,
    /// What is wrong with it, as its sender is told.
    Invalid(String),
}

fn invalid(what: impl Into<String>) -> Fault {
    Fault::Invalid(what.into())
}

impl Keys {
    /// The keys of a set that can verify anything; others are left out. `None` without one.
    pub(super) fn of(set: &JwkSet) -> Option<Self> {
        let keys: Vec<Key> = set.keys.iter().take(MAX_KEYS).filter_map(Key::of).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key of a token. Without an id it is the only one of its kind.
    fn find(&self, header: &Header) -> Result<&Key, Fault> {
        let fits = |key: &&Key| {
            key.key.family() == header.alg.family() && key.algorithm.is_none_or(|only| only == header.alg)
        };
        let mut fitting =
            self.0.iter().filter(|key| header.kid.is_none() || key.id == header.kid).filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(Fault::UnknownKey),
            (Some(_), Some(_)) => Err(invalid("does not say which of the issuer's keys signed it (`kid`)")),
        }
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let signs = common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
        let algorithm = match &common.key_algorithm {
            Some(named) => Some(named.to_string().parse().ok()?),
            None => None,
        };
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| signs)?;
        // A key that both ends share would let the issuer's readers sign.
        let shared = key.family() == Algorithm::HS256.family();
        (!shared).then(|| Self { id: common.key_id.clone(), algorithm, key })
    }
}

/// Whom a token names, if it is signed with one of the keys, by this issuer, for one of its audiences, and valid now.
pub(super) fn user_of(
    token: &str,
    issuer: &Issuer,
    allowed: &[Algorithm],
    keys: &Keys,
) -> Result<UserInfo, Fault> {
    let header = decode_header(token)
        .map_err(|_| invalid("is none, or signed with an algorithm that is not known"))?;
    if !allowed.contains(&header.alg) {
        return Err(invalid(format!("is signed with {:?}, which is not allowed for its issuer", header.alg)));
    }
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(invalid("has a header `crit`, `enc` or `zip`, which nobody here understands"));
    }
    // RFC 8725, section 3.11: what says that it is something else, such as an access token (`at+jwt`), is no identity token.
    if let Some(kind) = header.typ.as_ref().filter(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(invalid(format!("is {kind:?} by its header (`typ`), and no identity token")));
    }
    let key = keys.find(&header)?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&issuer.audiences);
    validation.set_issuer(&[&issuer.url]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY.as_secs();
    let claims = decode::<Map<String, Value>>(token, &key.key, &validation);
    let claims = claims.map_err(|error| invalid(format!("is not valid: {error}")))?.claims;
    mapped(&claims, issuer)
}

fn mapped(claims: &Map<String, Value>, issuer: &Issuer) -> Result<UserInfo, Fault> {
    let Mapping { claim, prefix } = &issuer.username;
    let name = claims.get(claim).and_then(Value::as_str).filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| invalid(format!("has no text in the claim `{claim}`, which is the user's name")))?;
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(invalid("has an address in `email` that its issuer has not verified"));
    }
    let groups = match &issuer.groups {
        Some(mapping) => groups(claims.get(&mapping.claim), mapping)?,
        None => Vec::new(),
    };
    Ok(UserInfo { username: format!("{prefix}{name}"), groups, ..UserInfo::default() })
}

fn groups(value: Option<&Value>, mapping: &Mapping) -> Result<Vec<String>, Fault> {
    let wrong = || invalid(format!("has something else than texts in the claim `{}`", mapping.claim));
    let named = |text: &str| format!("{}{text}", mapping.prefix);
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![named(one)]),
        Some(Value::Array(all)) if all.len() > MAX_GROUPS => {
            Err(invalid(format!("names {} groups; at most {MAX_GROUPS} pass", all.len())))
        }
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(named).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, encode, get_current_timestamp};
    use serde_json::json;

    use super::*;

    struct Signer {
        key: EncodingKey,
        jwk: Jwk,
    }

    fn signer(id: &str) -> Signer {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Signer { key, jwk }
    }

    fn issuer() -> Issuer {
        serde_json::from_value(json!({
            "url": "https://issuer", "audiences": ["bailey"], "username": {"claim": "email", "prefix": "corp:"},
            "groups": {"claim": "groups", "prefix": "corp:"},
        }))
        .unwrap()
    }

    fn claims() -> Value {
        let exp = get_current_timestamp().saturating_add(600);
        json!({
            "iss": "https://issuer", "aud": ["other", "bailey"], "exp": exp, "email": "a@b", "email_verified": true,
            "groups": ["x", "y"],
        })
    }

    fn token(signer: &Signer, claims: &Value) -> String {
        let header = Header { kid: signer.jwk.common.key_id.clone(), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &signer.key).unwrap()
    }

    fn keys(signers: &[&Signer]) -> Keys {
        Keys::of(&JwkSet { keys: signers.iter().map(|signer| signer.jwk.clone()).collect() }).unwrap()
    }

    fn judge(token: &str, keys: &Keys) -> Result<UserInfo, Fault> {
        user_of(token, &issuer(), &[Algorithm::ES256], keys)
    }

    #[test]
    fn a_token_names_a_user_with_groups() {
        let signer = signer("one");
        let user = judge(&token(&signer, &claims()), &keys(&[&signer])).unwrap();
        assert_eq!(
            (user.username.as_str(), user.groups),
            ("corp:a@b", vec!["corp:x".to_owned(), "corp:y".to_owned()])
        );
    }

    #[test]
    fn a_claim_that_is_not_as_it_has_to_be_is_refused() {
        let signer = signer("one");
        let keys = keys(&[&signer]);
        let now = get_current_timestamp();
        let cases = [
            ("iss", json!("https://issuer/")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", Value::Null),
            ("exp", json!(now - 60)),
            ("exp", Value::Null),
            ("exp", json!("soon")),
            ("nbf", json!(now + 60)),
            ("email", json!("")),
            ("email", json!(["a@b"])),
            ("email_verified", json!(false)),
            ("email_verified", json!("true")),
            ("groups", json!({"a": 1})),
            ("groups", json!([1])),
            ("groups", json!(vec!["a"; MAX_GROUPS + 1])),
        ];
        for (name, value) in cases {
            let mut claims = claims();
            claims[name] = value.clone();
            let verdict = judge(&token(&signer, &claims), &keys);
            assert!(matches!(verdict, Err(Fault::Invalid(_))), "{name} {value}: {verdict:?}");
        }
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove("email_verified");
        assert!(judge(&token(&signer, &claims), &keys).is_err());
    }

    #[test]
    fn a_signature_of_another_key_is_refused() {
        let (one, two) = (signer("one"), signer("two"));
        assert_eq!(judge(&token(&two, &claims()), &keys(&[&one])), Err(Fault::UnknownKey));
        let mut forged = signer("one");
        forged.jwk.common.key_id = Some("one".to_owned());
        assert!(matches!(judge(&token(&forged, &claims()), &keys(&[&one])), Err(Fault::Invalid(_))));
        let unnamed = encode(&Header::new(Algorithm::ES256), &claims(), &one.key).unwrap();
        assert!(judge(&unnamed, &keys(&[&one])).is_ok());
        assert!(matches!(judge(&unnamed, &keys(&[&one, &two])), Err(Fault::Invalid(_))));
        let whole = token(&one, &claims());
        let (signed, _) = whole.rsplit_once('.').unwrap();
        for broken in
            [format!("{signed}."), signed.to_owned(), format!("{whole}A"), String::new(), "..".to_owned()]
        {
            assert!(judge(&broken, &keys(&[&one])).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_says_that_it_is_something_else_is_refused() {
        let one = signer("one");
        let typed = |kind: Option<&str>| {
            let typ = kind.map(str::to_owned);
            let header = Header { kid: Some("one".to_owned()), typ, ..Header::new(Algorithm::ES256) };
            judge(&encode(&header, &claims(), &one.key).unwrap(), &keys(&[&one])).is_ok()
        };
        assert!([None, Some("JWT"), Some("jwt")].into_iter().all(typed));
        let others = ["at+jwt", "application/at+jwt", "logout+jwt", ""];
        assert!(!others.into_iter().any(|kind| typed(Some(kind))));
    }

    #[test]
    fn a_public_key_is_no_secret_and_a_secret_is_no_key() {
        let one = signer("one");
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        let shared = EncodingKey::from_secret(serde_json::to_string(&one.jwk).unwrap().as_bytes());
        let confused = encode(&header, &claims(), &shared).unwrap();
        assert!(matches!(judge(&confused, &keys(&[&one])), Err(Fault::Invalid(_))));
        let mut secret = one.jwk.clone();
        secret.algorithm = serde_json::from_value(json!({"kty": "oct", "k": "c2VjcmV0"})).unwrap();
        assert!(Keys::of(&JwkSet { keys: vec![secret] }).is_none());
        let mut critical = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
        critical.crit = Some(vec!["b64".to_owned()]);
        assert!(judge(&encode(&critical, &claims(), &one.key).unwrap(), &keys(&[&one])).is_err());
        let mut other = one.jwk.clone();
        other.common.public_key_use = Some(PublicKeyUse::Encryption);
        assert!(Keys::of(&JwkSet { keys: vec![other] }).is_none());
    }
}
