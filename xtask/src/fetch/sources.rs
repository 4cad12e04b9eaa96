//! The catalogue: what can be fetched, from where, under which licence, and how to tell that it arrived whole.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

/// What `cargo xtask fetch` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataSet {
    /// 30,000 spoken digits of 60 speakers, 1 GB: the thesis's data for the gender network.
    Audiomnist,
    /// Five hours of read English by 40 speakers, 0.3 GB: for either network.
    LibrispeechDevClean,
    /// Music and noise to lay over speech, 11.1 GB.
    Musan,
    /// Interviews of celebrities, for the speaker network: its authors ask everyone to register, and this says how.
    Voxceleb,
}

impl DataSet {
    /// Where it comes from, or nothing if only a person can get it.
    pub fn source(self) -> Option<Source> {
        match self {
            DataSet::Audiomnist => Some(audiomnist()),
            DataSet::LibrispeechDevClean => Some(librispeech_dev_clean()),
            DataSet::Musan => Some(musan()),
            DataSet::Voxceleb => None,
        }
    }
}

/// A data set that is one `.tar.gz` on the web.
#[derive(Clone)]
pub struct Source {
    /// What its authors call it.
    pub title: &'static str,
    /// Where the archive is.
    pub url: String,
    /// How to tell that it arrived whole.
    pub proof: Proof,
    /// Terms of use.
    pub licence: &'static str,
    /// The folder in the archive that is the data set.
    pub top: String,
    /// What that folder is called here.
    pub folder: &'static str,
    /// Files and folders in it without which it is not this data set.
    pub holds: &'static [&'static str],
    /// The option of `cargo xtask reproduce` that takes the folder.
    pub option: &'static str,
}

impl Source {
    /// What a folder lacks to be this data set.
    pub fn missing_in(&self, folder: &Path) -> Option<&'static str> {
        let mut holds = self.holds.iter().copied();
        holds.find(|name| !folder.join(name).exists())
    }
}

/// What must be true of an archive.
#[derive(Clone)]
pub enum Proof {
    /// Its publisher keeps it as it is: its size in bytes and its SHA-256 in hexadecimal.
    Archive { bytes: u64, sha256: String },
    /// It is packed anew when asked for, so its bytes may differ from one time to the next: how many there are about, and how
    /// many recordings of how many speakers must be in it. AudioMNIST's reader opens them all.
    AudioMnist {
        about: u64,
        recordings: usize,
        speakers: usize,
    },
}

impl Proof {
    /// The archive's size in bytes, at least about.
    pub fn bytes(&self) -> u64 {
        match *self {
            Proof::Archive { bytes, .. } => bytes,
            Proof::AudioMnist { about, .. } => about,
        }
    }

    /// The archive's size in bytes if it is certain.
    pub fn exact(&self) -> Option<u64> {
        match *self {
            Proof::Archive { bytes, .. } => Some(bytes),
            Proof::AudioMnist { .. } => None,
        }
    }

    /// More bytes than this are not the archive.
    pub fn most(&self) -> u64 {
        self.exact().unwrap_or(2 * self.bytes())
    }

    /// More bytes than this are not what it unpacks to: sound is not compressed fourfold.
    pub fn most_unpacked(&self) -> u64 {
        4 * self.bytes()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Archive { .. } => {
                f.write_str("The archive is checked by its size and its SHA-256.")
            }
            Proof::AudioMnist {
                recordings,
                speakers,
                ..
            } => write!(
                f,
                "GitHub packs the archive when asked and promises neither its size nor a checksum, so only its content is checked: \
                 {recordings} recordings of {speakers} speakers, all read. A download that is cut off may have to start over."
            ),
        }
    }
}

/// As of the commit that cites the published article. GitHub keeps what is in a commit, but not the bytes of its archive.
fn audiomnist() -> Source {
    const COMMIT: &str = "630d7dab4c040882834de6fa21baf9a60372accd";
    Source {
        title: "AudioMNIST",
        url: format!("https://github.com/soerenab/AudioMNIST/archive/{COMMIT}.tar.gz"),
        proof: Proof::AudioMnist {
            about: 1_000_000_000,
            recordings: 30_000,
            speakers: 60,
        },
        licence: "MIT",
        top: format!("AudioMNIST-{COMMIT}"),
        folder: "AudioMNIST",
        holds: &["data/audioMNIST_meta.txt"],
        option: "--audiomnist",
    }
}

/// Size and SHA-256 of the file whose MD5 OpenSLR publishes: 42e2234ba48799c1f50f24a7926300a1.
fn librispeech_dev_clean() -> Source {
    Source {
        title: "LibriSpeech dev-clean",
        url: "https://www.openslr.org/resources/12/dev-clean.tar.gz".into(),
        proof: Proof::Archive {
            bytes: 337_926_286,
            sha256: "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3".into(),
        },
        licence: "CC BY 4.0",
        top: "LibriSpeech".into(),
        folder: "LibriSpeech",
        holds: &["SPEAKERS.TXT", "dev-clean"],
        option: "--librispeech",
    }
}

/// Size and SHA-256 of the file whose MD5 OpenSLR publishes: 0c472d4fc0c5141eca47ad1ffeb2a7df.
fn musan() -> Source {
    Source {
        title: "MUSAN",
        url: "https://www.openslr.org/resources/17/musan.tar.gz".into(),
        proof: Proof::Archive {
            bytes: 11_086_114_085,
            sha256: "86d1061c7e15b5c9e906777685c519701df51bfde3001e1070dcc9ffac955ee1".into(),
        },
        licence: "CC BY 4.0",
        top: "musan".into(),
        folder: "musan",
        holds: &["music", "noise"],
        option: "--musan",
    }
}

/// How a person gets VoxCeleb into a folder.
pub fn voxceleb_by_hand(folder: &str) -> String {
    format!(
        "\
VoxCeleb cannot be fetched by a program: its authors send the addresses of its files to those who register.

1. Fill in the form at https://mm.kaist.ac.kr/datasets/voxceleb/ (about it: https://www.robots.ox.ac.uk/~vgg/data/voxceleb/).
2. Download vox1_dev_wav_partaa, -ab, -ac and -ad, vox1_test_wav.zip and vox1_meta.csv (VoxCeleb1).
3. Make one archive of the four parts and unpack both into the same folder, with the table beside:
     cat vox1_dev_wav_part* > vox1_dev_wav.zip
     mkdir -p {folder}
     unzip vox1_dev_wav.zip -d {folder}
     unzip vox1_test_wav.zip -d {folder}
     cp vox1_meta.csv {folder}
   That leaves {folder}/wav/id10001/VIDEO/00001.wav and so on. VoxCeleb2's .m4a files are read as well.
4. Use it:
     cargo xtask reproduce --voxceleb {folder}"
    )
}
