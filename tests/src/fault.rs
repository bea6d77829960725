//! A public port that stays while the process behind it comes and goes, and that can be cut or made slow.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Pieces of one direction that a delay may hold back, before the sender has to wait.
const HELD_PIECES: usize = 256;
/// Bytes read from a TCP stream at once.
const PIECE: usize = 16 * 1024;
/// The largest datagram, bytes.
const DATAGRAM: usize = 64 * 1024;
/// Senders of datagrams that are told apart at a time.
const MAX_SENDERS: usize = 256;

/// Where a proxy leads; a change ends every connection that was made before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Way {
    target: Option<SocketAddr>,
    cut: bool,
    /// Counts the processes behind the port, so that a new one on the same port still is a change.
    life: u64,
}

impl Way {
    fn open(self) -> Option<SocketAddr> {
        self.target.filter(|_| !self.cut)
    }
}

/// A TCP or UDP proxy on a loopback port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    delay: watch::Sender<Duration>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A TCP proxy that leads nowhere yet.
    ///
    /// # Errors
    /// No port is free.
    pub async fn tcp() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self::start(address, |way, delay| tokio::spawn(serve_tcp(listener, way, delay))))
    }

    /// A UDP proxy that leads nowhere yet.
    ///
    /// # Errors
    /// No port is free.
    pub async fn udp() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        Ok(Self::start(address, |way, delay| tokio::spawn(serve_udp(Arc::new(socket), way, delay))))
    }

    fn start(
        address: SocketAddr,
        spawn: impl FnOnce(watch::Receiver<Way>, watch::Receiver<Duration>) -> tokio::task::JoinHandle<()>,
    ) -> Self {
        let (way, way_seen) = watch::channel(Way::default());
        let (delay, delay_seen) = watch::channel(Duration::ZERO);
        let task = AbortOnDropHandle::new(spawn(way_seen, delay_seen));
        Self { address, way, delay, _task: task }
    }

    /// The public address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to `target` from now on, or nowhere.
    pub fn point_at(&self, target: Option<SocketAddr>) {
        self.way.send_modify(|way| *way = Way { target, cut: way.cut, life: way.life + 1 });
    }

    /// Ends all connections and takes no new ones.
    pub fn cut(&self) {
        self.way.send_modify(|way| way.cut = true);
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.way.send_modify(|way| way.cut = false);
    }

    /// Holds every piece back for `delay`, each way.
    pub fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

async fn serve_tcp(listener: TcpListener, way: watch::Receiver<Way>, delay: watch::Receiver<Duration>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let target = way.borrow().open();
                if let (Ok((near, _)), Some(target)) = (accepted, target) {
                    connections.spawn(carry_tcp(near, target, way.clone(), delay.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry_tcp(
    near: TcpStream,
    target: SocketAddr,
    mut way: watch::Receiver<Way>,
    delay: watch::Receiver<Duration>,
) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    // A proxy must not be the one that makes small writes wait.
    let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        _ = async { tokio::join!(pump(near_read, far_write, delay.clone()), pump(far_read, near_write, delay.clone())) } => {}
        _ = way.wait_for(|way| way.open() != Some(target)) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: watch::Receiver<Duration>,
) {
    let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(HELD_PIECES);
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(len @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + *delay.borrow();
            if sender.send((due, piece[..len].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = held.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The other side learns of the end; if it has gone already, there is nobody to tell.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

/// One sender of datagrams: what it sends goes to the target from a socket of its own, so that answers find back.
struct Sender {
    out: mpsc::Sender<(Instant, Vec<u8>)>,
    _task: AbortOnDropHandle<()>,
}

async fn serve_udp(socket: Arc<UdpSocket>, mut way: watch::Receiver<Way>, delay: watch::Receiver<Duration>) {
    let mut senders: HashMap<SocketAddr, Sender> = HashMap::new();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        tokio::select! {
            changed = way.changed() => {
                if changed.is_err() {
                    return;
                }
                senders.clear();
            }
            received = socket.recv_from(&mut datagram) => {
                let Ok((len, from)) = received else { continue };
                let target = way.borrow().open();
                let Some(target) = target else { continue };
                if !senders.contains_key(&from) {
                    if senders.len() >= MAX_SENDERS {
                        senders.clear();
                    }
                    let Ok(sender) = new_sender(&socket, from, target, delay.clone()).await else { continue };
                    senders.insert(from, sender);
                }
                if let Some(sender) = senders.get(&from) {
                    let due = Instant::now() + *delay.borrow();
                    // A datagram that finds the queue full is lost, as on any network.
                    let _ = sender.out.try_send((due, datagram[..len].to_vec()));
                }
            }
        }
    }
}

async fn new_sender(
    near: &Arc<UdpSocket>,
    from: SocketAddr,
    target: SocketAddr,
    delay: watch::Receiver<Duration>,
) -> io::Result<Sender> {
    let far = UdpSocket::bind("127.0.0.1:0").await?;
    let (out, outgoing) = mpsc::channel(HELD_PIECES);
    let (back, returning) = mpsc::channel(HELD_PIECES);
    let (near, far) = (near.clone(), Arc::new(far));
    let task = tokio::spawn(async move {
        let receive = async {
            let mut datagram = vec![0; DATAGRAM];
            loop {
                // An error here is an earlier datagram's that found nobody: the next one may.
                if let Ok((len, _)) = far.recv_from(&mut datagram).await {
                    let due = Instant::now() + *delay.borrow();
                    let _ = back.try_send((due, datagram[..len].to_vec()));
                }
            }
        };
        tokio::join!(receive, release(outgoing, &far, target), release(returning, &near, from));
    });
    Ok(Sender { out, _task: AbortOnDropHandle::new(task) })
}

/// Sends held datagrams when their time has come; what nobody takes is lost, as on any network.
async fn release(mut held: mpsc::Receiver<(Instant, Vec<u8>)>, socket: &UdpSocket, to: SocketAddr) {
    while let Some((due, datagram)) = held.recv().await {
        sleep_until(due).await;
        let _ = socket.send_to(&datagram, to).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream) -> io::Result<[u8; 4]> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn the_port_stays_while_the_process_behind_it_changes() {
        let proxy = Proxy::tcp().await.unwrap();
        let mut nobody = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(round_trip(&mut nobody).await.is_err());
        proxy.point_at(Some(echo().await));
        let mut first = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&round_trip(&mut first).await.unwrap(), b"ping");
        proxy.point_at(Some(echo().await));
        assert!(round_trip(&mut first).await.is_err());
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&round_trip(&mut second).await.unwrap(), b"ping");
        proxy.cut();
        assert!(round_trip(&mut second).await.is_err());
    }

    #[tokio::test]
    async fn datagrams_find_their_way_there_and_back() {
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::udp().await.unwrap();
        proxy.point_at(Some(far.local_addr().unwrap()));
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        near.send_to(b"ping", proxy.address()).await.unwrap();
        let mut bytes = [0; 16];
        let (len, from) = far.recv_from(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..len], b"ping");
        far.send_to(b"pong", from).await.unwrap();
        let (len, from) = near.recv_from(&mut bytes).await.unwrap();
        assert_eq!((&bytes[..len], from), (&b"pong"[..], proxy.address()));
    }
}
