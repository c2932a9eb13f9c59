//! Explains why an array's certificate is not trusted, with the cause and a remedy. Knows neither the requests nor how
//! certificates are verified.

use std::error::Error as StdError;
use std::io;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::trust::Trust;
use crate::sanitize;

/// A failed TLS handshake with an array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TlsFailure(TlsError);

impl TlsFailure {
    /// Returns the TLS failure among the sources of an error.
    pub(super) fn found_in(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<TlsError>() {
                return Some(Self(tls.clone()));
            }
            // The inner error of an I/O error is not among its sources.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    /// Returns the cause and a remedy. `trust` is the configuration that the certificate was verified against.
    pub(super) fn explanation(&self, trust: &Trust) -> String {
        match &self.0 {
            TlsError::InvalidCertificate(why) => certificate(why, trust),
            TlsError::NoCertificatesPresented => {
                "it presents no certificate; install one for its management interface".to_owned()
            }
            TlsError::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
            )
            | TlsError::PeerIncompatible(_) => {
                "it offers no supported cipher of TLS 1.2 or newer; update the array, or enable TLS 1.2 on it"
                    .to_owned()
            }
            TlsError::InvalidMessage(_) => {
                "the server at this port does not use TLS; correct the port in `management`".to_owned()
            }
            other => format!("the TLS handshake failed ({other}); check for a proxy or firewall in front of the array"),
        }
    }
}

fn certificate(why: &CertificateError, trust: &Trust) -> String {
    use CertificateError as E;
    match why {
        E::UnknownIssuer | E::BadSignature => match trust {
            Trust::Ca(_) => "no authority in the file `ca` has signed its certificate; put the certificate of \
                that authority there, or the array's own certificate if it is self-signed, or write its `pin`"
                .to_owned(),
            Trust::System | Trust::Pin(_) => "no authority that this machine trusts has signed its certificate; \
                write `ca` with that authority, or `pin`"
                .to_owned(),
        },
        E::ExpiredContext { time, not_after } => format!(
            "its certificate expired at {}, and the present time is {}; renew the certificate on the array, or \
             correct the clock of this machine",
            day(*not_after),
            day(*time)
        ),
        E::Expired => "its certificate has expired; renew it on the array".to_owned(),
        E::NotValidYetContext { time, not_before } => format!(
            "its certificate is valid from {}, and the present time is {}; correct the clock of this machine, or \
             correct that of the array and create a new certificate",
            day(*not_before),
            day(*time)
        ),
        E::NotValidYet => {
            "its certificate is not valid yet; correct the clock of this machine".to_owned()
        }
        E::NotValidForNameContext { expected, presented } => {
            let names = match presented.as_slice() {
                [] => "no name".to_owned(),
                names => names.iter().take(NAMES).map(|name| bare(name)).collect::<Vec<_>>().join(", "),
            };
            let names = sanitize::line(&names, NAMES_LONGEST);
            format!(
                "its certificate is for {names}, and `management` is {}; write a name from the \
                 certificate, or install a certificate with this name, or write its `pin`",
                expected.to_str()
            )
        }
        E::NotValidForName => "its certificate is for another name than `management`; write a name from \
            the certificate, or write its `pin`"
            .to_owned(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "its certificate is not for servers; install one with the purpose serverAuth".to_owned()
        }
        E::Revoked => "its certificate is revoked; install a new one".to_owned(),
        E::ApplicationVerificationFailure => "its key differs from `pin`; if the array has a new certificate, \
            write the new pin, otherwise check which server is at this address"
            .to_owned(),
        E::BadEncoding => "its certificate cannot be parsed; create a new one on the array".to_owned(),
        // rustls-webpki reports this error only as text.
        E::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority (CA:TRUE), which a server must not present; create one \
             with CA:FALSE on the array, or write its `pin` instead of `ca`"
                .to_owned()
        }
        E::Other(other) if other.to_string().contains("EndEntityUsedAsCa") => {
            "its certificate is signed by a certificate that is not an authority (CA:FALSE); have the authority sign it"
                .to_owned()
        }
        other => format!(
            "its certificate is not valid ({other}); create a new one on the array, or write its `pin`"
        ),
    }
}

/// Largest number of a certificate's names to list.
const NAMES: usize = 8;
/// Largest length of that list, in characters, so that the remedy after it stays readable.
const NAMES_LONGEST: usize = 80;

/// Returns a name of a certificate without its type: `DnsName("fb1.example.com")`.
fn bare(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"').to_owned()
}

/// Formats a time in UTC.
fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_however_deep_it_is() {
        let tls = TlsError::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::other(tls.clone()));
        assert_eq!(TlsFailure::found_in(&wrapped), Some(TlsFailure(tls)));
        assert_eq!(TlsFailure::found_in(&io::Error::other("no route to host")), None);
    }

    #[test]
    fn names_and_times_are_bare() {
        assert_eq!(bare("DnsName(\"fb1.example.com\")"), "fb1.example.com");
        assert_eq!(bare("fb1.example.com"), "fb1.example.com");
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
        assert_eq!(day(time), "2023-11-14T22:13:20Z");
    }
}
