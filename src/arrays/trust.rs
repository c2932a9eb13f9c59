//! Verification of an array's certificate. There is no option to skip it.

use crate::contract::certificate_pin;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// The trust anchor for an array's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the machine trusts.
    System,
    /// The authorities in a PEM file, and no others.
    Ca(PathBuf),
    /// One public key, whatever name and dates the certificate has: the SHA-256 of its `SubjectPublicKeyInfo`.
    Pin([u8; 32]),
}

impl Trust {
    /// Parses a pin: `sha256:` and 64 hexadecimal digits.
    pub fn pin(text: &str) -> Option<Self> {
        certificate_pin(text).map(Self::Pin)
    }

    /// Reads the file of authorities, if one is configured.
    pub(super) async fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let Self::Ca(path) = self else { return Ok(None) };
        let text = tokio::fs::read(path).await;
        text.map(Some).map_err(|error| {
            format!("the file `ca` ({}) cannot be read: {}", path.display(), error.kind())
        })
    }

    /// Configures certificate verification. `authorities` is the result of [`Self::read`].
    pub(super) fn apply(
        &self,
        builder: ClientBuilder,
        authorities: Option<&[u8]>,
    ) -> Result<ClientBuilder, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (self, authorities) {
            (Self::Pin(pin), _) => Arc::new(Pinned { pin: *pin, provider: Arc::clone(&provider) }),
            (_, Some(pem)) => {
                let roots = Arc::new(roots(pem)?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| error.to_string())?
            }
            (_, None) => {
                // It fails if a provider is already installed, which is fine.
                let _ = ring::default_provider().install_default();
                return Ok(builder);
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(builder.tls_backend_preconfigured(config))
    }
}

const NO_PEM: &str = "the file `ca` is not a PEM file with certificates; put the certificate of the authority \
    there that signed the array's certificate, from `-----BEGIN CERTIFICATE-----` on";
const NO_CERTIFICATE: &str =
    "a certificate in the file `ca` cannot be parsed; export it from the authority again, as PEM";

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| NO_PEM.to_owned())?;
        roots.add(certificate).map_err(|_| NO_CERTIFICATE.to_owned())?;
    }
    if roots.is_empty() { Err(NO_PEM.to_owned()) } else { Ok(roots) }
}

/// Accepts only the holder of one key, as `known_hosts` does for SSH.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let key = Sha256::digest(certificate.subject_public_key_info());
        if *key == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_has_one() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        for (pem, why) in [
            ("", NO_PEM),
            ("<html>", NO_PEM),
            (private, NO_PEM),
            (broken, NO_PEM),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NO_CERTIFICATE),
        ] {
            assert_eq!(
                roots(pem.as_bytes()).map(|roots| roots.len()),
                Err(why.to_owned()),
                "{pem}"
            );
        }
    }

    #[test]
    fn a_pin_is_a_whole_digest() {
        let digits = "0f".repeat(32);
        assert_eq!(Trust::pin(&format!("sha256:{digits}")), Some(Trust::Pin([15; 32])));
        for bad in ["", "sha256:0f", &digits, &format!("sha256:{}", "g".repeat(64))] {
            assert_eq!(Trust::pin(bad), None, "{bad}");
        }
    }
}
