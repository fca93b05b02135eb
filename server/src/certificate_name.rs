//! The names in a certificate.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Whether a certificate has this common name, DNS name or IP address.
pub(crate) fn has_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let common = certificate.subject().iter_common_name().any(|found| found.as_str() == Ok(name));
    let address = name.parse::<IpAddr>().ok().map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    let alternative = certificate.subject_alternative_name().ok().flatten().is_some_and(|names| {
        names.value.general_names.iter().any(|found| match found {
            GeneralName::DNSName(dns) => *dns == name,
            GeneralName::IPAddress(bytes) => address.as_deref() == Some(*bytes),
            _ => false,
        })
    });
    common || alternative
}
