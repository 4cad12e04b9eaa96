//! A server, and a client of it.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use candle_core::Device;
use speechlens_models::{Model, Network, audionet};
use speechlens_serve::{Limits, Service, serve};

pub fn start(limits: Limits) -> SocketAddr {
    start_with(&audionet::NETWORK, limits)
}

/// A network of random weights that is served until the test ends.
pub fn start_with(network: &Network, limits: Limits) -> SocketAddr {
    let graph = network.architecture(2).expect("a network");
    let graph = graph.random(3, &Device::Cpu).expect("weights");
    let classes = vec!["male".into(), "female".into()];
    let model = Model::of(network, graph, classes).expect("a model");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let service = Service {
            model,
            name: "random".into(),
            device: Device::Cpu,
            seed: 1,
            limits,
        };
        serve(service, ([127, 0, 0, 1], 0).into(), |address| {
            sender.send(address).expect("the test waits");
        })
        .expect("served");
    });
    receiver.recv().expect("an address")
}

/// 16-bit mono PCM at 8 kHz.
pub fn wav(samples: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = 2 * samples as u32;
    bytes.extend(b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(16000u32.to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    for n in 0..samples {
        let sample = 9000.0 * (n as f64 * 0.3).sin() * (n as f64 * 0.002).sin();
        bytes.extend((sample as i16).to_le_bytes());
    }
    bytes
}

/// Status and body of an answer.
pub fn post(agent: &ureq::Agent, url: &str, body: &[u8]) -> (u16, String) {
    let mut answer = agent.post(url).send(body).expect("an answer");
    let body = answer.body_mut().read_to_string().expect("text");
    (answer.status().as_u16(), body)
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .proxy(None)
        .build()
        .into()
}
