//! The spectrogram's contract; its values are held against scipy and librosa in the workspace's `tests`.

#![allow(clippy::unwrap_used)]

use speechlens_audio::{
    Audio, Crop, Error, FLOOR_DB, Placement, SIZE, Spectrogram, frequencies, padding_frames, times,
};

fn tone(frequency: f32, seconds: f32, rate: u32) -> Audio {
    let wave = |i: usize| 0.9 * (std::f32::consts::TAU * frequency * i as f32 / rate as f32).sin();
    Audio {
        samples: (0..(seconds * rate as f32) as usize).map(wave).collect(),
        rate,
    }
}

#[test]
fn the_loudest_bin_is_where_and_when_the_tone_is() {
    for crop in [Crop::Thesis, Crop::AudioMnist] {
        let placed = Spectrogram::new(crop)
            .compute(&tone(1000.0, 0.4, 16000), Placement::At(2000))
            .unwrap();
        assert_eq!((placed.offset, placed.samples), (2000, 3200));
        let (mut min, mut max) = (0.0f32, FLOOR_DB);
        for &level in &placed.values {
            (min, max) = (min.min(level), max.max(level));
        }
        assert_eq!((min, max), (FLOOR_DB, 0.0));
        for (column, time) in times(crop).into_iter().enumerate() {
            let frame = placed.values.column(column);
            let (row, &level) = frame
                .indexed_iter()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap();
            // The tone lasts from 0.25 s to 0.65 s; a frame sees 28 ms to either side.
            if (0.28..0.62).contains(&time) {
                assert!(
                    (frequencies()[row] - 1000.0).abs() < 9.0 && level > -0.1,
                    "{time} s: row {row}, {level} dB"
                );
            } else if !(0.22..0.68).contains(&time) {
                assert_eq!(level, FLOOR_DB, "{time} s");
            }
        }
    }
}

#[test]
fn the_axes_are_those_of_the_frames() {
    assert_eq!(frequencies().len(), SIZE);
    assert_eq!(frequencies()[0], 0.0);
    assert!((frequencies()[226] - 226.0 * 8000.0 / 455.0).abs() < 1e-9);
    assert_eq!(
        (times(Crop::Thesis)[0], times(Crop::Thesis)[226]),
        (0.0, 226.0 * 35.0 / 8000.0)
    );
    assert_eq!(
        (times(Crop::AudioMnist)[0], times(Crop::AudioMnist)[226]),
        (70.0 / 8000.0, 228.0 * 35.0 / 8000.0)
    );
}

#[test]
fn the_crops_show_the_same_frames_two_apart() {
    let audio = tone(700.0, 0.5, 8000);
    let [thesis, audiomnist] = [Crop::Thesis, Crop::AudioMnist].map(|c| {
        Spectrogram::new(c)
            .compute(&audio, Placement::At(1000))
            .unwrap()
            .values
    });
    assert_eq!(
        thesis.slice(ndarray::s![.., 2..]),
        audiomnist.slice(ndarray::s![.., ..SIZE - 2])
    );
}

#[test]
fn silence_is_not_a_number_problem() {
    let silence = Audio {
        samples: vec![0.0; 4000],
        rate: 8000,
    };
    let values = Spectrogram::new(Crop::Thesis)
        .compute(&silence, Placement::At(0))
        .unwrap()
        .values;
    assert!(
        values.iter().all(|&level| level == 0.0),
        "as librosa has it"
    );
}

#[test]
fn padding_is_counted_in_frames() {
    assert_eq!(padding_frames(0, 8000, Crop::Thesis), 0);
    assert_eq!(padding_frames(0, 8000, Crop::AudioMnist), 0);
    // Frames are centred on 0, 35, 70, …: 3 of them (0, 35, 70) before 71, and those of 100 .. 227 from 3500 on.
    assert_eq!(padding_frames(71, 3429, Crop::Thesis), 3 + 127);
    // Two frames fewer before, two more after.
    assert_eq!(padding_frames(71, 3429, Crop::AudioMnist), 1 + 129);
}

#[test]
fn random_places_depend_on_the_seed_alone_and_fit() {
    let spectrogram = Spectrogram::new(Crop::Thesis);
    let audio = tone(500.0, 0.99, 8000);
    let offset = |seed| {
        spectrogram
            .compute(&audio, Placement::Random(seed))
            .unwrap()
            .offset
    };
    let offsets: Vec<usize> = (0..200).map(offset).collect();
    assert_eq!(offsets, (0..200).map(offset).collect::<Vec<_>>());
    // 81 places: the ends are met among 200 draws with these seeds, none beyond.
    assert!(offsets.iter().all(|&o| o <= 80));
    assert!(offsets.iter().any(|&o| o < 8) && offsets.iter().any(|&o| o > 72));
}

#[test]
fn what_does_not_fit_is_refused_with_a_remedy() {
    let spectrogram = Spectrogram::new(Crop::Thesis);
    let second = Audio {
        samples: vec![0.1; 44100],
        rate: 44100,
    };
    assert!(spectrogram.compute(&second, Placement::Random(1)).is_ok());
    let longer = Audio {
        samples: vec![0.1; 44101],
        rate: 44100,
    };
    let error = spectrogram.compute(&longer, Placement::At(0)).unwrap_err();
    assert!(
        matches!(error, Error::TooLong { .. }) && error.to_string().contains("cut it"),
        "{error}"
    );
    assert!(matches!(
        spectrogram.compute(&second, Placement::At(1)),
        Err(Error::Offset {
            offset: 1,
            samples: 8000,
            ..
        })
    ));
    let bad = |samples, rate| {
        spectrogram
            .compute(&Audio { samples, rate }, Placement::At(0))
            .unwrap_err()
    };
    assert!(matches!(bad(vec![], 8000), Error::NoSamples));
    assert!(matches!(bad(vec![0.0], 0), Error::NoRate));
    assert!(matches!(
        bad(vec![0.0, f32::NAN], 8000),
        Error::NonFiniteSample(1)
    ));
    assert!(matches!(
        spectrogram.compute(&second, Placement::At(usize::MAX)),
        Err(Error::Offset { .. })
    ));
}

#[test]
fn crops_have_names() {
    for crop in [Crop::Thesis, Crop::AudioMnist] {
        assert_eq!(crop.to_string().parse::<Crop>().unwrap(), crop);
    }
    assert!(
        "square"
            .parse::<Crop>()
            .unwrap_err()
            .to_string()
            .contains("audiomnist")
    );
}

/// Buffers and plans are kept from one recording to the next, and show it nothing of the last.
#[test]
fn many_by_one_extractor_are_the_same_as_each_by_its_own() {
    let shared = Spectrogram::new(Crop::Thesis);
    let lengths = [0.9, 0.3, 0.3001, 0.7];
    std::thread::scope(|scope| {
        for rate in [8000, 16000, 44100] {
            let shared = &shared;
            scope.spawn(move || {
                for seconds in lengths {
                    let audio = tone(440.0, seconds, rate);
                    let placement = Placement::Random(seconds as u64);
                    assert_eq!(
                        shared.compute(&audio, placement).unwrap(),
                        Spectrogram::new(Crop::Thesis)
                            .compute(&audio, placement)
                            .unwrap()
                    );
                }
            });
        }
    });
}
