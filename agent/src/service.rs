// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The daemon: one owner of the engine, two listeners, one timer.
//!
//! ```text
//! network ──▶ reader API ─────┐ reads       ┌──── watch: NodeView, Activity ◀── engine, owner
//! agent.sock ▶ operator API ──┴─────────────┘
//!                  └── Order (bounded queue) ──▶ owner: orders, polls, stop ──▶ engine
//! ```
//!
//! The owner is the only one that calls the engine, one piece of work at a time; what is more urgent
//! than the work in progress ends that where it does no harm (`queue`). The engine does what blocks
//! elsewhere, so that the one thread here keeps answering. Nothing waits for a client: what is told
//! about work goes through a bounded channel that drops progress when nobody reads it.

mod mounts;
mod owner;
mod queue;
mod schedule;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::api::server::{self, Limits, Listener};
use crate::api::{ApiState, Identity, operator_router, reader_router};
use crate::config::Config;
use crate::engine::{Actor, Engine, NodeView, Source};
use crate::service::owner::Owner;
use crate::work::{Event, Work};

pub use crate::service::mounts::Mount;
pub use crate::service::socket::SOCKET_NAME;
pub use crate::service::socket::SocketError;

/// Orders that wait; more are refused.
const ORDERS_MAX: usize = 4;

/// Events kept for a client that does not read; the last event always finds room.
pub const EVENTS_MAX: usize = 64;

/// How long answers in progress may go on after that.
const CLOSE_GRACE: Duration = Duration::from_secs(4);

/// Work for the engine's owner, and where its events go.
#[derive(Debug)]
pub struct Order {
    /// What is to be done.
    pub work: Work,
    /// Who asks for it.
    pub actor: Actor,
    /// Who is told.
    pub events: mpsc::Sender<Event>,
}

/// What the agent is doing, for status pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// The work in progress, if any.
    pub doing: Option<Doing>,
    /// When the source is asked next; `None` without a source.
    pub next_check_at: Option<Timestamp>,
    /// Temporary failures in a row.
    pub failures: u32,
    /// Where the zones find the logger; none where nothing mounts it for them, or none is installed.
    pub mounts: Vec<Mount>,
}

/// Work in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Doing {
    /// `update`, `plan`, `rollback` or `change`.
    pub work: &'static str,
    /// Who asked for it, as in the history.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// The newest sign of life.
    pub progress: Option<String>,
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configured address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The unix socket cannot be made.
    #[error("failed to make the command socket")]
    Socket(#[source] SocketError),
    /// Signals cannot be received.
    #[error("failed to set up signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the agent on `engine` until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot listen. Nothing that happens later ends it.
pub async fn serve(engine: Engine, config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let address = config.listen;
    let failed = |source| ServeError::Listen { address, source };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let config = Config { listen: tcp.local_addr().map_err(failed)?, ..config };
    let (unix, socket) = socket::listen(&config.root).map_err(ServeError::Socket)?;

    let (orders, queue) = mpsc::channel(ORDERS_MAX);
    let (activity, activity_reader) = watch::channel(Activity::default());
    let (stop, stopped) = watch::channel(false);
    let state = Arc::new(ApiState {
        identity: Identity::new(config.clone(), Some((Timestamp::now(), Instant::now()))),
        node: engine.subscribe(),
        activity: activity_reader,
        orders,
    });
    let mut servers = JoinSet::new();
    let readers = reader_router(Arc::clone(&state));
    servers.spawn(server::serve(Listener::Tcp(tcp), readers, Limits::NETWORK, stopped.clone()));
    let operators = operator_router(state);
    servers.spawn(server::serve(Listener::Unix(unix), operators, Limits::SOCKET, stopped));
    announce(&config, &engine.view());

    let mut owner = Owner::new(engine, &config, activity);
    let signal = owner.run(queue, &mut signals).await;

    stop.send_replace(true);
    drop(socket);
    let closing = async { while servers.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(CLOSE_GRACE, closing).await.is_ok();
    tracing::info!(signal, answers_finished = in_time, "agent stopped");
    Ok(())
}

fn announce(config: &Config, node: &NodeView) {
    let source = config.source.as_ref().map(Source::shown);
    tracing::info!(
        version = crate::VERSION,
        root = %config.root.display(),
        source = source.as_deref().unwrap_or("none"),
        channel = config.channel.as_str(),
        release = version_of(node),
        "agent started"
    );
    tracing::info!(address = %config.listen, "listening");
    for note in &node.notes {
        tracing::warn!(note, "the root was repaired at start");
    }
}

fn version_of(node: &NodeView) -> String {
    node.current.as_ref().map_or_else(|| "none".to_owned(), |current| current.version.to_string())
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal that asks to stop.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The command socket of the agent on `root`.
pub fn socket_path(root: &std::path::Path) -> PathBuf {
    root.join(SOCKET_NAME)
}

/// Runs the agent on a runtime of one thread, until a signal.
///
/// # Errors
/// As [`serve`], and when there is no runtime to be had.
pub fn run(engine: Engine, config: Config) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let served = runtime.block_on(serve(engine, config)).map_err(RunError::Serve);
    // Work that was interrupted may still sit in a system call; it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    served
}

/// Why the agent is not running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No event loop.
    #[error("failed to start the event loop")]
    Runtime(#[source] std::io::Error),
    /// It did not start.
    #[error(transparent)]
    Serve(ServeError),
}
