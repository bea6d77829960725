//! Certificate files: read, matched with their key, and judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_spec::Millis;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::settings::TlsFiles;

/// Why certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be read as PEM.
    #[error("reading {path} as {what}: {error}; name a PEM file that this user may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it ought to hold.
        what: &'static str,
        /// What went wrong.
        error: String,
    },
    /// The file holds no certificate.
    #[error("{0} holds no certificate; name the PEM file with the full chain, the relay's own first")]
    Empty(PathBuf),
    /// Key and certificate do not belong together.
    #[error(
        "the key {key} is not the one of the certificate {certificate}; name the pair that was issued together"
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate is not valid now.
    #[error(
        "the certificate {path} is not valid now (from {from} until {until}); renew it, or check the clock"
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// When it begins.
        from: String,
        /// When it ends.
        until: String,
    },
}

/// Reads and matches the files, and makes the server's TLS configuration of them.
///
/// The process's rustls provider must be installed.
///
/// # Errors
/// What is wrong with the files.
pub fn load_tls(files: &TlsFiles, now: Millis) -> Result<Arc<rustls::ServerConfig>, TlsFault> {
    let chain = read_chain(&files.certificate)?;
    valid_now(&files.certificate, &chain, now)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable(&files.key, "a private key", &error))?;
    let mismatch = || TlsFault::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let pair = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|_| mismatch())?;
    pair.keys_match().map_err(|_| mismatch())?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| mismatch())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unreadable(path: &Path, what: &'static str, error: &impl std::fmt::Display) -> TlsFault {
    TlsFault::Unreadable { path: path.into(), what, error: error.to_string() }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read = |error: rustls::pki_types::pem::Error| unreadable(path, "a certificate", &error);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    let chain = chain.map_err(read)?;
    if chain.is_empty() { Err(TlsFault::Empty(path.into())) } else { Ok(chain) }
}

fn valid_now(path: &Path, chain: &[CertificateDer<'_>], now: Millis) -> Result<(), TlsFault> {
    let own = chain.first().ok_or_else(|| TlsFault::Empty(path.into()))?;
    let (_, certificate) =
        X509Certificate::from_der(own).map_err(|error| unreadable(path, "a certificate", &error))?;
    let validity = certificate.validity();
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    if (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&seconds) {
        return Ok(());
    }
    Err(TlsFault::Expired {
        path: path.into(),
        from: validity.not_before.to_string(),
        until: validity.not_after.to_string(),
    })
}
