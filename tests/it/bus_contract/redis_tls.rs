//! Redis over TLS: trusted by its authority, or not spoken to.

use std::path::PathBuf;

use anyhow::Result;
use platform::bus::BusError;
use platform::bus::redis::RedisOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::redis_faults::{ends, hear_again};
use super::*;
use crate::servers::{Persistence, RedisServer, free_port, until};

/// A server that speaks TLS at one port, and plainly at another.
struct Secured {
    server: RedisServer,
    url: String,
    authority: PathBuf,
    folder: TempDir,
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

impl Secured {
    async fn start(name: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ca = authority("the shop's own")?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &ca)?;
        let path = |file: &str| folder.path().join(file);
        let authority = path("ca.pem");
        std::fs::write(&authority, ca.pem())?;
        std::fs::write(path("server.pem"), certificate.pem())?;
        std::fs::write(path("server.key"), key.serialize_pem())?;
        let port = free_port()?;
        let text = |file: &str| path(file).display().to_string();
        let arguments = [
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &text("server.pem"),
            "--tls-key-file",
            &text("server.key"),
            "--tls-ca-cert-file",
            &text("ca.pem"),
            "--tls-auth-clients",
            "no",
        ];
        let server = RedisServer::start_with(Persistence::None, &arguments).await?;
        Ok(Self { server, url: format!("rediss://{name}:{port}/0"), authority, folder })
    }

    async fn connect(&self, ca: Option<PathBuf>) -> Result<Arc<RedisBus>, BusError> {
        RedisBus::connect_with(RedisOptions { url: self.url.clone(), ca }).await
    }
}

#[tokio::test]
async fn everything_goes_over_tls() -> Result<()> {
    let secured = Secured::start("localhost").await?;
    let bus: Arc<dyn Bus> = secured.connect(Some(secured.authority.clone())).await?;
    bus.declare(&topology()).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut tail = bus.tail("news").await?;
    publish(&bus, &entries(EVENTS, 0, ["one", "two"])).await?;
    let heard = take(&mut reader, 2).await?;
    assert_eq!(bodies(&heard), ["one", "two"]);
    ack(&bus, "a", &heard).await?;
    bus.announce("news", &["hello".to_owned()]).await?;
    assert_eq!(&*tokio::time::timeout(PATIENCE, tail.recv()).await??, "hello");
    let mut hand = redis::Client::open(secured.server.url())?.get_multiplexed_async_connection().await?;
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut hand).await?;
    let plain = clients.lines().filter(|client| !client.contains(&secured.tls_address())).count();
    assert_eq!(plain, 1, "ours, by hand: {clients}");

    // Broken off, it comes back, the reader and the topics as well.
    secured.server.kill9()?;
    secured.server.restart().await?;
    let known = until("the bus is back", PATIENCE, async || Ok(bus.incarnation().await.ok())).await?;
    bus.publish(&known, &entries(EVENTS, 0, ["three"])).await?;
    let heard = until("the reader is back", PATIENCE, async || Ok(reader.next(1).await.ok())).await?;
    assert_eq!(bodies(&heard), ["three"]);
    ends(&mut tail).await?;
    hear_again(&bus, tail).await?;
    Ok(())
}

impl Secured {
    /// As `CLIENT LIST` shows the server's side of a connection.
    fn tls_address(&self) -> String {
        let port = self.url.rsplit(':').next().unwrap_or_default().trim_end_matches("/0");
        format!("laddr=127.0.0.1:{port} ")
    }
}

#[tokio::test]
async fn a_server_that_no_authority_vouches_for_is_not_spoken_to() -> Result<()> {
    let secured = Secured::start("localhost").await?;
    let stranger = secured.folder.path().join("stranger.pem");
    std::fs::write(&stranger, authority("a stranger")?.pem())?;
    // The stranger, and the machine's own authorities.
    for ca in [Some(stranger), None] {
        let refusal = secured.connect(ca).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.contains("certificate"), "{refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() -> Result<()> {
    let secured = Secured::start("redis.example").await?;
    let url = secured.url.replace("redis.example", "localhost");
    let refusal = RedisBus::connect_with(RedisOptions { url, ca: Some(secured.authority.clone()) }).await;
    let refusal = refusal.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refusal.contains("certificate"), "{refusal}");
    Ok(())
}

/// The port that speaks TLS is asked plainly, and the other way round: an error, and soon.
#[tokio::test]
async fn the_wrong_scheme_is_an_error_and_not_a_hang() -> Result<()> {
    let secured = Secured::start("localhost").await?;
    let plain = secured.url.replace("rediss:", "redis:");
    let refused = tokio::time::timeout(PATIENCE, RedisBus::connect(&plain)).await?;
    assert!(refused.is_err());
    let tls = secured.server.url().replace("redis:", "rediss:");
    let options = RedisOptions { url: tls, ca: Some(secured.authority.clone()) };
    let refused = tokio::time::timeout(PATIENCE, RedisBus::connect_with(options)).await?;
    assert!(refused.is_err());
    Ok(())
}
