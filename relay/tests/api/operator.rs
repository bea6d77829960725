//! What the operator asks: health, metrics, TLS.

use posthouse_relay::config::Config;
use posthouse_relay::server::{Server, StartError};
use posthouse_relay::store::StoreError;
use posthouse_spec::Millis;
use std::sync::Arc;

use crate::house::{House, NOW};

#[tokio::test]
async fn a_relay_says_that_it_lives_and_is_ready() {
    let house = House::open().await;
    assert_eq!(house.get("/healthz", None).await.status, 200);
    assert_eq!(house.get("/readyz", None).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_the_token() {
    let house = House::with(|config| config.http.metrics_token = Some("let me see".into())).await;
    house.person("alice").await;
    let local = house.get("/metrics", None).await;
    let text = local.body.as_str().unwrap();
    assert!(text.contains("posthouse_http_requests_total{route=\"/v1/accounts\""), "{text}");
    assert!(!text.contains("alice"), "{text}");
    let proxied = |token| {
        let request = house.web.get(format!("{}/metrics", house.url)).header("x-forwarded-for", "192.0.2.1");
        house.ask(request, token)
    };
    proxied(None).await.refused(401, "unauthenticated");
    proxied(Some("let me in")).await.refused(401, "unauthenticated");
    assert_eq!(proxied(Some("let me see")).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn tls_is_served_from_certificate_files() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["a.localhost".into()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let house = House::with(|config| {
        config.http.certificate = Some(certificate);
        config.http.key = Some(key);
    })
    .await;
    assert!(house.url.starts_with("https://"), "{}", house.url);
    let address: std::net::SocketAddr = house.url["https://".len()..].parse().unwrap();
    let web = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap())
        .resolve("a.localhost", address)
        .build()
        .unwrap();
    let answer = web.get(format!("https://a.localhost:{}/healthz", address.port())).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok\n");
    house.close().await;
}

fn clock() -> Arc<dyn Fn() -> Millis + Send + Sync> {
    Arc::new(|| NOW)
}

#[tokio::test]
async fn what_keeps_a_relay_from_starting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config =
        Config { domain: "a.localhost".into(), data: folder.path().join("data"), ..Config::default() };
    config.http.listen = taken.local_addr().unwrap().to_string();
    config.peers.listen = "127.0.0.1:0".into();
    let start =
        async |config: &Config| Server::bind(config.settings().unwrap(), clock()).await.err().unwrap();

    let error = start(&config).await;
    assert!(matches!(error, StartError::PortTaken { key: "http.listen", .. }), "{error}");
    assert!(error.to_string().contains(&config.http.listen), "{error}");

    config.http.listen = "127.0.0.1:0".into();
    config.peers.listen = taken.local_addr().unwrap().to_string();
    let error = start(&config).await;
    assert!(error.to_string().contains(&taken.local_addr().unwrap().port().to_string()), "{error}");

    config.peers.listen = "127.0.0.1:0".into();
    let running = Server::bind(config.settings().unwrap(), clock()).await.unwrap();
    let error = start(&config).await;
    assert!(matches!(error, StartError::Store(StoreError::Locked(_))), "{error}");
    running.shutdown().await;

    let renamed = Config { domain: "b.localhost".into(), ..config.clone() };
    let error = start(&renamed).await;
    assert!(error.to_string().contains("a.localhost"), "{error}");
    let again = Server::bind(config.settings().unwrap(), clock()).await.unwrap();
    again.shutdown().await;
}
