//! Real recordings: the folder named by `SPEECHLENS_DATA` that holds `LibriSpeech/`, else `../shared/data` beside the
//! repository.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use speechlens_data::pieces::Cut;
use speechlens_data::{
    Corpus, FeatureStore, Pieces, Sex, Sizes, Speakers, Split, Window, librispeech,
};
use speechlens_frontend::FrontEnd;

fn librispeech() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("SPEECHLENS_DATA").map_or(beside, PathBuf::from);
    let folder = data.join("LibriSpeech");
    if !folder.is_dir() {
        println!(
            "skipped: no {}; set SPEECHLENS_DATA to the folder that holds LibriSpeech/",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

#[test]
fn real_utterances_become_pieces_spectrograms_and_a_split() {
    let Some(folder) = librispeech() else { return };
    let utterances = AtomicUsize::new(0);
    let progress = |done| {
        utterances.fetch_max(done, Ordering::Relaxed);
    };
    let utterances_of = |folder: &Path| librispeech::open(folder).unwrap();
    let corpus = Pieces::cut(utterances_of(&folder), Cut::Pauses, &progress).unwrap();
    let recordings = corpus.recordings();
    println!(
        "{} utterances, {} pieces",
        utterances.load(Ordering::Relaxed),
        recordings.len()
    );
    assert!(recordings.len() > 5 * utterances.into_inner());
    let mut ids: Vec<_> = recordings.iter().map(|r| &r.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), recordings.len());

    let split = Split::draw(recordings, Speakers::All, Sizes::at_most(40, 20, 20), 1).unwrap();
    assert_eq!(
        (split.train.len(), split.validation.len(), split.test.len()),
        (40, 20, 20)
    );
    for &index in &split.train {
        let audio = corpus.audio(index).unwrap();
        assert_eq!(audio.rate, 16_000);
        assert!(
            (0.25..=1.0).contains(&audio.seconds()),
            "{}",
            recordings[index].id
        );
        // Speech, not silence: LibriSpeech's level is around −25 dB.
        let power = audio.samples.iter().map(|x| x * x).sum::<f32>() / audio.samples.len() as f32;
        assert!(10.0 * power.log10() > -60.0, "{}", recordings[index].id);
    }

    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("test.h5");
    let front_end = FrontEnd::load("thesis-spectrogram").unwrap();
    let making = (&front_end, 0);
    let store =
        FeatureStore::open_or_compute(&path, &corpus, &split.test, making, &|_| ()).unwrap();
    assert_eq!(
        store
            .recordings()
            .iter()
            .filter(|r| r.sex == Some(Sex::Female))
            .count(),
        10
    );
    for recording in 0..store.recordings().len() {
        let first = Window {
            recording,
            start: 0,
        };
        let values = store.one(first).unwrap();
        assert!(values.iter().all(|db| (-80.0..=0.0).contains(db)));
    }

    let fixed = Pieces::cut(utterances_of(&folder), Cut::Fixed(1.0), &|_| ()).unwrap();
    assert!(fixed.audio(0).unwrap().samples.len() == 16_000 && fixed.recordings().len() > 351);
}
