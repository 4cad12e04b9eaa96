//! The files of AudioMNIST's own preprocessing: `AlexNet_DIGIT_SPEAKER_REPETITION.hdf5`, one recording a file, with `data`
//! [1, 1, 227, 227] (a spectrogram in dB, frequency × time) and `label` [[digit, gender]] (0 male, 1 female).

use std::path::{Path, PathBuf};

use hdf5::{Dataset, File};
use ndarray::{Array2, ArrayView2, Axis, Ix4, array};
use speechlens_frontend::thesis::SIZE;

use crate::audiomnist::parse_stem;
use crate::corpus::{Recording, Sex};
use crate::folder::{self, entries, has_ending};
use crate::hdf5_file::dataset;
use crate::left_out::{LeftOut, Reason};
use crate::{Error, Result};

const PREFIX: &str = "AlexNet_";

/// The files of this layout in a folder, in the order of their names.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && has_ending(path, "hdf5")
    };
    Ok(entries(folder)?.into_iter().filter(ours).collect())
}

/// Files, and what they say of their recordings.
#[derive(Default)]
pub struct Labelled {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The recording of each.
    pub recordings: Vec<Recording>,
    /// Files that cannot be used.
    pub left_out: Vec<LeftOut>,
}

/// Reads what files say of their recordings, without the spectrograms. `progress` hears the number of files read so far.
///
/// # Errors
/// If none can be used; or, if `strict`, one cannot.
pub fn labelled(files: Vec<PathBuf>, strict: bool, progress: &dyn Fn(usize)) -> Result<Labelled> {
    let mut labelled = Labelled::default();
    for (done, file) in (1..).zip(files) {
        match open(&file) {
            Ok((recording, _)) => {
                labelled.recordings.push(recording);
                labelled.files.push(file);
            }
            Err(error) if strict => return Err(error),
            Err(error) => labelled.left_out.push(LeftOut {
                id: folder::name(&file),
                reason: match parse_name(&file) {
                    Some(_) => Reason::Damaged,
                    None => Reason::Misnamed,
                },
                message: error.to_string(),
            }),
        }
        progress(done);
    }
    match labelled.files.is_empty() {
        true => Err(Error::NothingUsable(labelled.left_out)),
        false => Ok(labelled),
    }
}

/// Reads a recording and its spectrogram, [227, 227] in dB.
///
/// Any width of number is read; the authors' own files hold 64-bit ones.
pub fn read(path: &Path) -> Result<(Recording, Array2<f32>)> {
    let (recording, data) = open(path)?;
    let data = data.read::<f32, Ix4>().map_err(Error::hdf5(path))?;
    if data.iter().any(|value| !value.is_finite()) {
        return Err(Error::malformed(
            path,
            "`data` holds values that are not finite",
        ));
    }
    Ok((
        recording,
        data.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0),
    ))
}

/// The recording's id and its speaker, from the name of a file.
fn parse_name(path: &Path) -> Option<(String, String)> {
    let named = folder::stem(path);
    let id = named.strip_prefix(PREFIX)?;
    let (_, speaker, _) = parse_stem(id)?;
    Some((id.to_owned(), speaker.to_owned()))
}

/// Opens a file, reads its label and finds its spectrogram.
fn open(path: &Path) -> Result<(Recording, Dataset)> {
    let Some((id, speaker)) = parse_name(path) else {
        return Err(Error::malformed(
            path,
            "expected the name AlexNet_DIGIT_SPEAKER_REPETITION.hdf5",
        ));
    };
    let error = Error::hdf5(path);
    let file = File::open(path).map_err(&error)?;
    let label = dataset(&file, "label")
        .and_then(|label| label.read_raw::<i64>())
        .map_err(&error)?;
    let (digit, sex) = match label[..] {
        [digit @ 0..=9, sex @ 0..=1] => (digit as u8, Sex::ALL[sex as usize]),
        _ => {
            let reason =
                format!("`label` is {label:?}, expected a digit and 0 (male) or 1 (female)");
            return Err(Error::malformed(path, reason));
        }
    };
    let data = file.dataset("data").map_err(&error)?;
    if data.shape() != [1, 1, SIZE, SIZE] {
        let reason = format!(
            "`data` is {:?}, expected [1, 1, {SIZE}, {SIZE}]",
            data.shape()
        );
        return Err(Error::malformed(path, reason));
    }
    let recording = Recording {
        id,
        speaker,
        sex: Some(sex),
        digit: Some(digit),
        ..Recording::default()
    };
    Ok((recording, data))
}

/// Writes a spectrogram, [227, 227] in dB, into a folder, and gives the path. The recording's name must be that of a digit,
/// `DIGIT_SPEAKER_REPETITION`.
pub fn write(
    folder: &Path,
    recording: &Recording,
    spectrogram: ArrayView2<'_, f32>,
) -> Result<PathBuf> {
    let path = folder.join(format!("{PREFIX}{}.hdf5", recording.id));
    let (Some(digit), Some(sex), Some(_)) =
        (recording.digit, recording.sex, parse_stem(&recording.id))
    else {
        let reason = "this layout is for digits of speakers whose sex is known, named DIGIT_SPEAKER_REPETITION";
        return Err(Error::malformed(&path, reason));
    };
    if spectrogram.dim() != (SIZE, SIZE) {
        let reason = format!(
            "a spectrogram of {:?} was given, expected {SIZE} × {SIZE}",
            spectrogram.dim()
        );
        return Err(Error::malformed(&path, reason));
    }
    let data = spectrogram
        .to_shape((1, 1, SIZE, SIZE))
        .map_err(|e| Error::malformed(&path, e.to_string()))?;
    let label = array![[i64::from(digit), sex.index() as i64]];
    crate::hdf5_file::write_atomically(&path, |file| {
        file.new_dataset_builder()
            .with_data(&data.view())
            .create("data")?;
        file.new_dataset_builder()
            .with_data(&label)
            .create("label")?;
        Ok(())
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    #[test]
    fn round_trip_and_the_authors_own_widths() {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording {
            id: "7_03_12".into(),
            speaker: "03".into(),
            sex: Some(Sex::Female),
            digit: Some(7),
            ..Recording::default()
        };
        let spectrogram =
            Array2::from_shape_fn((SIZE, SIZE), |(f, t)| -((f * SIZE + t) as f32) / 1e3);
        let path = write(folder.path(), &recording, spectrogram.view()).unwrap();
        assert_eq!(path.file_name().unwrap(), "AlexNet_7_03_12.hdf5");
        assert_eq!(list(folder.path()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(read(&path).unwrap(), (recording, spectrogram.clone()));

        // As numpy and h5py leave them: float64 and int64.
        let theirs = folder.path().join("AlexNet_0_60_1.hdf5");
        let file = File::create(&theirs).unwrap();
        let data = spectrogram.mapv(f64::from);
        let data: Array4<f64> = data.into_shape_with_order((1, 1, SIZE, SIZE)).unwrap();
        file.new_dataset_builder()
            .with_data(&data)
            .create("data")
            .unwrap();
        file.new_dataset_builder()
            .with_data(&array![[0i64, 1]])
            .create("label")
            .unwrap();
        drop(file);
        let (recording, values) = read(&theirs).unwrap();
        assert_eq!(
            (recording.speaker.as_str(), recording.sex, recording.digit),
            ("60", Some(Sex::Female), Some(0))
        );
        assert_eq!(values, spectrogram);
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["AlexNet_1_01_1.hdf5", "something.hdf5"] {
            let path = folder.path().join(name);
            std::fs::write(&path, b"not HDF5").unwrap();
            assert!(read(&path).unwrap_err().to_string().contains(name));
        }
        let path = folder.path().join("AlexNet_1_01_2.hdf5");
        let file = File::create(&path).unwrap();
        file.new_dataset_builder()
            .with_data(&array![1.0f32])
            .create("data")
            .unwrap();
        file.new_dataset_builder()
            .with_data(&array![[1i64, 0]])
            .create("label")
            .unwrap();
        drop(file);
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("AlexNet_1_01_2.hdf5") && error.contains("[1]"),
            "{error}"
        );
    }
}
