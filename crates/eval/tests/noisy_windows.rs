//! Segments with music or noise behind the speech: drawn anew each epoch, from the seed alone.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use ndarray::{Array2, Axis, Ix2, s};
use speechlens_audio::Filterbank;
use speechlens_audio::filterbank::{FRAME, HOP, RATE};
use speechlens_data::background::{Backdrop, Background};
use speechlens_data::{Corpus, FeatureStore, HeldOut, Synthetic};
use speechlens_eval::noisy_windows::Sounds;
use speechlens_eval::{NoisyWindows, Windows};
use speechlens_frontend::FrontEnd;
use speechlens_nn::train::Samples;

const ANY: [Option<Backdrop>; 3] = [None, Some(Backdrop::Music), Some(Backdrop::Noise)];

const FRAMES: usize = 200;
/// The mean of each band taken off over the window, or over the recording.
const FRONT_ENDS: [&str; 2] = ["thesis-fbank", "thesis-fbank-recording"];

/// Two speakers with two utterances each.
struct Speech {
    windows: Windows,
    sounds: Arc<Sounds>,
}

fn corpus() -> Synthetic {
    Synthetic::utterances(1, 2, 1)
}

fn speech(front_end: &str) -> Speech {
    let folder = tempfile::tempdir().unwrap();
    let indices: Vec<usize> = (0..corpus().recordings().len()).collect();
    let path = folder.path().join("filterbanks.h5");
    let front_end = FrontEnd::load(front_end).unwrap();
    let making = (&front_end, 1);
    let store = FeatureStore::open_or_compute(&path, &corpus(), &indices, making, &|_| ()).unwrap();
    let split = HeldOut::split(store.recordings(), &store.lengths(), FRAMES).unwrap();
    let mut windows = Windows::default();
    windows
        .append_stretches(&Arc::new(store), &split.train, 20, &split.speakers)
        .unwrap();
    Speech {
        windows,
        sounds: Arc::new(Sounds::new(vec![Box::new(corpus())])),
    }
}

impl Speech {
    fn with(&self, kinds: &[Option<Backdrop>], seed: u64) -> NoisyWindows {
        let background = Arc::new(Background::synthetic(seed));
        NoisyWindows::new(self.windows.clone(), &self.sounds, &background, kinds)
    }
}

#[test]
fn what_is_behind_a_segment_follows_from_the_seed_the_place_and_the_epoch() {
    let speech = speech(FRONT_ENDS[0]);
    let (one, again, other) = (
        speech.with(&ANY[1..2], 1),
        speech.with(&ANY[1..2], 1),
        speech.with(&ANY[1..2], 2),
    );
    let segment = |samples: &NoisyWindows, epoch| samples.window(epoch, 3).unwrap();
    assert_eq!(segment(&one, 0), segment(&again, 0));
    assert_eq!(segment(&one, 7), segment(&again, 7));
    assert_ne!(segment(&one, 0), segment(&one, 1));
    assert_ne!(segment(&one, 0), segment(&other, 0));
    assert_eq!(one.key(), again.key());
    for different in [&other, &speech.with(&ANY[2..], 1), &speech.with(&ANY, 1)] {
        assert_ne!(one.key(), different.key());
    }
    // A part of them keeps what is behind each.
    let part = one.sample(2, 5);
    assert_eq!(part.len(), 2);
    let origin = part.clean().origin(1);
    let mut places = 0..one.len();
    let place = places.find(|place| one.clean().origin(*place) == origin);
    let whole = one.window(0, place.unwrap()).unwrap();
    assert_eq!(part.window(0, 1).unwrap(), whole);

    let device = candle_core::Device::Cpu;
    let read = |(input, labels): (candle_core::Tensor, Vec<u32>)| {
        (
            input.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            labels,
        )
    };
    let (values, labels) = read(one.batch_of_epoch(4, &[3, 0], &device).unwrap());
    let expected: Vec<f32> = [3, 0]
        .iter()
        .flat_map(|place| one.window(4, *place).unwrap())
        .collect();
    assert_eq!(values, expected);
    assert_eq!(labels, [one.clean().label(3), one.clean().label(0)]);
    // A test hears the same every time.
    let test = read(one.batch(&[3], &device).unwrap());
    assert_eq!(test, read(one.batch_of_epoch(0, &[3], &device).unwrap()));
}

#[test]
fn a_segment_is_the_filterbank_of_the_mixture() {
    for front_end in FRONT_ENDS {
        let speech = speech(front_end);
        let music = speech.with(&ANY[1..2], 1);
        let (recording, first) = speech.windows.origin(2);
        let corpus = corpus();
        let index = corpus.recordings().iter().position(|r| r == recording);
        let audio = corpus.audio(index.unwrap()).unwrap();
        assert_eq!(audio.rate, RATE);
        let start = first * HOP;
        let (part, first_of_part) = match front_end {
            "thesis-fbank" => (start..start + (FRAMES - 1) * HOP + FRAME, 0),
            _ => (0..audio.samples.len(), first),
        };
        let name = format!("{} from frame {first}, epoch 5", recording.id);
        let background = Background::synthetic(1);
        let mixed = background
            .mix_part(&audio, part, Backdrop::Music, &name)
            .unwrap();
        let whole = Filterbank::new().compute(&mixed.audio).unwrap();
        let mean = whole.mapv(f64::from).mean_axis(Axis(1)).unwrap();
        let cut = whole.slice(s![.., first_of_part..first_of_part + FRAMES]);
        let expected: Array2<f64> = cut.mapv(f64::from) - mean.insert_axis(Axis(1));
        let segment = music.window(5, 2).unwrap().mapv(f64::from);
        let segment = segment.into_dimensionality::<Ix2>().unwrap();
        assert_eq!(segment.dim(), (64, FRAMES));
        let apart = (segment - expected).mapv(f64::abs);
        assert!(apart.iter().all(|apart| *apart < 1e-4), "{apart}");
    }
}

#[test]
fn each_kind_is_as_likely_and_none_is_the_speech_alone() {
    let speech = speech(FRONT_ENDS[0]);
    let (any, none) = (speech.with(&ANY, 1), speech.with(&ANY[..1], 1));
    let places: Vec<usize> = (0..any.len()).collect();
    let mut clean = 0;
    let epochs = 60_usize.div_ceil(places.len()) as u64;
    for epoch in 0..epochs {
        for &place in &places {
            let alone = speech.windows.read(&[place]).unwrap();
            let alone = alone.index_axis_move(Axis(0), 0);
            assert_eq!(none.window(epoch, place).unwrap(), alone);
            clean += usize::from(any.window(epoch, place).unwrap() == alone);
        }
    }
    // A third, within four standard deviations of a binomial distribution.
    let all = (epochs as usize * places.len()) as f64;
    let apart = clean as f64 - all / 3.0;
    assert!(
        apart.abs() < 4.0 * (all * 2.0 / 9.0).sqrt(),
        "{clean} of {all}"
    );
}
