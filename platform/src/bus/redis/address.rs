//! Where Redis is, and for TLS whose word is taken for it.
//!
//! `redis://` is plain, `rediss://` is TLS, checked against the machine's own
//! certificate authorities or against one file of them. There is no way to talk TLS
//! to a server that is not checked.

use std::fmt;
use std::path::{Path, PathBuf};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::bus::BusError;

/// How to reach Redis.
#[derive(Clone, Default)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: String,
    /// A PEM file with the certificate authorities to trust, in place of the machine's
    /// own. Only for `rediss://`.
    pub ca: Option<PathBuf>,
}

/// Without the URL, since it may hold a password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions").field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Reads what the options name. Connects to nothing yet.
///
/// # Errors
/// The URL or the file makes no sense. Neither error shows the URL.
pub(super) fn client(options: &RedisOptions) -> Result<Client, BusError> {
    // Refused if there is one already, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let info: ConnectionInfo = options.url.as_str().into_connection_info().map_err(|error| {
        BusError::Broken(format!(
            "the URL of Redis is not redis://[user:password@]host[:port][/database], with special characters \
             as %xx: {error}"
        ))
    })?;
    let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(BusError::Broken(
            "an unchecked certificate is no TLS: name its authority instead of #insecure".into(),
        ));
    }
    let client = match &options.ca {
        None => Client::open(info),
        Some(file) if !tls => {
            return Err(BusError::Broken(format!("{} is of no use without rediss://", file.display())));
        }
        Some(file) => {
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(authorities(file)?) })
        }
    };
    client.map_err(|error| BusError::Broken(error.to_string()))
}

/// The file, if there is a certificate in it.
fn authorities(file: &Path) -> Result<Vec<u8>, BusError> {
    let refused = |why: String| BusError::Broken(format!("the certificate authorities in {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| refused(error.to_string()))?;
        certificates += 1;
    }
    if certificates == 0 { Err(refused("no certificate in it".to_owned())) } else { Ok(pem) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn refusal(url: &str, ca: Option<&Path>) -> String {
        let options = RedisOptions { url: url.to_owned(), ca: ca.map(Path::to_owned) };
        client(&options).unwrap_err().to_string()
    }

    #[test]
    fn no_refusal_and_no_debug_text_shows_the_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let urls = [
            "redis://shop:hunter2@host:port",
            "redis://shop:hunter2@host/database",
            "redis:/shop:hunter2@",
            "hunter2",
            "http://shop:hunter2@host",
            "redis://shop:hunter2#3@host",
            "rediss://shop:hunter2@host#insecure",
            "redis://shop:hunter2@[::1",
        ];
        for url in urls {
            let text = refusal(url, None);
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert!(!refusal("redis://shop:hunter2@host", Some(file.path())).contains("hunter2"));
        let options = RedisOptions { url: "redis://shop:hunter2@host".into(), ca: None };
        assert!(!format!("{options:?}").contains("hunter2"));
        let client = client(&options).unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = file.path().display().to_string();
        assert!(refusal("rediss://host", Some(file.path())).contains(&name));
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(refusal("rediss://host", Some(file.path())).contains(&name));
        let gone = Path::new("/nowhere/ca.pem");
        assert!(refusal("rediss://host", Some(gone)).contains("/nowhere/ca.pem"));
        assert!(refusal("redis://host", Some(gone)).contains("rediss"));
    }
}
