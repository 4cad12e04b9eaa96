//! How a run is asked for.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use speechlens_data::{Artifact, Preparation};

/// Repeat the thesis's experiments: train, explain, test the explanations, write a page and results.json.
///
/// A run that was stopped goes on, after the last experiment that was finished, when it is started again in the same way. Ctrl-C
/// saves the network that is being trained, says how to go on, and ends with status 130; a second Ctrl-C ends at once.
#[derive(clap::Args)]
pub struct Arguments {
    /// AudioMNIST, as its authors publish it, or your own digits kept so (DIR/SPEAKER/DIGIT_SPEAKER_REPETITION.wav and
    /// DIR/audioMNIST_meta.txt), for the gender network and the digits; without data, the built-in synthetic voices are used.
    #[arg(long, value_name = "DIR")]
    audiomnist: Option<PathBuf>,
    /// Split AudioMNIST as its authors did for gender (0 to 3), and not by the seed.
    #[arg(long, value_name = "N", requires = "audiomnist", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub fold: Option<u8>,
    /// Take silence off both ends of the recordings of the gender network and of digits, before each is put into its second: what is 40 dB below the
    /// loudest.
    #[arg(long)]
    pub trim: bool,
    /// Cut words of AudioMNIST that are longer than a second at their pauses; utterances of LibriSpeech are cut so in any case.
    #[arg(long, requires = "audiomnist")]
    pub pieces: bool,
    /// Stop at the first recording that cannot be used, rather than leave it out.
    #[arg(long)]
    pub strict: bool,
    /// VoxCeleb, as its archives unpack (idNNNNN/VIDEO/UTTERANCE), for the speaker network.
    #[arg(long, value_name = "DIR")]
    voxceleb: Option<PathBuf>,
    /// LibriSpeech or LibriTTS, the folder that holds SPEAKERS.TXT or one of its subsets, for the networks that are given no corpus of their
    /// own.
    #[arg(long, value_name = "DIR")]
    librispeech: Option<PathBuf>,
    /// MUSAN, the folder that holds music/ and noise/, to lay over speech; without it, both are synthesized.
    #[arg(long, value_name = "DIR")]
    pub musan: Option<PathBuf>,
    /// Pretrained networks of others, as ONNX files (crepe-tiny, campplus, dnsmos, ge2e-lstm, silero-vad, smart-turn-int8): what
    /// `networks` tests; without it, they are left out.
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Rules that `networks` compares besides: presets or TOML files.
    #[arg(long, value_name = "FILE,…", value_delimiter = ',')]
    pub rules: Vec<String>,
    /// How much: `quick` takes minutes, `full` is the thesis's own setting and takes days on a CPU, `smoke` only shows that
    /// everything runs.
    #[arg(long, value_enum, default_value = "quick")]
    pub profile: Profile,
    /// Only these experiments (gender, mending, …), or those that these tables and figures (table-6.1, figure-6.3, …) belong to.
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Artifacts of the Clever Hans benchmark: hum, tone, click, silent-start, silence, cut-off, each with its strength if you like
    /// (tone:-25); else the first, or all in the full profile.
    #[arg(long, value_name = "ARTIFACT,…", value_delimiter = ',')]
    pub artifacts: Vec<Artifact>,
    /// Seeds of the Clever Hans benchmark, each a network for every artifact; else 2, or 5 in the full profile.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub seeds: Option<u16>,
    /// How many of the class's training recordings have the artifact of the Clever Hans benchmark, in percent.
    #[arg(long, value_name = "P", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
    /// How many recordings of the Clever Hans benchmark have the speaker's sex as their class in training, in percent; that of
    /// the others is drawn by lot. The less the voice tells, the sooner a network learns the artifact.
    #[arg(long, value_name = "P", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub by_voice: u8,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show no progress.
    #[arg(long)]
    pub quiet: bool,
}

/// How much to compute.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A few steps on a few recordings: its numbers mean nothing.
    Smoke,
    /// Within an hour on two cores, on the synthetic corpus.
    Quick,
    /// The thesis's own setting.
    Full,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Smoke => "smoke",
            Profile::Quick => "quick",
            Profile::Full => "full",
        }
    }
}

impl Arguments {
    /// What the gender network's recordings are to be opened from.
    pub fn voices(&self) -> Result<String> {
        source([&self.audiomnist, &self.librispeech])
    }

    /// What digits are to be opened from. LibriSpeech has none.
    pub fn digits(&self) -> Result<String> {
        source([&self.audiomnist])
    }

    /// How the gender network's recordings are made ready.
    pub fn preparation(&self) -> Preparation {
        Preparation {
            trim: self.trim,
            pieces: self.pieces,
            strict: self.strict,
        }
    }

    /// What the speaker network's recordings are to be opened from.
    pub fn speakers(&self) -> Result<String> {
        source([&self.voxceleb, &self.librispeech])
    }

    /// The run's folder: one for each profile, data and seed.
    pub(crate) fn run_name(&self) -> String {
        let fold = self.fold.map(|fold| format!("-fold{fold}"));
        let given = [
            ("audiomnist", &self.audiomnist),
            ("voxceleb", &self.voxceleb),
            ("librispeech", &self.librispeech),
            ("musan", &self.musan),
        ];
        let given = given.into_iter().filter(|(_, folder)| folder.is_some());
        let names: Vec<String> = given
            .map(|(name, _)| match name {
                "audiomnist" => name.to_owned() + fold.as_deref().unwrap_or_default(),
                name => name.to_owned(),
            })
            .collect();
        let data = match names.as_slice() {
            [] => "synthetic".to_owned(),
            names => names.join("+"),
        };
        let done = [("-trim", self.trim), ("-pieces", self.pieces)];
        let done = done.into_iter().filter(|(_, is_asked)| *is_asked);
        let done: String = done.map(|(name, _)| name).collect();
        format!("{}-{data}{done}-{}", self.profile.name(), self.seed)
    }

    /// Whether the gender network hears the built-in voices.
    pub fn has_synthetic_voices(&self) -> bool {
        self.audiomnist.is_none() && self.librispeech.is_none()
    }

    /// Whether the gender network hears LibriSpeech.
    pub fn has_voices_of_librispeech(&self) -> bool {
        self.audiomnist.is_none() && self.librispeech.is_some()
    }

    /// Whether a table or figure is asked for.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == id)
    }
}

/// The first corpus that is given, or the built-in voices.
pub fn source<const N: usize>(folders: [&Option<PathBuf>; N]) -> Result<String> {
    match folders.into_iter().flatten().next() {
        None => Ok("synthetic".to_owned()),
        Some(folder) => match folder.to_str() {
            Some(source) => Ok(source.to_owned()),
            None => bail!("{}: the folder's name must be Unicode", folder.display()),
        },
    }
}
