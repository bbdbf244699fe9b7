//! TLS to Postgres: with the right server, or not at all.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::servers::{Durability, PgServer};

/// A server that lets in over TLS only; its certificate is for `localhost`.
struct Secured {
    server: PgServer,
    database: String,
    folder: TempDir,
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

impl Secured {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ours = authority()?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &ours)?;
        std::fs::write(folder.path().join("ours.pem"), ours.pem())?;
        std::fs::write(folder.path().join("another.pem"), authority()?.pem())?;
        std::fs::write(folder.path().join("nonsense.pem"), "-----BEGIN CERTIFICATE-----\nno\n")?;
        let server = PgServer::start(Durability::ProcessCrash).await?;
        let database = name_of(&server.fresh_database().await?).to_owned();
        server.encrypt(&certificate.pem(), &key.serialize_pem()).await?;
        server.configure("CREATE ROLE ada LOGIN PASSWORD 's3cret' SUPERUSER").await?;
        server.admit("local all all trust\nhostssl all ada all scram-sha-256\nhost all postgres all trust\n").await?;
        Ok(Self { server, database, folder })
    }

    fn url(&self, host: &str, options: &str) -> Result<String> {
        let folder = self.folder.path().display().to_string();
        let options = options.replace("DIR", &folder);
        Ok(format!("postgres://ada:s3cret@{host}:{}/{}?{options}", self.server.port()?, self.database))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_works_over_tls_with_the_server_it_trusts() -> Result<()> {
    let secured = Secured::start().await?;
    for options in ["sslmode=verify-full&sslrootcert=DIR/ours.pem", "sslmode=require", "sslmode=prefer"] {
        let db = Db::open(&secured.url("localhost", options)?).await?;
        db.migrate(&THINGS).await?;
        added(&db, "a", 1).await?;
        let own = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_stat_ssl
            WHERE pid = pg_backend_pid() AND ssl AND version IN ('TLSv1.2', 'TLSv1.3') AND $1 <> ''";
        assert_eq!(db.read::<(i64,)>(own, &[0; 0]).await?, [(1,)], "{options}");
        // A large set, in more than one record, both ways.
        let many: Vec<_> = (0..20_000).map(|n| json!({ "n": n })).collect();
        let back: Vec<(i64,)> = db.read("SELECT CAST(r.value->>'n' AS BIGINT) FROM jsonb_each($1) AS r", &many).await?;
        assert_eq!(back.len(), 20_000);
        // And what was silent when it broke is replaced.
        by_hand(
            &secured.url("localhost", "sslmode=require")?,
            "SELECT pg_terminate_backend(pid, 5000)
            FROM pg_stat_activity WHERE application_name = 'orderly'",
        )
        .await?;
        added(&db, "a", 1).await?;
        db.close().await;
    }
    Ok(())
}

/// Not in the clear, not with a stranger, not with a name that is not the certificate's: and it is
/// said at once, for no waiting mends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_does_not_speak_with_a_server_that_it_cannot_trust() -> Result<()> {
    let secured = Secured::start().await?;
    let patiently = async |url: String| Db::open_patiently(&url, StoreOptions::default(), PATIENCE * 10).await;
    for (host, options, why) in [
        ("localhost", "sslmode=verify-full&sslrootcert=DIR/another.pem", "certificate"),
        ("localhost", "sslmode=verify-full", "certificate"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=DIR/ours.pem", "certificate"),
        ("localhost", "sslmode=verify-full&sslrootcert=DIR/nonsense.pem", "certificate"),
        ("localhost", "sslmode=verify-full&sslrootcert=DIR/missing.pem", "sslrootcert"),
        ("localhost", "sslmode=require&sslrootcert=DIR/ours.pem", "verify-full"),
        ("localhost", "sslmode=disable", "pg_hba.conf"),
    ] {
        let result = patiently(secured.url(host, options)?).await.map(drop);
        let Err(StoreError::Refused(text)) = &result else { panic!("{host} {options}: {result:?}") };
        assert!(text.to_lowercase().contains(why), "{host} {options}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    // A server without TLS is not spoken to in the clear.
    let plain = postgres().await?.fresh_database().await?;
    let result = patiently(format!("{plain}?sslmode=require")).await.map(drop);
    assert!(matches!(&result, Err(StoreError::Refused(why)) if why.contains("TLS")), "{result:?}");
    Ok(())
}
