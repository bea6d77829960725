//! Where manifests are found: a relay at home has no web server that others reach, so its operator publishes the
//! manifest elsewhere. Here it is published on the loopback of every site, by sockets that the test holds.

use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::space::Site;

/// Where it listens, at every site.
const PORT: u16 = 6479;
/// The host names of the domains end so; all of them are this machine.
const SUFFIX: &str = ".board.localhost";
/// Where manifests are below, as the specification says.
const MANIFEST: &str = "/.well-known/posthouse/manifest";
const LINKS: &str = "/.well-known/posthouse/manifests/";

/// The base URL of a domain's manifest, at any site.
pub(super) fn url(domain: &str) -> String {
    format!("http://{domain}{SUFFIX}:{PORT}")
}

/// Publishes, at one site, the manifests of all relays whose folders stand in `relays`.
pub(super) fn publish(site: &Site, relays: &Path) -> Result<AbortOnDropHandle<()>> {
    let listener = site.space.inside(|| {
        let listener = StdListener::bind(("127.0.0.1", PORT)).context("a port for the board")?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })?;
    let listener = TcpListener::from_std(listener)?;
    let relays = relays.to_owned();
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let relays = relays.clone();
            // Whoever asked and left needs no answer.
            tokio::spawn(async move { answer(stream, &relays).await.ok() });
        }
    })))
}

async fn answer(mut stream: TcpStream, relays: &Path) -> Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).await?;
        anyhow::ensure!(length > 0, "half a request");
        request.extend_from_slice(&bytes[..length]);
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let domain = host.split(SUFFIX).next().unwrap_or_default();
    let folder = relays.join(domain).join("data/manifests");
    let found = match path.strip_prefix(LINKS).map(str::parse::<u64>) {
        Some(Ok(seq)) => std::fs::read(folder.join(format!("{seq:08}.cose"))).ok(),
        _ if path == MANIFEST => newest(&folder).and_then(|file| std::fs::read(file).ok()),
        _ => None,
    };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |bytes| ("200 OK", bytes));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    Ok(())
}

fn newest(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|kind| kind == "cose")).max()
}
