//! The two networks, with random weights, and recordings for them.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_data::{
    FeatureStore, Preparation, Sex, Sizes, Speakers, Split, Stretch, held_out::in_turn,
};
use speechlens_eval::Windows;
use speechlens_eval::flip::counts;
use speechlens_experiments::RULES;
use speechlens_frontend::FrontEnd;
use speechlens_models::resnet34::FRAMES;
use speechlens_models::{Network, alexnet, resnet34};
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;
use speechlens_report::progress;

use super::Arguments;

/// Utterances that segments are cut from, at most.
const UTTERANCES: usize = 400;

/// A network and recordings for it.
pub struct Subject {
    pub network: &'static Network,
    pub classes: usize,
    pub loss: Loss,
    pub samples: Box<dyn Samples>,
    /// What the input's values lie between.
    pub bounds: [f64; 2],
    /// What flipped bins are set to.
    pub nothing: f32,
    /// The thesis's composites.
    pub presets: Vec<&'static str>,
    seed: u64,
}

impl Subject {
    /// AlexNet on spectrograms, ResNet34 on filterbanks, with so many recordings each.
    pub fn both(arguments: &Arguments) -> Result<[Subject; 2]> {
        let count = usize::from(arguments.recordings);
        let (segments, speakers) = segments(arguments, count)?;
        let alexnet = Subject {
            network: &alexnet::NETWORK,
            classes: Sex::ALL.len(),
            loss: Loss::BinaryCrossEntropy,
            samples: Box::new(voices(arguments, count)?),
            bounds: [-80.0, 0.0],
            nothing: -80.0,
            presets: vec!["thesis-gender", "gender-silence"],
            seed: arguments.seed,
        };
        let resnet = Subject {
            network: &resnet34::NETWORK,
            classes: speakers,
            loss: Loss::CrossEntropy,
            samples: Box::new(segments),
            bounds: [-20.0, 20.0],
            nothing: 0.0,
            presets: RULES.iter().map(|rules| rules.preset).collect(),
            seed: arguments.seed,
        };
        Ok([alexnet, resnet])
    }

    /// The same weights on any device.
    pub fn graph(&self, device: &Device, dtype: DType) -> Result<Graph> {
        let architecture = self.network.architecture(self.classes)?;
        Ok(architecture.random(self.seed, device)?.to_dtype(dtype)?)
    }

    /// All recordings and their labels. Noise of half a unit lies over them, the same everywhere: in digital silence all values of a
    /// window are equal, and rounding decides which is the largest.
    pub fn batch(&self, device: &Device, dtype: DType) -> Result<(Tensor, Vec<u32>)> {
        let places: Vec<usize> = (0..self.samples.len()).collect();
        let (input, labels) = self.samples.batch(&places, &Device::Cpu)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let noise: Vec<f32> = (0..input.elem_count())
            .map(|_| rng.random_range(-0.5..0.5))
            .collect();
        let input = (&input + Tensor::from_vec(noise, input.shape(), &Device::Cpu)?)?;
        Ok((input.to_dtype(dtype)?.to_device(device)?, labels))
    }

    /// Shares of the bins of an input, as counts.
    pub fn counts(&self) -> Result<Vec<usize>> {
        let (input, _) = self.samples.batch(&[0], &Device::Cpu)?;
        Ok(counts(
            &[0.0, 1.0, 5.0, 20.0, 50.0, 80.0],
            input.elem_count(),
        ))
    }
}

/// Spectrograms of so many pieces, or of all if there are fewer.
pub fn voices(arguments: &Arguments, count: usize) -> Result<Windows> {
    let reading = progress::counter("reading recordings", arguments.quiet);
    let done = |done: usize| reading.set_position(done as u64);
    let corpus = speechlens_data::open(
        &arguments.source()?,
        arguments.seed,
        Preparation::default(),
        &done,
    )?;
    reading.finish_and_clear();
    let sizes = Sizes::at_most(count, 2, 2);
    let split = Split::draw(corpus.recordings(), Speakers::All, sizes, arguments.seed)?;
    let bar = progress::bar("spectrograms", split.train.len(), arguments.quiet);
    let path = arguments.output.join(format!("features/pieces-{count}.h5"));
    let done = |done: usize| bar.set_position(done as u64);
    let front_end = FrontEnd::load(alexnet::NETWORK.front_end)?;
    let making = (&front_end, arguments.seed);
    let store = FeatureStore::open_or_compute(&path, corpus.as_ref(), &split.train, making, &done)?;
    bar.finish_and_clear();
    let places: Vec<usize> = (0..store.recordings().len()).collect();
    let mut windows = Windows::default();
    windows.append_of_sexes(&Arc::new(store), &places, [0, 1])?;
    Ok(windows)
}

/// So many segments of two seconds, or all if there are fewer, and the number of speakers.
pub fn segments(arguments: &Arguments, count: usize) -> Result<(Windows, usize)> {
    let corpus = speechlens_data::open_utterances(
        &arguments.source()?,
        arguments.seed,
        Preparation::default(),
    )?;
    let chosen = in_turn(corpus.recordings(), UTTERANCES, |_| true);
    let bar = progress::bar("filterbanks", chosen.len(), arguments.quiet);
    let path = arguments.output.join("features/utterances.h5");
    let done = |done: usize| bar.set_position(done as u64);
    let front_end = FrontEnd::load(resnet34::NETWORK.front_end)?;
    let making = (&front_end, arguments.seed);
    let store = FeatureStore::open_or_compute(&path, corpus.as_ref(), &chosen, making, &done)?;
    bar.finish_and_clear();
    let store = Arc::new(store);
    let whole = |(recording, frames): (usize, usize)| Stretch {
        recording,
        frames: 0..frames,
    };
    let stretches: Vec<Stretch> = store.lengths().into_iter().enumerate().map(whole).collect();
    let recordings = store.recordings().iter();
    let mut speakers: Vec<String> = recordings.map(|one| one.speaker.clone()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let mut all = Windows::default();
    all.append_stretches(&store, &stretches, FRAMES, &speakers)?;
    Ok((all.sample(count, arguments.seed), speakers.len()))
}
