//! A TCP proxy that cuts, holds and refuses: a fault for every ground, because it knows nothing of what passes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A proxy before one server. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    mood: watch::Sender<Mood>,
    connections: Mutex<JoinSet<()>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    /// Nothing passes, in either direction; connections stay.
    held: bool,
    /// New connections are closed at once.
    refusing: bool,
    /// Every piece waits that long.
    delay: Duration,
}

impl Proxy {
    /// Listens on a free port of loopback.
    pub(crate) async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, server, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection, and returns when nothing more will pass on them; new ones pass.
    pub(crate) async fn cut(&self) {
        let mut connections = std::mem::take(&mut *self.shared.connections.lock());
        connections.shutdown().await;
    }

    /// Holds back everything, until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.shared.mood.send_modify(|mood| mood.held = true);
    }

    /// Lets everything pass again, what was held back first.
    pub(crate) fn release(&self) {
        self.shared.mood.send_modify(|mood| {
            mood.held = false;
            mood.refusing = false;
        });
    }

    /// Closes new connections, until [`release`](Self::release), and cuts every other one.
    pub(crate) async fn refuse(&self) {
        self.shared.mood.send_modify(|mood| mood.refusing = true);
        self.cut().await;
    }

    /// Delays every piece in either direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.mood.send_modify(|mood| mood.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.connections.lock().abort_all();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut connections = shared.connections.lock();
        // Looked at under the lock: a connection is either refused, or there to be cut.
        if !shared.mood.borrow().refusing {
            connections.spawn(connect(client, server, shared.mood.subscribe()));
        }
    }
}

/// One connection, until either side ends it.
async fn connect(client: TcpStream, server: SocketAddr, mood: watch::Receiver<Mood>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // A piece is an event, and an event is not to wait for the next one.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pass(from_client, to_server, mood.clone()), pass(from_server, to_client, mood));
}

/// Passes on what comes, in pieces.
async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut piece).await {
        let delay = mood.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if mood.wait_for(|mood| !mood.held).await.is_err() || length == 0 {
            break;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
