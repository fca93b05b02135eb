//! Who a client certificate names, as the API server reads it: the common name is the user, organisations are groups.

use model::{Code, UserInfo};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::refusal::Refusal;

/// The user of a certificate that was already held against the authority.
pub(crate) fn user_of(certificate: &[u8]) -> Result<UserInfo, Refusal> {
    let refuse =
        |what: &str| Refusal::new(Code::GatewayUnauthenticated, format!("the client certificate {what}"));
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| refuse("cannot be read"))?;
    // A connection may outlive the certificate that it was made with.
    if !certificate.validity().is_valid() {
        return Err(refuse("is no longer valid, or not yet"));
    }
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned);
    let names: Vec<_> = certificate.subject().iter_common_name().map(text).collect();
    let [Ok(username)] = names.as_slice() else {
        return Err(refuse("has to have just one common name, which is the user"));
    };
    let groups: Result<Vec<String>, _> = certificate.subject().iter_organization().map(text).collect();
    let groups = groups.map_err(|_| refuse("has an organisation that is no text"))?;
    Ok(UserInfo { username: username.clone(), groups, ..UserInfo::default() })
}
