//! A folder a test, the binary, and inputs for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use candle_core::Device;
use ndarray::{Array, Array2, Dimension};
use ndarray_npy::WriteNpyExt;
use speechlens_models::{Model, Network, alexnet, audionet, resnet34};
use tempfile::TempDir;

/// Where a test works: on a disk, since model files are large. Beside it is a cache of its own.
pub struct Folder(TempDir, TempDir);

impl Folder {
    pub fn new() -> Folder {
        let new = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Folder(new(), new())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// What lies in a folder, by name.
    pub fn list(&self, name: &str) -> Vec<String> {
        let entries = self.path(name).read_dir().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Writes a file in folders that are made if need be.
    pub fn write_below(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        self.write(name, bytes);
    }

    /// A falling tone, 16-bit mono WAV.
    pub fn tone(&self, name: &str, rate: u32, samples: u32) {
        self.wav(name, rate, samples, 12000.0);
    }

    /// Nothing, at 8 kHz.
    pub fn silence(&self, name: &str, samples: u32) {
        self.wav(name, 8000, samples, 0.0);
    }

    fn wav(&self, name: &str, rate: u32, samples: u32, amplitude: f64) {
        let sample = |n: u32| {
            let t = f64::from(n) / f64::from(rate);
            let phase = std::f64::consts::TAU * (900.0 * t - 300.0 * t * t);
            (amplitude * phase.sin()) as i16
        };
        self.recording(name, 1, rate, (0..samples).map(sample));
    }

    /// A 16-bit WAV of these samples, those of a frame behind each other.
    pub fn recording(
        &self,
        name: &str,
        channels: u16,
        rate: u32,
        samples: impl IntoIterator<Item = i16>,
    ) {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(self.path(name), spec).unwrap();
        for sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    pub fn npy<D: Dimension>(&self, name: &str, array: &Array<f32, D>) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        array.write_npy(file).unwrap();
    }

    pub fn read_npy<D: Dimension>(&self, name: &str) -> Array<f32, D> {
        ndarray_npy::read_npy(self.path(name)).unwrap()
    }

    /// `speechlens` with these arguments, in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_speechlens"));
        command.args(arguments).current_dir(self.0.path());
        self.in_environment(&mut command);
        command
    }

    /// What a run that must succeed prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        // A network that is trained for seconds says so.
        let other = |line: &&str| !line.contains("has learned nothing that shows on");
        let errors: String = errors.lines().filter(other).collect();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert_eq!(errors, "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line that a run that must fail prints.
    pub fn fail(&self, arguments: &[&str]) -> String {
        failed(self.command(arguments)).unwrap()
    }

    /// As [`Folder::fail`], under limits: `ulimit -v 1000000`, say.
    pub fn fail_within(&self, arguments: &[&str], limit: &str) -> Result<String, String> {
        // Not every system limits everything.
        let script = format!("{limit} 2> /dev/null; exec \"$@\"");
        failed(self.shell(&["sh", "-c", &script], arguments))
    }

    /// As [`Folder::fail`], where the folder `new` is a disk that was mounted with these options. What is left on it is a
    /// second line, and fails.
    pub fn fail_on_disk(&self, arguments: &[&str], options: &str) -> Result<String, String> {
        let mount = mount(options);
        let script = format!("{mount} && \"$@\"; code=$?; ls -A new >&2; exit $code");
        let shell = ["unshare", "-rm", "sh", "-c", &script];
        failed(self.shell(&shell, arguments))
    }

    /// Whether [`Folder::fail_on_disk`] can be: makes the folder and tries. Says so if not.
    pub fn can_mount(&self, options: &str) -> bool {
        std::fs::create_dir_all(self.path("new")).unwrap();
        let mount = mount(options);
        let mut shell = self.shell(&["unshare", "-rm", "sh", "-c", &mount], &[]);
        let can = shell.output().is_ok_and(|output| output.status.success());
        if !can {
            eprintln!("no disk may be mounted here: left out");
        }
        can
    }

    /// A shell that has `speechlens` and these arguments for its own.
    fn shell(&self, shell: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("sh");
        command
            .arg(env!("CARGO_BIN_EXE_speechlens"))
            .args(arguments);
        command.current_dir(self.0.path());
        self.in_environment(&mut command);
        command
    }

    fn in_environment(&self, command: &mut Command) {
        command.env_remove("RUST_BACKTRACE");
        command.env("SPEECHLENS_CACHE", self.1.path());
    }

    /// The store in a folder that was computed under this name.
    pub fn stored(&self, folder: &str, name: &str) -> PathBuf {
        let mut stores = self.list(folder).into_iter();
        let found = stores.find(|file| file.starts_with(&format!("{name}-")));
        self.path(folder).join(found.unwrap())
    }

    /// The paths of all files in it, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        fn list(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => list(&path, files),
                    false => files.push(path),
                }
            }
        }
        let mut files = Vec::new();
        list(self.0.path(), &mut files);
        files.sort();
        files
    }
}

fn mount(options: &str) -> String {
    format!("mount -t tmpfs -o {options} disk new")
}

/// The one line that a command prints that fails as it should; or how it does not.
fn failed(mut command: Command) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    // Errors tell their causes: none may stand there twice.
    let once = errors.matches("(os error").count() <= 1;
    let one_line = errors.lines().count() == 1 && errors.starts_with("error: ");
    match status.code() == Some(1) && one_line && once && stdout.is_empty() {
        true => Ok(errors),
        false => Err(format!("{command:?}: {status}: {errors}")),
    }
}

/// A spectrogram with structure, so that heatmaps have some.
pub fn spectrogram(shift: usize) -> Array2<f32> {
    Array2::from_shape_fn((227, 227), |(row, column)| {
        let ripple = ((row * (7 + shift) + column * 3) % 61) as f32;
        -10.0 - ripple - 0.03 * (row + shift) as f32
    })
}

/// AlexNet with random weights that tells ten digits apart; one file for all tests.
pub fn digit_model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| {
        let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
        let digits: Vec<&str> = digits.iter().map(String::as_str).collect();
        random(&alexnet::NETWORK, &digits)
    })
}

/// AlexNet with random weights, which says `male` or `female`; one file for all tests.
pub fn model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| random(&alexnet::NETWORK, &["male", "female"]))
}

/// ResNet34 with random weights, which says `anna`, `ben` or `carl`; one file for all tests.
pub fn speaker_model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| random(&resnet34::NETWORK, &["anna", "ben", "carl"]))
}

/// AudioNet with random weights, which says `male` or `female`; one file for all tests.
pub fn waveform_model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| random(&audionet::NETWORK, &["male", "female"]))
}

fn random(network: &Network, classes: &[&str]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("random-{network}-{}.safetensors", classes.len()));
    let graph = network.architecture(classes.len()).unwrap();
    let graph = graph.random(3, &Device::Cpu).unwrap();
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    let model = Model::of(network, graph, classes).unwrap();
    model.save(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One of the ONNX networks that `tests/goldens/make_onnx.py` makes.
pub fn onnx(case: &str) -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/goldens/onnx/ops.safetensors"
    );
    let mut all = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    all.remove(&format!("{case}/model"))
        .unwrap()
        .to_vec1()
        .unwrap()
}
