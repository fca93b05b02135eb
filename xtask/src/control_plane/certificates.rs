//! Certificates of a control plane: one authority, which signs servers and clients on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The PEM file of the certificate.
    pub certificate: PathBuf,
    /// The PEM file of the private key.
    pub key: PathBuf,
}

impl Issued {
    pub(super) fn in_folder(folder: &Path, name: &str) -> Self {
        Self { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) }
    }
}

/// A certificate authority that lives in one folder.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority whose certificate is written to `<folder>/<name>.crt`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, format!("bailey {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        write(&folder.join(format!("{name}.crt")), &issuer.pem())?;
        Ok(Self { folder: folder.to_path_buf(), issuer })
    }

    /// A certificate for a server at 127.0.0.1 and `localhost`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn server(&self, name: &str) -> Result<Issued> {
        self.at_loopback(name, &[], vec![ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// The same for the names of Bailey's services, which is a client of its peers too.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn bailey(&self, name: &str) -> Result<Issued> {
        let services =
            ["bailey", "bailey-decisions", "bailey-peers"].map(|name| format!("{name}.bailey-system.svc"));
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.at_loopback(name, &services, usages)
    }

    fn at_loopback(
        &self,
        name: &str,
        services: &[String],
        usages: Vec<ExtendedKeyUsagePurpose>,
    ) -> Result<Issued> {
        let names: Vec<String> =
            std::iter::once("localhost".to_owned()).chain(services.iter().cloned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.extended_key_usages = usages;
        self.issue(name, params)
    }

    /// A certificate for a client whose common name is `user`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn client(&self, name: &str, user: &str) -> Result<Issued> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, params)
    }

    fn issue(&self, name: &str, mut params: CertificateParams) -> Result<Issued> {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let issued = Issued::in_folder(&self.folder, name);
        write(&issued.certificate, &certificate.pem())?;
        write_private(&issued.key, &key.serialize_pem())?;
        Ok(issued)
    }
}

/// Writes a file, and says which when it cannot.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let opened = options.open(file).and_then(|mut opened| opened.write_all(text.as_bytes()));
    opened.with_context(|| format!("cannot write `{}`", file.display()))
}
