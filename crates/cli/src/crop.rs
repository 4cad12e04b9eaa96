//! The crop of the thesis's spectrograms, as commands take it.

use clap::ValueEnum;

/// Which 227 of a spectrogram's 230 frames are kept.
#[derive(Clone, Copy, ValueEnum)]
pub enum Crop {
    /// All but the last three.
    Thesis,
    /// All but the first two and the last, as AudioMNIST's own preprocessing has it.
    #[value(name = "audiomnist")]
    AudioMnist,
}

impl Crop {
    /// The front end whose spectrograms are cut so.
    pub fn front_end(self) -> &'static str {
        match self {
            Crop::Thesis => "thesis-spectrogram",
            Crop::AudioMnist => "audiomnist-spectrogram",
        }
    }
}
