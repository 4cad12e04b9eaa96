//! A local page that explains the recording one drops on it or speaks into it.
//!
//! [`serve`] answers on an address until it is interrupted: a page with everything it needs embedded, the model's facts, and
//! `POST /explain`, which takes a recording, as the body or as a form's file, and gives an
//! [`Exhibit`](speechlens_report::Exhibit) as JSON. `name`, `ways`, `target`, `against` and `frames` are fields of the form or stand in the
//! address's query. Explanations are made
//! one at a time; so many requests wait, and the next are told that the server is busy. Nothing is written to a disk, and no
//! answer holds a path of this machine.
//!
//! ```no_run
//! use std::path::Path;
//! use candle_core::Device;
//! use speechlens_models::Model;
//! use speechlens_serve::{Limits, Service, serve};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service {
//!     model: Model::load(Path::new("gender.safetensors"), &Device::Cpu)?,
//!     name: "gender".into(),
//!     device: Device::Cpu,
//!     seed: 1,
//!     limits: Limits::default(),
//! };
//! serve(service, ([127, 0, 0, 1], 7861).into(), |address| println!("http://{address}/"))?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod guard;
mod pages;
mod upload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use candle_core::Device;
use speechlens_explain::{default_rules, suiting_rules};
use speechlens_models::Model;
use tokio::sync::Semaphore;

/// What is served.
pub struct Service {
    /// The network.
    pub model: Model,
    /// What the model is called in answers.
    pub name: String,
    /// Where its weights lie.
    pub device: Device,
    /// Decides every random choice.
    pub seed: u64,
    /// How much is taken.
    pub limits: Limits,
}

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest upload, in bytes.
    pub bytes: usize,
    /// The longest recording, in seconds.
    pub seconds: f64,
    /// Requests that are worked on or wait; the next are told that the server is busy.
    pub queue: usize,
    /// How long an upload may take.
    pub patience: Duration,
}

impl Default for Limits {
    /// 20 MB, 30 s, eight requests, half a minute.
    fn default() -> Self {
        Limits {
            bytes: 20_000_000,
            seconds: 30.0,
            queue: 8,
            patience: Duration::from_secs(30),
        }
    }
}

/// What can go wrong while the page is served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not this machine's.
    #[error("{address}: cannot be listened on ({source}); give another --port or --host")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network connection, or the threads that serve it.
    #[error("serving: {0}")]
    Io(#[from] std::io::Error),
}

/// What the handlers share.
struct Shared {
    service: Service,
    /// The presets that suit the network.
    rules: Vec<&'static str>,
    /// The preset where none is asked for.
    default_rules: &'static str,
    /// Requests that are worked on or wait.
    queue: Arc<Semaphore>,
    /// The one that is worked on.
    work: Arc<Semaphore>,
}

/// Serves the page until an interrupt (Ctrl-C). `ready` is told the address once it is listened on, with the port that was found
/// if 0 was asked for.
///
/// # Errors
/// If the address cannot be listened on.
pub fn serve(
    service: Service,
    address: SocketAddr,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let taken = |source| Error::Address { address, source };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(taken)?;
        let bound = listener.local_addr()?;
        let app = router(service, bound);
        ready(bound);
        let interrupted = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        tokio::select! {
            served = async { axum::serve(listener, app).await } => Ok(served?),
            () = interrupted => Ok(()),
        }
    });
    // An explanation under way is of no use to anyone now.
    runtime.shutdown_background();
    served
}

fn router(service: Service, address: SocketAddr) -> Router {
    let queue = Arc::new(Semaphore::new(service.limits.queue.max(1)));
    let shared = Arc::new(Shared {
        rules: suiting_rules(&service.model),
        default_rules: default_rules(&service.model),
        service,
        queue,
        work: Arc::new(Semaphore::new(1)),
    });
    let loopback = address.ip().is_loopback();
    Router::new()
        .route("/", get(pages::index))
        .route("/style.css", get(pages::style))
        .route("/exhibit.js", get(pages::exhibit))
        .route("/serve.js", get(pages::serve))
        .route("/recorder.js", get(pages::recorder))
        .route("/model", get(answer::model))
        .route("/explain", post(answer::explain))
        .fallback(pages::missing)
        .with_state(shared)
        .layer(axum::middleware::from_fn(move |request, next| {
            guard::guard(loopback, request, next)
        }))
}
