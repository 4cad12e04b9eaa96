//! Rules for a network that nobody has tuned: a composite chosen on some recordings by a measure, and reported on others.
//!
//! The search goes from `any-network` knob by knob ([`KNOBS`]), from what most layers share to what few have: each choice of one is tried
//! with the others held, and the best is kept if it is better than what there was by more than noise. It goes round twice at most, and what
//! was worse by more than noise is not tried again.

mod knobs;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Assignment, Composite, Lrp};
use speechlens_nn::Graph;

pub use knobs::{Choice, Choices, KNOBS, Knob};

use crate::gain::{self, Patches};
use crate::{Error, Result, flip, known_answer};

/// How often every knob is tried.
const ROUNDS: usize = 2;

/// So many standard errors are noise.
const NOISE: f64 = 2.0;

/// A candidate that is no better on the first so many trials, or on a quarter of all if that is more, is not tried on the others.
const AT_FIRST: usize = 4;

/// A question by which rules are measured.
pub struct Trial {
    /// The network that answers it with numbers.
    pub graph: Graph,
    /// One input, `[1, …]`.
    pub input: Tensor,
    /// Whose relevance is asked for.
    pub target: u32,
    /// What is measured of it.
    pub measure: Measure,
}

/// What is measured of relevance: the higher, the better.
pub enum Measure {
    /// [`gain::gain`] of these patches, set to this value, as a share of what all flipping takes from the score, in the mean over all
    /// trials: a score that flipping hardly moves would else outweigh the others.
    Gain(Patches, f32),
    /// The share of the positive relevance that lies where, by value, it is known to belong ([`known_answer::Found::mass`]).
    Known(Vec<bool>),
}

impl Trial {
    /// What is measured of relevance by these rules. Relevance that is not finite, or of which nothing is positive, says nothing: 0.
    fn score(&self, lrp: &Lrp) -> Result<f64> {
        let relevance = lrp.explain(&self.input, &[self.target]);
        let relevance = flip::flat(&relevance?.relevance)?;
        if relevance.iter().any(|value| !value.is_finite()) {
            return Ok(0.0);
        }
        match &self.measure {
            Measure::Gain(patches, value) => {
                let by = (patches, *value);
                gain::gain(&self.graph, &self.input, self.target, &relevance, by)
            }
            Measure::Known(mask) => {
                let mass = known_answer::find(&relevance, mask).mass;
                Ok(if mass.is_finite() { mass } else { 0.0 })
            }
        }
    }
}

/// What 1 is, of what is measured.
fn unit<'a>(trials: impl Iterator<Item = &'a Trial>) -> Result<f64> {
    let mut taken = Vec::new();
    for trial in trials {
        if let Measure::Gain(_, value) = &trial.measure {
            let lost = gain::all(&trial.graph, &trial.input, trial.target, *value)?;
            taken.push(lost.abs());
        }
    }
    if taken.is_empty() {
        return Ok(1.0);
    }
    let mean = taken.iter().sum::<f64>() / taken.len() as f64;
    match mean.is_finite() && mean > 0.0 {
        true => Ok(mean),
        false => Err(Error::Plan(format!(
            "setting all of an input to nothing changes the answer by {mean}: there is nothing to flip for"
        ))),
    }
}

/// Numbers of several trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Their mean.
    pub mean: f64,
    /// Its standard error; infinite for one trial.
    pub error: f64,
    /// How many there are.
    pub count: usize,
}

impl Figure {
    /// Of these numbers.
    fn of(numbers: &[f64]) -> Self {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
        Figure {
            mean,
            error: match numbers.len() {
                0 | 1 => f64::INFINITY,
                _ => (squares / (count - 1.0) / count).sqrt(),
            },
            count: numbers.len(),
        }
    }

    /// Of the differences of numbers of the same trials.
    fn of_differences(own: &[f64], other: &[f64]) -> Self {
        let pairs = own.iter().zip(other);
        Figure::of(&pairs.map(|(own, other)| own - other).collect::<Vec<_>>())
    }
}

/// A candidate that was tried.
pub struct Tried {
    /// Which knob was turned, and to what.
    pub choice: (&'static str, &'static str),
    /// What was measured on the choosing half, or on the part of it that it was tried on.
    pub figure: Figure,
    /// The same less what there was.
    pub difference: Figure,
    /// Whether it was kept.
    pub kept: bool,
    /// How long it took.
    pub time: Duration,
}

/// Rules, and what was measured of them on both halves.
pub struct Measured {
    /// The composite's text.
    pub text: String,
    /// On the half that chose.
    pub choosing: Figure,
    /// On the half that tests.
    pub testing: Figure,
}

/// What a search found.
pub struct Found {
    /// Every candidate, in the order of trying.
    pub tried: Vec<Tried>,
    /// What the choosing half chose.
    pub chosen: Measured,
    /// What there was before.
    pub default: Measured,
    /// The chosen less the default, on the half that tests.
    pub difference: Figure,
}

impl Found {
    /// Whether what was chosen is better than the default on the half that tests.
    pub fn is_better(&self) -> bool {
        self.difference.mean > 0.0
    }

    /// The text of the better one.
    pub fn text(&self) -> &str {
        match self.is_better() {
            true => &self.chosen.text,
            false => &self.default.text,
        }
    }
}

/// The places of recordings in two halves of whole groups, each in the order in which they are taken: a recording of each of its groups,
/// then another of each. `groups` says which one each recording belongs to, as those of a speaker do; if that is the same for all, each is
/// for itself.
pub fn halves<G: Ord>(groups: &[G], seed: u64) -> [Vec<usize>; 2] {
    let mut by_group = BTreeMap::<&G, Vec<usize>>::new();
    for (place, group) in groups.iter().enumerate() {
        by_group.entry(group).or_default().push(place);
    }
    let mut all: Vec<Vec<usize>> = by_group.into_values().collect();
    if let [only] = all.as_slice() {
        all = only.iter().map(|place| vec![*place]).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    all.shuffle(&mut rng);
    all.iter_mut().for_each(|group| group.shuffle(&mut rng));
    let (choosing, testing) = all.split_at(all.len() / 2);
    [choosing, testing].map(|groups| {
        let most = groups.iter().map(Vec::len).max().unwrap_or(0);
        let turn = |turn: usize| {
            groups
                .iter()
                .filter_map(move |group| group.get(turn).copied())
        };
        (0..most).flat_map(turn).collect()
    })
}

/// What tells candidates apart: the rule of every layer, and the reference.
type Print = (Vec<Assignment>, f64);

/// Scores of trials by candidates.
struct Scores<'a> {
    trials: &'a [Trial],
    unit: f64,
}

impl Scores<'_> {
    fn of(&self, composite: &Composite, trials: Range<usize>) -> Result<Vec<f64>> {
        let score = |trial: &Trial| -> Result<f64> {
            let lrp = Lrp::new(&trial.graph, composite)?;
            Ok(trial.score(&lrp)? / self.unit)
        };
        self.trials[trials].iter().map(score).collect()
    }
}

/// Searches for rules on the first trials, and tests them on the second, beside the default, a composite's text.
///
/// `silence` is the value of the input that stands for nothing; `progress` is told how many candidates of how many are done.
///
/// # Errors
/// If there are fewer than two trials on a side, `any-network` or the default does not suit the network, or the network fails.
pub fn search(
    [choosing, testing]: [&[Trial]; 2],
    default: &str,
    silence: f64,
    progress: &dyn Fn(usize, usize),
) -> Result<Found> {
    if choosing.len() < 2 || testing.len() < 2 {
        return Err(Error::Plan(format!(
            "{} recordings choose and {} test: give two or more for each",
            choosing.len(),
            testing.len()
        )));
    }
    let unit = unit(choosing.iter().chain(testing))?;
    let [chooses, tests] = [choosing, testing].map(|trials| Scores { trials, unit });
    let whole = 0..choosing.len();
    let at_first = AT_FIRST.max(choosing.len().div_ceil(4)).min(choosing.len());
    let others: usize = KNOBS.iter().map(|knob| knob.choices.len() - 1).sum();
    // The start, and at the end the default on both halves and what was chosen on one.
    let all = ROUNDS * others + 4;
    let mut done = 0;
    let mut step = |count: usize| {
        done += count;
        progress(done, all);
    };

    let mut current = Choices::start();
    let composite = current.composite(silence)?;
    let mut seen = vec![print(&choosing[0].graph, &composite)?];
    let mut scores = chooses.of(&composite, whole.clone())?;
    step(1);
    let (mut tried, mut worse) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = current.clone();
        for (knob, own) in KNOBS.iter().enumerate().rev() {
            let mut best: Option<(usize, usize, Vec<f64>)> = None;
            for (choice, to) in own.choices.iter().enumerate() {
                if choice == current.of(knob) {
                    continue;
                }
                step(1);
                if worse.contains(&(knob, choice)) {
                    continue;
                }
                let candidate = current.with(knob, choice).composite(silence)?;
                match print(&choosing[0].graph, &candidate) {
                    Err(misfit) => {
                        tracing::debug!("{}, {}: {misfit}", own.name, to.name);
                        continue;
                    }
                    Ok(print) if seen.contains(&print) => continue,
                    Ok(print) => seen.push(print),
                }
                let start = Instant::now();
                let mut new = chooses.of(&candidate, 0..at_first)?;
                let mut difference = Figure::of_differences(&new, &scores);
                if difference.mean > 0.0 {
                    new.extend(chooses.of(&candidate, at_first..choosing.len())?);
                    difference = Figure::of_differences(&new, &scores);
                }
                if difference.mean < -NOISE * difference.error {
                    worse.push((knob, choice));
                }
                tried.push(Tried {
                    choice: (own.name, to.name),
                    figure: Figure::of(&new),
                    difference,
                    kept: false,
                    time: start.elapsed(),
                });
                let least = best
                    .as_ref()
                    .map_or(f64::MIN, |(_, _, best)| Figure::of(best).mean);
                let is_better = new.len() == scores.len()
                    && difference.mean > NOISE * difference.error
                    && Figure::of(&new).mean > least;
                if is_better {
                    best = Some((choice, tried.len() - 1, new));
                }
            }
            if let Some((choice, place, new)) = best {
                current = current.with(knob, choice);
                tried[place].kept = true;
                scores = new;
            }
        }
        if current == before {
            break;
        }
    }
    let text = current.text(silence);
    let of_default = Composite::parse(default, "the default".as_ref())?;
    let default_scores = [
        chooses.of(&of_default, whole)?,
        tests.of(&of_default, 0..testing.len())?,
    ];
    let chosen = current.composite(silence)?;
    let tested = tests.of(&chosen, 0..testing.len())?;
    progress(all, all);
    Ok(Found {
        tried,
        difference: Figure::of_differences(&tested, &default_scores[1]),
        chosen: Measured {
            text,
            choosing: Figure::of(&scores),
            testing: Figure::of(&tested),
        },
        default: Measured {
            text: default.to_owned(),
            choosing: Figure::of(&default_scores[0]),
            testing: Figure::of(&default_scores[1]),
        },
    })
}

/// What tells a candidate from others on a network.
fn print(graph: &Graph, composite: &Composite) -> Result<Print, speechlens_lrp::Error> {
    let assignments = Lrp::new(graph, composite)?.assignments();
    Ok((assignments, composite.options().reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use speechlens_lrp::PRESETS;
    use speechlens_nn::Architecture;
    use speechlens_nn::ops::{Linear, Relu};

    /// The rules that a search starts from.
    fn default() -> &'static str {
        let named = PRESETS.iter().find(|(name, _)| *name == "any-network");
        named.unwrap().1
    }

    #[test]
    fn groups_are_not_parted() {
        let groups: Vec<usize> = (0..60).map(|place| place % 7).collect();
        let of = |side: &[usize]| side.iter().map(|place| groups[*place]).collect::<Vec<_>>();
        let mut seen = Vec::new();
        for seed in 0..20 {
            let [choosing, testing] = halves(&groups, seed);
            let mut all = [&choosing[..], &testing[..]].concat();
            all.sort();
            assert!(all.into_iter().eq(0..60));
            let [choose, test] = [of(&choosing), of(&testing)];
            assert!(choose.iter().all(|group| !test.contains(group)));
            // A recording of each group comes before another of any.
            let mut first = choose[..3].to_vec();
            first.sort();
            first.dedup();
            assert_eq!(first.len(), 3);
            assert_eq!(choose[..3], choose[3..6]);
            assert_eq!(halves(&groups, seed), [choosing.clone(), testing]);
            seen.push(choosing);
        }
        seen.sort();
        seen.dedup();
        assert!(seen.len() > 15, "{}", seen.len());
        // Of one group each recording is for itself.
        let [choosing, testing] = halves(&["a"; 9], 1);
        assert_eq!((choosing.len(), testing.len()), (4, 5));
        let [choosing, testing] = halves(&["a"], 1);
        assert_eq!((choosing.len(), testing.len()), (0, 1));
    }

    #[test]
    fn figures_by_hand() {
        let figure = Figure::of(&[1.0, 3.0]);
        assert_eq!((figure.mean, figure.error, figure.count), (2.0, 1.0, 2));
        let difference = Figure::of_differences(&[3.0, 5.0], &[2.0, 2.0]);
        assert_eq!((difference.mean, difference.error), (2.0, 1.0));
        assert_eq!(Figure::of(&[4.0]).error, f64::INFINITY);
    }

    /// The sum of two levels, of which the first is silence: only against silence does the second alone speak for it.
    fn levels(through_relu: bool, count: usize, measure: impl Fn() -> Measure) -> Vec<Trial> {
        let mut net = Architecture::new([2]);
        let mut x = net.input();
        if through_relu {
            x = net.add("relu", Relu, [x]).unwrap();
        }
        net.add("sum", Linear::new(2, 1).without_bias(), [x])
            .unwrap();
        let weight = Tensor::ones((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let graph = net
            .with_weights([("sum.weight".to_owned(), weight)].into())
            .unwrap();
        let trial = |n: usize| Trial {
            graph: graph.clone(),
            input: Tensor::new(&[[-80.0, -10.0 - n as f32]], &Device::Cpu).unwrap(),
            target: 0,
            measure: measure(),
        };
        (0..count).map(trial).collect()
    }

    #[test]
    fn what_is_better_is_found_and_what_changes_nothing_is_not_tried() {
        let known = || Measure::Known(vec![false, true]);
        let (choosing, testing) = (levels(false, 6, known), levels(false, 3, known));
        let last = std::cell::Cell::new((0, 0));
        let progress = |done, all| last.set((done, all));
        let found = search([&choosing, &testing], default(), -80.0, &progress).unwrap();
        assert!(last.get().0 == last.get().1 && last.get().0 > 0);
        let kept: Vec<_> = found.tried.iter().filter(|tried| tried.kept).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].choice, ("reference", "silence"));
        assert_eq!((kept[0].figure.mean, kept[0].figure.count), (1.0, 6));
        assert!(found.is_better());
        assert!(
            found.text().contains("reference = -80.0"),
            "{}",
            found.text()
        );
        let figures = |measured: &Measured| {
            (
                measured.choosing.mean,
                measured.testing.mean,
                measured.testing.count,
            )
        };
        assert_eq!(figures(&found.chosen), (1.0, 1.0, 3));
        assert_eq!(figures(&found.default), (0.0, 0.0, 3));
        // A dense layer is all there is: every choice about it is tried once, and on no more trials than it takes.
        let tried: Vec<_> = found.tried.iter().map(|tried| tried.choice.0).collect();
        let count = |name: &str| tried.iter().filter(|tried| **tried == name).count();
        for (knob, tries) in [
            ("reference", 1),
            ("batch normalization", 0),
            ("the rest", 2),
            ("dense layers", 3),
            ("convolutions", 0),
            ("convolutions, first third", 0),
            ("recurrent layers", 0),
            ("softmax inside", 0),
            ("gates", 0),
        ] {
            assert_eq!(count(knob), tries, "{knob}: {tried:?}");
        }
        let dropped = found.tried.iter().filter(|tried| !tried.kept);
        assert!(dropped.clone().all(|tried| tried.figure.count == 4));
    }

    #[test]
    fn what_does_not_fit_is_not_tried() {
        // Behind the ReLU no layer reads the input that could take a reference.
        let known = || Measure::Known(vec![true, false]);
        let trials = levels(true, 4, known);
        let found = search([&trials, &trials], default(), -80.0, &|_, _| ()).unwrap();
        assert!(
            found
                .tried
                .iter()
                .all(|tried| tried.choice.0 != "reference")
        );
        assert!(!found.tried.is_empty());
        // Nothing is better than nothing.
        assert!(!found.is_better());
        assert_eq!(found.text(), default());
    }

    #[test]
    fn gains_are_shares_of_what_all_flipping_takes() {
        let patches = Patches::new(&[2], &[1]);
        let by = || Measure::Gain(patches.clone(), -80.0);
        let trials = levels(false, 5, by);
        let found = search([&trials, &trials], default(), -80.0, &|_, _| ()).unwrap();
        // Flipping the second takes all there is, and the first nothing: between the curves lies a triangle as high as that.
        assert!((found.default.choosing.mean - 0.5).abs() < 1e-6);
        assert!((found.default.testing.mean - 0.5).abs() < 1e-6);
    }

    #[test]
    fn two_trials_a_side_are_needed() {
        let known = || Measure::Known(vec![false, true]);
        let trials = levels(false, 3, known);
        let error = search([&trials, &trials[..1]], default(), 0.0, &|_, _| ());
        let told = error.err().unwrap().to_string();
        assert!(told.contains("3 recordings choose and 1 test"), "{told}");
        // And something that flipping changes.
        let same = levels(true, 2, || Measure::Gain(Patches::new(&[2], &[1]), -80.0));
        let told = search([&same, &same], default(), 0.0, &|_, _| ());
        assert!(
            told.err()
                .unwrap()
                .to_string()
                .contains("nothing to flip for")
        );
    }
}
