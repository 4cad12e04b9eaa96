//! Pixel flipping on a linear network, where every answer is known.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip, ranking};
use speechlens_nn::loss::Loss;
use speechlens_nn::ops::{Flatten, Linear};
use speechlens_nn::train::Samples;
use speechlens_nn::{Architecture, Graph};

const BINS: usize = 6;
const BIAS: [f32; 2] = [0.25, -0.5];
const W: [[f32; BINS]; 2] = [
    [0.5, -0.25, 1.0, 0.0, 0.75, -1.0],
    [-0.5, 0.5, 0.25, 1.0, -0.75, 0.125],
];

/// `[1, 2, 3]` to two logits.
fn linear() -> Graph {
    let mut net = Architecture::new([1, 2, 3]);
    let x = net.add("flatten", Flatten, [net.input()]).unwrap();
    net.add("dense", Linear::new(BINS, 2), [x]).unwrap();
    let weights = [
        (
            "dense.weight".to_owned(),
            Tensor::new(&W, &Device::Cpu).unwrap(),
        ),
        (
            "dense.bias".to_owned(),
            Tensor::new(&BIAS, &Device::Cpu).unwrap(),
        ),
    ];
    net.with_weights(weights.into()).unwrap()
}

struct Few(Vec<([f32; BINS], u32)>);

impl Samples for Few {
    fn key(&self) -> String {
        self.len().to_string()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let values: Vec<f32> = places.iter().flat_map(|at| self.0[*at].0).collect();
        let input = Tensor::from_vec(values, (places.len(), 1, 2, 3), device)?;
        Ok((input, places.iter().map(|at| self.0[*at].1).collect()))
    }
}

fn samples() -> Few {
    Few(vec![
        ([1.0, 2.0, 3.0, -1.0, 0.5, -2.0], 0),
        ([-3.0, 1.0, -2.0, 2.5, -1.5, 4.0], 1),
        ([0.5, -4.0, 1.5, 3.0, 2.0, 1.0], 0),
        ([2.0, 1.0, 0.0, -1.0, -2.0, -3.0], 1),
        ([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 0),
    ])
}

/// What each bin adds to its logit beside what it would add at `value`: (a − r) · w.
fn contributions(input: &[f32; BINS], label: u32, value: f32) -> Vec<f32> {
    input
        .iter()
        .zip(W[label as usize])
        .map(|(a, w)| (a - value) * w)
        .collect()
}

fn explain(value: f32) -> impl Fn(&Tensor, &[u32]) -> speechlens_eval::Result<Tensor> {
    move |input: &Tensor, labels: &[u32]| {
        let rows = input.flatten_from(1)?.to_vec2::<f32>()?;
        let of =
            |(row, label): (Vec<f32>, &u32)| contributions(&row.try_into().unwrap(), *label, value);
        let relevance: Vec<f32> = rows.into_iter().zip(labels).flat_map(of).collect();
        Ok(Tensor::from_vec(relevance, input.shape(), input.device())?)
    }
}

fn plan(orders: &[Order], values: &[f32], batch: usize) -> Plan {
    Plan {
        counts: (0..=BINS).collect(),
        values: values.to_vec(),
        orders: orders.to_vec(),
        seed: 1,
        batch,
        recordings: usize::MAX,
    }
}

const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::LeastRelevant,
    Order::Random,
    Order::Loudest,
];

fn run(explained: f32, plan: &Plan) -> Vec<Curve> {
    flip(
        &linear(),
        &samples(),
        &explain(explained),
        Loss::BinaryCrossEntropy,
        plan,
        &Device::Cpu,
        &|_| (),
    )
    .unwrap()
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

/// Flipping the k most relevant bins takes away exactly the sum of their contributions; the least relevant the same way.
#[test]
fn the_logit_falls_by_the_sums_of_the_relevances() {
    for value in [0.0, -2.0, 1.5] {
        let curves = run(
            value,
            &plan(&[Order::MostRelevant, Order::LeastRelevant], &[value], 2),
        );
        assert_eq!(curves.len(), 2);
        for curve in &curves {
            assert_eq!(curve.value, value);
            for (recording, (input, label)) in samples().0.iter().enumerate() {
                let mut parts = contributions(input, *label, value);
                let whole: f32 = parts.iter().sum();
                let constant =
                    BIAS[*label as usize] + W[*label as usize].iter().sum::<f32>() * value;
                parts.sort_by(|a, b| b.total_cmp(a));
                if curve.order == Order::LeastRelevant {
                    parts.reverse();
                }
                for (count, point) in curve.points.iter().enumerate() {
                    assert_eq!(point.count, count);
                    let expected = constant + whole - parts[..count].iter().sum::<f32>();
                    let found = logit(point.probability[recording]);
                    assert!(
                        (found - expected).abs() < 1e-4,
                        "{value} {count}: {found}, not {expected}"
                    );
                }
            }
        }
        // No order takes more than the most relevant first, and none less than the least relevant first.
        for (most, least) in curves[0].points.iter().zip(&curves[1].points) {
            assert!(
                most.probability
                    .iter()
                    .zip(&least.probability)
                    .all(|(m, l)| *m <= l + 1e-6)
            );
        }
    }
}

/// Nothing flipped is the network's own answer in every curve; all flipped is one input for all.
#[test]
fn the_ends_of_every_curve_are_the_same() {
    let graph = linear();
    let (input, labels) = samples().batch(&[0, 1, 2, 3, 4], &Device::Cpu).unwrap();
    let logits = graph.forward(&input).unwrap().to_vec2::<f32>().unwrap();
    let right: Vec<bool> = logits
        .iter()
        .zip(&labels)
        .map(|(row, label)| (row[1] > row[0]) == (*label == 1))
        .collect();
    assert!(right.contains(&true) && right.contains(&false));
    let curves = run(0.0, &plan(&ORDERS, &[0.0, 2.0], 3));
    assert_eq!(curves.len(), 8);
    for curve in &curves {
        assert_eq!(curve.points[0].right, right);
        let accuracy = right.iter().filter(|r| **r).count() as f64 / right.len() as f64;
        assert_eq!(curve.points[0].accuracy(), accuracy);
        for (row, (label, probability)) in logits
            .iter()
            .zip(labels.iter().zip(&curve.points[0].probability))
        {
            assert!((logit(*probability) - row[*label as usize]).abs() < 1e-4);
        }
        for (label, probability) in labels.iter().zip(&curve.points[BINS].probability) {
            let k = *label as usize;
            let expected = BIAS[k] + W[k].iter().sum::<f32>() * curve.value;
            assert!((logit(*probability) - expected).abs() < 1e-4);
        }
    }
}

/// How recordings fall into batches changes nothing, and equal curves may be asked for twice.
#[test]
fn curves_do_not_depend_on_the_batch() {
    let whole = run(0.0, &plan(&ORDERS, &[0.0, 1.0, 0.0], 64));
    for batch in [0, 1, 2, 3] {
        assert_eq!(run(0.0, &plan(&ORDERS, &[0.0, 1.0, 0.0], batch)), whole);
    }
    for curves in whole.chunks(3) {
        assert_eq!(curves[0], curves[2]);
        assert!(
            curves
                .iter()
                .flat_map(|curve| &curve.points)
                .all(|point| point.right.len() == 5)
        );
    }
    let two = run(
        0.0,
        &Plan {
            recordings: 2,
            ..plan(&ORDERS, &[0.0], 64)
        },
    );
    assert!(two[0].points.iter().all(|point| point.right.len() == 2));
    assert_eq!(two[0].points[3].right[..], whole[0].points[3].right[..2]);
}

#[test]
fn the_network_alone_is_asked_where_no_order_needs_an_explanation() {
    let plan = plan(&[Order::Random, Order::Loudest], &[0.0], 2);
    let refuse = |_: &Tensor, _: &[u32]| Err(speechlens_eval::Error::Explanation("asked".into()));
    let done = RefCell::new(Vec::new());
    let progress = |passes| done.borrow_mut().push(passes);
    flip(
        &linear(),
        &samples(),
        &refuse,
        Loss::BinaryCrossEntropy,
        &plan,
        &Device::Cpu,
        &progress,
    )
    .unwrap();
    assert!(done.borrow().is_sorted());
    assert_eq!(done.borrow().last(), Some(&plan.passes(&samples())));
    let plan = Plan {
        orders: vec![Order::MostRelevant],
        ..plan
    };
    let error = flip(
        &linear(),
        &samples(),
        &refuse,
        Loss::BinaryCrossEntropy,
        &plan,
        &Device::Cpu,
        &|_| (),
    )
    .unwrap_err();
    assert!(error.to_string().contains("asked"));
}

#[test]
fn impossible_plans_are_refused() {
    let refused = |plan: &Plan, samples: &Few| {
        flip(
            &linear(),
            samples,
            &explain(0.0),
            Loss::BinaryCrossEntropy,
            plan,
            &Device::Cpu,
            &|_| (),
        )
        .unwrap_err()
        .to_string()
    };
    let good = plan(&[Order::Random], &[0.0], 2);
    let error = refused(
        &Plan {
            counts: vec![0, 7],
            ..good.clone()
        },
        &samples(),
    );
    assert!(
        error.contains("7 bins") && error.contains("has 6"),
        "{error}"
    );
    let error = refused(
        &Plan {
            counts: vec![3, 1],
            ..good.clone()
        },
        &samples(),
    );
    assert!(error.contains("rise"), "{error}");
    let error = refused(&good, &Few(vec![([0.0; BINS], 2)]));
    assert!(error.contains("label 2"), "{error}");
}

fn curve(counts: &[usize], right: &[usize], of: usize) -> Curve {
    let point = |(count, right): (&usize, &usize)| Point {
        count: *count,
        right: (0..of).map(|i| i < *right).collect(),
        probability: vec![0.5; of],
    };
    Curve {
        order: Order::Random,
        value: 0.0,
        points: counts.iter().zip(right).map(point).collect(),
    }
}

#[test]
fn area() {
    let close = |curve: Curve, expected: f64| assert!((curve.area() - expected).abs() < 1e-12);
    close(curve(&[0, 3, 10], &[4, 4, 4], 4), 1.0);
    close(curve(&[0, 3, 10], &[1, 1, 1], 4), 0.25);
    close(curve(&[0, 10], &[4, 0], 4), 0.5);
    // Trapezoids of uneven width: (2·(1 + ½)/2 + 8·(½ + 0)/2) / 10.
    close(curve(&[0, 2, 10], &[4, 2, 0], 4), 0.35);
    // A plan that starts late.
    close(curve(&[5, 7, 15], &[4, 2, 0], 4), 0.35);
}

/// Wilson's interval by the published example of Newcombe (1998, table I): 81 of 263 and 0 of 20.
#[test]
fn accuracy_interval() {
    for (right, of, low, high) in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ] {
        let (lower, upper) = curve(&[0], &[right], of).points[0].accuracy_interval();
        assert!(
            (lower - low).abs() < 5e-5 && (upper - high).abs() < 5e-5,
            "{lower} {upper}"
        );
    }
}

#[test]
fn percentages_become_counts() {
    assert_eq!(
        counts(&[0.0, 1.0, 4.0, 50.0, 100.0], 227 * 227),
        [0, 515, 2061, 25765, 51529]
    );
    assert_eq!(counts(&[0.0, 49.0, 50.0, 51.0], 1), [0, 0, 1, 1]);
}

proptest! {
    #[test]
    fn rankings_are_permutations_in_order(
        pairs in proptest::collection::vec((-3i8..4, -3i8..4, any::<bool>()), 1..80),
        seed: u64,
        recording in 0usize..1000,
    ) {
        // Few values, so that there are ties; zeros of both signs.
        let value = |x: i8, minus: bool| if x == 0 && minus { -0.0 } else { f32::from(x) };
        let input: Vec<f32> = pairs.iter().map(|(a, _, minus)| value(*a, *minus)).collect();
        let relevance: Vec<f32> = pairs.iter().map(|(_, r, minus)| value(*r, *minus)).collect();
        let all: Vec<u32> = (0..input.len() as u32).collect();
        for order in ORDERS {
            let places = ranking(order, &input, &relevance, seed, recording);
            let mut sorted = places.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&sorted, &all);
            prop_assert_eq!(&places, &ranking(order, &input, &relevance, seed, recording));
            let key = |place: u32| match order {
                Order::MostRelevant => -relevance[place as usize],
                Order::LeastRelevant => relevance[place as usize],
                Order::Loudest => -input[place as usize],
                Order::Random => f32::NAN,
            };
            if order != Order::Random {
                for pair in places.windows(2) {
                    let (one, next) = (key(pair[0]), key(pair[1]));
                    prop_assert!(one < next || (one == next && pair[0] < pair[1]), "{:?} {:?}", order, pair);
                }
            }
        }
    }
}

#[test]
fn the_lot_depends_on_seed_and_recording() {
    let zeros = vec![0.0; 200];
    let lot = |seed, recording| ranking(Order::Random, &zeros, &zeros, seed, recording);
    assert_eq!(lot(1, 0), lot(1, 0));
    assert_ne!(lot(1, 0), lot(2, 0));
    assert_ne!(lot(1, 0), lot(1, 1));
    // Evenly: the place that goes first lies anywhere.
    let first: f64 = (0..1000)
        .map(|recording| f64::from(lot(3, recording)[0]))
        .sum::<f64>()
        / 1000.0;
    assert!((first - 99.5).abs() < 8.0, "{first}");
}
