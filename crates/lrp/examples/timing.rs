use candle_core::{DType, Device, Tensor};
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::{Trainer, optim::Optimizer, train::Config};
use std::time::Instant;
fn main() {
    let graph = speechlens_models::alexnet::architecture(2)
        .unwrap()
        .random(1, &Device::Cpu)
        .unwrap();
    let x = Tensor::randn(0f32, 1.0, (50, 1, 227, 227), &Device::Cpu).unwrap();
    let labels: Vec<u32> = (0..50).map(|i| i % 2).collect();
    for _ in 0..3 {
        let t = Instant::now();
        graph.forward(&x).unwrap();
        println!("forward {:.1}/s", 50.0 / t.elapsed().as_secs_f64());
    }
    let trace = std::env::args().nth(1);
    if trace.is_some() {
        let mut x2 = x.clone();
        for (id, node) in graph.nodes() {
            if id.index() == 0 {
                continue;
            }
            let t = Instant::now();
            x2 = node
                .op
                .forward(graph.params(id), &[&x2], &mut speechlens_nn::Mode::Infer)
                .unwrap();
            println!(
                "{:15} {:.1} ms {:?}",
                node.name,
                t.elapsed().as_secs_f64() * 1e3,
                x2.dims()
            );
        }
    }
    let lrp = Lrp::new(&graph, &Composite::preset("thesis-gender").unwrap()).unwrap();
    for _ in 0..2 {
        let t = Instant::now();
        lrp.explain(&x, &labels).unwrap();
        println!("lrp {:.1}/s", 50.0 / t.elapsed().as_secs_f64());
    }
    for optimizer in [
        Optimizer::Sgd {
            lr: 1e-4,
            momentum: 0.9,
        },
        Optimizer::AdamW {
            lr: 1e-4,
            weight_decay: 0.01,
        },
    ] {
        let mut trainer = Trainer::new(
            &graph,
            Config {
                epochs: 1,
                batch: 50,
                optimizer,
                seed: 1,
            },
        )
        .unwrap();
        for _ in 0..3 {
            let t = Instant::now();
            trainer.step(&x, &labels).unwrap();
            println!("train {:.1}/s", 50.0 / t.elapsed().as_secs_f64());
        }
    }
    let _ = DType::F32;
}
