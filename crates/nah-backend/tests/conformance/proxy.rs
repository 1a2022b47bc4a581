//! A TCP proxy that cuts, holds and refuses: a fault for every ground, because it knows nothing of what passes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
};

/// A proxy before one server. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    /// Connections of an older generation are cut.
    generation: u64,
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
        let mood = Arc::new(watch::Sender::new(Mood::default()));
        let accepting = tokio::spawn(accept(listener, server, mood.clone()));
        Ok(Self { address, mood, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection; new ones pass.
    pub(crate) fn cut(&self) {
        self.mood.send_modify(|mood| mood.generation += 1);
    }

    /// Holds back everything, until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.mood.send_modify(|mood| mood.held = true);
    }

    /// Lets everything pass again, what was held back first.
    pub(crate) fn release(&self) {
        self.mood.send_modify(|mood| {
            mood.held = false;
            mood.refusing = false;
        });
    }

    /// Cuts every connection and closes new ones, until [`release`](Self::release).
    pub(crate) fn refuse(&self) {
        self.mood.send_modify(|mood| {
            mood.generation += 1;
            mood.refusing = true;
        });
    }

    /// Delays every piece in either direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.mood.send_modify(|mood| mood.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, mood: Arc<watch::Sender<Mood>>) {
    while let Ok((client, _)) = listener.accept().await {
        if mood.borrow().refusing {
            continue;
        }
        let mood = mood.subscribe();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            // A piece is an event, and an event is not to wait for the next one.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let generation = mood.borrow().generation;
            let up = pass(from_client, to_server, mood.clone());
            let down = pass(from_server, to_client, mood.clone());
            let mut cut = mood;
            tokio::select! {
                _ = cut.wait_for(|mood| mood.generation != generation) => {}
                _ = async { tokio::join!(up, down) } => {}
            }
        });
    }
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
