//! Losses, averaged over the batch.

use candle_core::{DType, Device, Tensor};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What training makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// [`binary_cross_entropy_with_logits`] against one target a class.
    #[default]
    BinaryCrossEntropy,
    /// [`cross_entropy`].
    CrossEntropy,
}

impl Loss {
    /// The loss of logits `[N, classes]`, averaged.
    pub fn of(self, logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
        let targets = one_hot(labels, logits.dim(1)?, logits.dtype(), logits.device())?;
        match self {
            Loss::BinaryCrossEntropy => binary_cross_entropy_with_logits(logits, &targets),
            Loss::CrossEntropy => cross_entropy(logits, &targets),
        }
    }

    /// The probability of a class, in 0..1, as a network means it that was trained by this loss: the softmax of the logits after
    /// cross entropy, the sigmoid of the class's own logit after binary cross entropy.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn probability(self, logits: &[f32], class: usize) -> f32 {
        let over = |logit: f32| (f64::from(logit) - f64::from(logits[class])).exp();
        let total = match self {
            Loss::BinaryCrossEntropy => 1.0 + over(0.0),
            Loss::CrossEntropy => logits.iter().map(|logit| over(*logit)).sum(),
        };
        (1.0 / total) as f32
    }

    /// The [`probability`](Loss::probability) of one class for each row of logits `[N, classes]`: f32, `[N]`, on their device.
    ///
    /// # Errors
    /// If a class does not exist.
    pub fn probabilities(self, logits: &Tensor, classes: &[u32]) -> Result<Tensor> {
        let (logits, device) = (logits.to_dtype(DType::F64)?, logits.device());
        check_labels(classes, logits.dim(1)?)?;
        let classes = Tensor::new(classes, device)?.unsqueeze(1)?;
        let own = logits.gather(&classes, 1)?;
        let total = match self {
            Loss::BinaryCrossEntropy => (own.neg()?.exp()? + 1.0)?.squeeze(1)?,
            Loss::CrossEntropy => logits.broadcast_sub(&own)?.exp()?.sum(1)?,
        };
        Ok(total.recip()?.to_dtype(DType::F32)?)
    }
}

/// `ln Σ_k e^{x_k} − Σ_k t_k x_k` of logits `[N, K]` against one-hot targets, averaged over the batch, as PyTorch's
/// `CrossEntropyLoss`.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let largest = logits.max_keepdim(1)?.detach();
    let shifted = logits.broadcast_sub(&largest)?;
    let normalizer = shifted.exp()?.sum(1)?.log()?;
    Ok((normalizer - (shifted * targets)?.sum(1)?)?.mean_all()?)
}

/// Binary cross entropy on logits `[N, K]` against targets of the same shape, averaged over both axes, as PyTorch's
/// `BCEWithLogitsLoss`: `max(x, 0) − x·t + ln(1 + e^−|x|)`, which overflows nowhere.
pub fn binary_cross_entropy_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    // ln(1 + e^−|x|) + max(x, 0) as one softplus of x, with relu(±x) in place of |x|: at 0 its gradient is then that of the
    // true function, one half, where the parts alone would give 0.
    let magnitude = (logits.relu()? + logits.neg()?.relu()?)?;
    let largest = (logits + &magnitude)?.affine(0.5, 0.0)?;
    let rest = (magnitude.neg()?.exp()? + 1.0)?.log()?;
    Ok(((largest - (logits * targets)?)? + rest)?.mean_all()?)
}

/// Targets `[N, classes]`: 1 at the label, 0 elsewhere.
///
/// # Errors
/// If a label is no class.
pub fn one_hot(labels: &[u32], classes: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    check_labels(labels, classes)?;
    let labels = Tensor::new(labels, device)?.unsqueeze(1)?;
    let all = Tensor::arange(0, classes as u32, device)?;
    Ok(labels.broadcast_eq(&all)?.to_dtype(dtype)?)
}

fn check_labels(labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().find(|label| **label as usize >= classes) {
        Some(label) => Err(Error::Samples(format!(
            "a sample has the label {label}; the network has {classes} classes, counted from 0"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn is_the_textbook_formula_and_its_gradient() {
        let x = [-800.0f64, -3.0, 0.0, 0.5, 700.0];
        let t = [0.0f64, 1.0, 1.0, 0.0, 1.0];
        let logits = Var::new(&x, &Device::Cpu).unwrap();
        let targets = Tensor::new(&t, &Device::Cpu).unwrap();
        let loss = binary_cross_entropy_with_logits(&logits, &targets).unwrap();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected: f64 = [
            0.0,
            -sigmoid(-3.0).ln(),
            -0.5f64.ln(),
            -(1.0 - sigmoid(0.5)).ln(),
            0.0,
        ]
        .iter()
        .sum();
        assert!((loss.to_scalar::<f64>().unwrap() - expected / 5.0).abs() < 1e-12);
        let gradient = loss
            .backward()
            .unwrap()
            .get(&logits)
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        for ((x, t), g) in x.iter().zip(t).zip(gradient) {
            assert!((g - (sigmoid(*x) - t) / 5.0).abs() < 1e-12, "at {x}: {g}");
        }
    }

    #[test]
    fn probabilities_of_rows_are_those_of_each() {
        let rows = [[1.0f32, -2.0, 0.5], [2000.0, -2000.0, 0.0], [0.0, 0.0, 0.0]];
        let logits = Tensor::new(&rows, &Device::Cpu).unwrap();
        for loss in [Loss::BinaryCrossEntropy, Loss::CrossEntropy] {
            for class in 0..3 {
                let found = loss.probabilities(&logits, &[class; 3]).unwrap();
                let expected = rows.map(|row| loss.probability(&row, class as usize));
                assert_eq!(found.to_vec1::<f32>().unwrap(), expected, "{loss:?}");
            }
            assert!(loss.probabilities(&logits, &[0, 3, 0]).is_err());
        }
    }
}
