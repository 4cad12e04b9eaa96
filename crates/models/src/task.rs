use serde::{Deserialize, Serialize};
use speechlens_nn::loss::Loss;

/// What a network's outputs mean, before any softmax or sigmoid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Logits of classes, `[N, classes]`, of which one is right.
    Classes {
        /// What makes probabilities of them.
        probability: Probability,
        /// Their names, in the order of the logits.
        classes: Vec<String>,
    },
    /// Logits of classes, `[N, classes]`, of which several may be right, each by a sigmoid of its own.
    Labels {
        /// Their names, in the order of the logits.
        classes: Vec<String>,
    },
    /// Logits of classes for each frame, `[N, frames, classes]`.
    Frames {
        /// What makes probabilities of them.
        probability: Probability,
        /// Their names, in the order of the logits.
        classes: Vec<String>,
    },
    /// A vector, `[N, values]`, which other inputs' vectors are compared with.
    Embedding,
    /// The cosine of the angle between an embedding and another, `[N, 1]`: 1 where they are alike, −1 where they are opposite.
    Similarity {
        /// What it is: `similarity to` the other.
        names: Vec<String>,
    },
    /// Numbers that are no logits, `[N, scores]`.
    Score {
        /// What they are, with their units: `quality (MOS)`.
        names: Vec<String>,
    },
}

/// What makes probabilities of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probability {
    /// The softmax of all, as after training by cross entropy.
    Softmax,
    /// The sigmoid of each, as after training by binary cross entropy.
    Sigmoid,
}

impl Probability {
    /// What such a network is trained by.
    pub fn loss(self) -> Loss {
        match self {
            Probability::Softmax => Loss::CrossEntropy,
            Probability::Sigmoid => Loss::BinaryCrossEntropy,
        }
    }

    /// What the logits of a network mean that was trained by this loss.
    pub fn of(loss: Loss) -> Self {
        match loss {
            Loss::CrossEntropy => Probability::Softmax,
            Loss::BinaryCrossEntropy => Probability::Sigmoid,
        }
    }
}

impl Task {
    /// What it is called in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Classes { .. } => "classes",
            Task::Labels { .. } => "labels",
            Task::Frames { .. } => "frames",
            Task::Embedding => "embedding",
            Task::Similarity { .. } => "similarity",
            Task::Score { .. } => "score",
        }
    }

    /// What each of the outputs is, in their order: classes, or scores; of an embedding, none.
    pub fn classes(&self) -> &[String] {
        match self {
            Task::Classes { classes, .. }
            | Task::Labels { classes }
            | Task::Frames { classes, .. } => classes,
            Task::Similarity { names } | Task::Score { names } => names,
            Task::Embedding => &[],
        }
    }

    /// What makes probabilities of the outputs, if they are logits of classes.
    pub fn probability(&self) -> Option<Probability> {
        match self {
            Task::Classes { probability, .. } | Task::Frames { probability, .. } => {
                Some(*probability)
            }
            Task::Labels { .. } => Some(Probability::Sigmoid),
            Task::Embedding | Task::Similarity { .. } | Task::Score { .. } => None,
        }
    }

    /// Whether there is one number a class, or a score, for a whole input, which is what explanations, measures and training are of. Of
    /// other tasks [`Model::over_frames`](crate::Model::over_frames) and [`Model::similar_to`](crate::Model::similar_to) make such a one.
    pub fn is_of_inputs(&self) -> bool {
        matches!(
            self,
            Task::Classes { .. }
                | Task::Labels { .. }
                | Task::Similarity { .. }
                | Task::Score { .. }
        )
    }

    /// The output that is explained where none is named: the largest of classes, the first of scores.
    pub fn foremost(&self, outputs: &[f32]) -> usize {
        if self.probability().is_none() {
            return 0;
        }
        (1..outputs.len()).fold(0, |best, index| {
            if outputs[index] > outputs[best] {
                index
            } else {
                best
            }
        })
    }
}
