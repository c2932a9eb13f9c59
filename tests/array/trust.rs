//! Certificates that are not trusted: each error says what is the case and what to do, at once,
//! and nothing is sent to who shows it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pso_gen::arrays::{Array as _, Endpoint, Error, FlashArray, RequestLimits, TokenFile, Trust};
use pso_gen::contract::Retry;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Change = fn(&mut CertificateParams);

/// What a certificate says of itself, but for one change.
fn params(name: &str, change: Change) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    params
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let params = params(name, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// What an array shows: its chain, and its key.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

/// A certificate that an authority has signed.
fn signed(issuer: &CertifiedIssuer<'static, KeyPair>, change: Change) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let certificate = params("array", change).signed_by(&key, issuer).expect("signed");
    Shown { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
}

/// One that has signed itself.
fn self_signed(change: Change) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let certificate = params("array", change).self_signed(&key).expect("signed");
    Shown { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
}

/// Asks an array that shows a certificate for its identity. Returns what comes of it, and how many connections
/// there were and how many bytes were sent over them.
async fn ask(shown: Option<Shown>, trust: Trust, folder: &Path) -> (Error, usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let acceptor = shown.map(|Shown { chain, key, .. }| {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.expect("a certificate")))
    });
    let (seen, read) = (Arc::clone(&connections), Arc::clone(&bytes));
    let server = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            seen.fetch_add(1, Ordering::Relaxed);
            let Some(acceptor) = &acceptor else {
                use tokio::io::AsyncWriteExt as _;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                let _ = stream.read(&mut [0; 1024]).await;
                continue;
            };
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let length = stream.read(&mut [0; 1024]).await.unwrap_or_default();
                read.fetch_add(length, Ordering::Relaxed);
            }
        }
    });
    let token = folder.join("token");
    std::fs::write(&token, "T-secret").expect("written");
    let array = FlashArray::new(Endpoint {
        name: "fa1".to_owned(),
        management: format!("localhost:{port}"),
        token: TokenFile::new(token),
        trust,
        id: None,
        limits: RequestLimits::default(),
        observer: None,
    });
    let error = array.expect("an address").identity().await.expect_err("not trusted");
    server.abort();
    (error, connections.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
}

/// The same with a file of authorities.
async fn with_ca(shown: Shown, pem: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).expect("written");
    message_of(ask(Some(shown), Trust::Ca(ca), folder.path()).await)
}

/// Holds of an error what is the same of all. Returns its text.
fn message_of((error, connections, bytes): (Error, usize, usize)) -> String {
    assert_eq!((error.reason(), error.retry()), ("Untrusted", Retry::Later), "{error}");
    assert!(connections <= 1, "it is not asked {connections} times: {error}");
    assert_eq!(bytes, 0, "nothing is sent: {error}");
    let text = error.to_string();
    for raw in ["invalid peer", "Other(", "UnixTime", "DnsName", "UsedAs", "UnknownIssuer", "UNIX"]
    {
        assert!(!text.contains(raw), "{text}");
    }
    assert!(text.contains("; "), "it says what to do: {text}");
    let text = text.strip_prefix("fa1: the array is not trusted: ").expect("what it is about");
    text.to_owned()
}

#[tokio::test]
async fn what_signs_others_is_no_array_s_certificate() {
    let own = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let pem = own.pem.clone();
    let text = with_ca(own, &pem).await;
    assert!(text.starts_with("its certificate is that of an authority (CA:TRUE)"), "{text}");
    assert!(text.ends_with("or write its `pin` instead of `ca`"), "{text}");
}

#[tokio::test]
async fn an_authority_must_have_signed_it() {
    let (authority, other) = (authority("ours"), authority("another"));
    let unknown = "no authority in the file `ca` has signed its certificate";
    let text = with_ca(signed(&authority, |_| {}), &other.pem()).await;
    assert!(text.starts_with(unknown), "{text}");
    // The array's own certificate is no authority for one that another has signed.
    let own = signed(&authority, |_| {});
    let pem = own.pem.clone();
    let text = with_ca(own, &pem).await;
    assert!(text.starts_with(unknown), "{text}");
    // Of the same name, with another key.
    let twin = self::authority("ours");
    let text = with_ca(signed(&authority, |_| {}), &twin.pem()).await;
    assert!(text.starts_with(unknown), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    let shown = Some(signed(&authority, |_| {}));
    let text = message_of(ask(shown, Trust::System, folder.path()).await);
    assert!(text.starts_with("no authority that this machine trusts"), "{text}");
    assert!(text.ends_with("write `ca` with that authority, or `pin`"), "{text}");
}

#[tokio::test]
async fn what_has_not_the_right_to_sign_has_signed_nothing() {
    let authority = authority("ours");
    let key = KeyPair::generate().expect("a key");
    let between = params("between", |params| params.is_ca = IsCa::ExplicitNoCa);
    let between = CertifiedIssuer::signed_by(between, key, &authority).expect("signed");
    let mut shown = signed(&between, |_| {});
    shown.chain.push(between.der().clone());
    let text = with_ca(shown, &authority.pem()).await;
    assert!(
        text.starts_with("its certificate is signed by a certificate that is not an authority"),
        "{text}"
    );
}

#[tokio::test]
async fn times_that_do_not_fit_are_reported_with_the_clock() {
    let authority = authority("ours");
    let old = signed(&authority, |params| params.not_after = date_time_ymd(2021, 3, 1));
    let text = with_ca(old, &authority.pem()).await;
    assert!(
        text.starts_with(
            "its certificate expired at 2021-03-01T00:00:00Z, and the present time is 20"
        ),
        "{text}"
    );
    assert!(text.contains("renew the certificate on the array"), "{text}");
    let early = signed(&authority, |params| {
        (params.not_before, params.not_after) =
            (date_time_ymd(2090, 1, 1), date_time_ymd(2099, 1, 1));
    });
    let text = with_ca(early, &authority.pem()).await;
    assert!(
        text.starts_with(
            "its certificate is valid from 2090-01-01T00:00:00Z, and the present time is 20"
        ),
        "{text}"
    );
    assert!(text.contains("correct the clock of this machine"), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_fit_is_reported_with_those_that_do() {
    let authority = authority("ours");
    let other = signed(&authority, |params| {
        let names = vec!["fa1.example.com".to_owned(), "192.0.2.1".to_owned()];
        params.subject_alt_names = CertificateParams::new(names).expect("names").subject_alt_names;
    });
    let text = with_ca(other, &authority.pem()).await;
    assert!(
        text.starts_with(
            "its certificate is for fa1.example.com, 192.0.2.1, and `management` is localhost; "
        ),
        "{text}"
    );
    let hostile = signed(&authority, |params| {
        let names = (0..40).map(|n| format!("{n}{}.example.com", "a".repeat(50)));
        let names = names.collect::<Vec<_>>();
        params.subject_alt_names = CertificateParams::new(names).expect("names").subject_alt_names;
    });
    assert!(with_ca(hostile, &authority.pem()).await.chars().count() <= 301);
}

#[tokio::test]
async fn a_certificate_is_for_servers() {
    let authority = authority("ours");
    let client = signed(&authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let text = with_ca(client, &authority.pem()).await;
    assert!(text.starts_with("its certificate is not for servers"), "{text}");
}

#[tokio::test]
async fn a_pin_is_of_one_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = Some(self_signed(|_| {}));
    let text = message_of(ask(shown, Trust::Pin([7; 32]), folder.path()).await);
    assert!(text.starts_with("its key differs from `pin`"), "{text}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = message_of(ask(None, Trust::System, folder.path()).await);
    assert_eq!(text, "the server at this port does not use TLS; correct the port in `management`");
}

#[tokio::test]
async fn a_file_without_authorities_is_reported_before_anything_is_sent() {
    let pem = self_signed(|_| {});
    let text = with_ca(pem, "no certificate at all").await;
    assert!(text.starts_with("the file `ca` is not a PEM file with certificates; "), "{text}");
}
