//! Speech corpora, splits, a synthetic corpus, and HDF5 feature stores.
//!
//! A [`Corpus`] lists [`Recording`]s and hands out their sound. [`open`] finds out what a folder holds; the word
//! `synthetic` stands for the built-in voices, for a machine that has no data. There are two tasks of the thesis, and any other ([`task`]):
//!
//! **Gender**, of strangers: recordings of at most a second; a [`Split`] deals them to training, validation and test so that no
//! speaker is in two of them, and a [`FeatureStore`] keeps their spectrograms on disk.
//!
//! ```
//! use speechlens_data::{Corpus, FeatureStore, Sizes, Speakers, Split, Synthetic, Window};
//! use speechlens_frontend::FrontEnd;
//!
//! let corpus = Synthetic::new(4, 10, 1); // 4 voices of each sex, 10 words of each, seed 1
//! let split = Split::draw(corpus.recordings(), Speakers::All, Sizes::all(), 1)?;
//! assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (40, 20, 20));
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("test.h5");
//! let front_end = FrontEnd::load("thesis-spectrogram")?;
//! let store = FeatureStore::open_or_compute(&path, &corpus, &split.test, (&front_end, 1), &|_done| {})?;
//! let first = Window { recording: 7, start: 0 };
//! assert_eq!(store.one(first)?.shape(), [227, 227]); // a spectrogram in dB
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Speaker**, among known ones: whole utterances ([`open_utterances`]); a [`FeatureStore`] keeps their filterbanks, and
//! [`HeldOut`] says which frames of each speaker are for training and which for test.
//!
//! ```
//! use speechlens_data::{Corpus, FeatureStore, HeldOut, Synthetic, Window};
//! use speechlens_frontend::FrontEnd;
//!
//! let corpus = Synthetic::utterances(1, 3, 1); // a man and a woman, 3 utterances of each, seed 1
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("filterbanks.h5");
//! let front_end = FrontEnd::load("thesis-fbank")?;
//! let store = FeatureStore::open_or_compute(&path, &corpus, &[0, 1, 2, 3, 4, 5], (&front_end, 1), &|_done| {})?;
//!
//! let split = HeldOut::split(store.recordings(), &store.lengths(), 200)?; // in segments of 200 frames: 2 s
//! assert_eq!(split.speakers, ["01", "02"]);
//! let held_out = &split.test[0];
//! let first = Window { recording: held_out.recording, start: held_out.frames.start };
//! assert_eq!(store.read(&[first])?[0].shape(), [64, 200]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | subject | module |
//! | --- | --- |
//! | what a corpus is, and opening one | [`corpus`] |
//! | AudioMNIST, LibriSpeech and LibriTTS, VoxCeleb, synthetic voices | [`audiomnist`], [`librispeech`], [`voxceleb`], [`synthetic`] |
//! | silence taken off; utterances cut into pieces of a second | [`prepared`], [`pieces`] |
//! | folders and tables as people have them | [`folder`] |
//! | what cannot be used, and why | [`left_out`] |
//! | any classes: those of a table of labels, the digits | [`task`] |
//! | training, validation and test: by speaker, and for each speaker | [`split`], [`held_out`] |
//! | music and noise behind speech: MUSAN, or synthesized | [`background`] |
//! | an artifact that gives a class away | [`planted`] |
//! | features on disk, of any front end, and where they are kept | [`feature_store`], [`cache`] |
//! | AudioMNIST's own preprocessed files | [`hdf5_layout`] |

pub mod audiomnist;
pub mod background;
pub mod cache;
pub mod corpus;
mod error;
mod feature_file;
pub mod feature_store;
mod files;
pub mod folder;
mod hdf5_file;
pub mod hdf5_layout;
pub mod held_out;
pub mod left_out;
pub mod librispeech;
pub mod pieces;
pub mod planted;
pub mod prepared;
mod ragged;
mod seed;
pub mod split;
pub mod synthetic;
pub mod task;
pub mod voxceleb;

pub use background::Background;
pub use cache::Cache;
pub use corpus::{Corpus, Recording, Sex, open, open_utterances};
pub use error::{Error, Result};
pub use feature_store::{FeatureStore, Window, placement};
pub use files::Files;
pub use held_out::{HeldOut, Stretch};
pub use left_out::LeftOut;
pub use pieces::Pieces;
pub use planted::{Artifact, Planted};
pub use prepared::Preparation;
pub use split::{Part, Sizes, Speakers, Split};
pub use synthetic::Synthetic;
pub use task::Digits;
