//! VoxCeleb1 (Nagrani et al. 2017) and VoxCeleb2 (Chung et al. 2018): interviews of celebrities, cut from videos.
//!
//! As its authors publish it: `idNNNNN/VIDEO/UTTERANCE.wav` or `.m4a`, in the folders that the archives unpack to (`wav/`, `aac/`,
//! `dev/aac/`, …); other formats are read as well. Tables beside them, `vox1_meta.csv` and `vox2_meta.csv`, tell the speakers' sex; that
//! of a speaker who is in none of them is not known.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::corpus::{Recording, Sex};
use crate::folder::{self, folders, name, stem};
use crate::{Error, Files, Result};

/// The tables of speakers.
const TABLES: [&str; 2] = ["vox1_meta.csv", "vox2_meta.csv"];

/// Folders between the one given and the speakers', at most: `VoxCeleb2/dev/aac`.
const DEPTH: usize = 3;

/// Whether a folder is named as a speaker is, `idNNNNN`.
fn is_speaker(folder: &Path) -> bool {
    name(folder).strip_prefix("id").is_some_and(|number| {
        number.len() == 5 && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// The folders of speakers in `folder` and below, and all folders that were searched.
fn search(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut speakers, mut searched) = (Vec::new(), Vec::new());
    let mut level = vec![folder.to_owned()];
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for folder in level {
            let (found, others): (Vec<_>, Vec<_>) = folders(&folder)?
                .into_iter()
                .partition(|path| is_speaker(path));
            // Beside speakers there are no further archives.
            if found.is_empty() {
                next.extend(others);
            }
            speakers.extend(found);
            searched.push(folder);
        }
        level = next;
    }
    Ok((speakers, searched))
}

/// Whether speakers' folders lie in a folder or a little below.
pub fn is_at(folder: &Path) -> bool {
    search(folder).is_ok_and(|(speakers, _)| !speakers.is_empty())
}

/// Lists the utterances of every archive in a folder. One that is there in several formats is taken once. No sound is
/// read yet.
pub fn open(folder: &Path) -> Result<Files> {
    let (speakers, searched) = search(folder)?;
    let above = (1..=DEPTH).map(|up| (0..up).fold(folder.to_owned(), |at, _| at.join("..")));
    let mut sexes = HashMap::new();
    for folder in searched.into_iter().chain(above) {
        for table in TABLES.iter().filter_map(|name| folder::find(&folder, name)) {
            let read = parse_table(&folder::text(&table)?);
            sexes.extend(read.map_err(|reason| Error::malformed(&table, reason))?);
        }
    }

    let mut utterances = BTreeMap::new();
    for folder in speakers {
        let speaker = name(&folder);
        for video in folders(&folder)? {
            for path in folder::recordings(&video)? {
                let id = format!("{speaker}/{}/{}", name(&video), stem(&path));
                utterances.entry(id).or_insert((speaker.clone(), path));
            }
        }
    }
    if utterances.is_empty() {
        let reason = "no idNNNNN/VIDEO/UTTERANCE.wav, .m4a or .flac in this folder or below";
        return Err(Error::malformed(folder, reason));
    }
    let mut files = Files::new("VoxCeleb", folder);
    for (id, (speaker, path)) in utterances {
        let recording = Recording {
            id,
            sex: sexes.get(&speaker).copied(),
            speaker,
            ..Recording::default()
        };
        files.push(path, recording);
    }
    Ok(files)
}

/// The sex of every speaker of whom it is told. The first row names the columns; VoxCeleb1 puts tabs between them, VoxCeleb2 commas.
fn parse_table(text: &str) -> Result<HashMap<String, Sex>, String> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let separator = if head.contains('\t') { '\t' } else { ',' };
    let column = head
        .split(separator)
        .position(|title| title.trim().eq_ignore_ascii_case("gender"))
        .ok_or("no column `Gender` in its first line; download it again")?;
    let rows = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split(separator).map(str::trim).collect();
        let sex = fields.get(column)?.parse().ok()?;
        Some((fields[0].to_owned(), sex))
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Corpus;
    use speechlens_audio::Audio;
    use std::fs;

    /// 0.3 s of a 440 Hz tone at 16 kHz, as AAC in MP4.
    const TONE: &str = "../audio/tests/data/tone.m4a";

    fn put(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match path.extension().unwrap().to_str() {
            Some("m4a") => {
                fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(TONE), path).unwrap();
            }
            Some("wav") => {
                let audio = Audio {
                    samples: vec![0.25; 800],
                    rate: 16_000,
                };
                speechlens_audio::write_wav(path, &audio).unwrap();
            }
            _ => fs::write(path, "").unwrap(),
        }
    }

    fn ids(corpus: &Files) -> Vec<&str> {
        corpus.recordings().iter().map(|r| r.id.as_str()).collect()
    }

    #[test]
    fn reads_the_layouts_of_its_archives() {
        for archive in ["", "wav", "aac", "dev/aac", "test/wav", "vox2/dev/aac"] {
            let root = tempfile::tempdir().unwrap();
            let speakers = root.path().join(archive);
            for file in [
                "id00012/21Uxsk56VDQ/00002.m4a",
                "id00012/21Uxsk56VDQ/00001.wav",
                "id00012/2DLq_Kkc1r8/00001.m4a",
                "id10270/x6uYqmx31kE/00001.m4a",
                // No sound.
                "id10270/x6uYqmx31kE/00001.txt",
            ] {
                put(speakers.join(file));
            }
            assert!(is_at(root.path()), "{archive}");
            let corpus = open(root.path()).unwrap();
            assert_eq!(
                ids(&corpus),
                [
                    "id00012/21Uxsk56VDQ/00001",
                    "id00012/21Uxsk56VDQ/00002",
                    "id00012/2DLq_Kkc1r8/00001",
                    "id10270/x6uYqmx31kE/00001"
                ],
                "{archive}"
            );
            assert_eq!(corpus.recordings()[3].speaker, "id10270");
            assert!(corpus.recordings().iter().all(|r| r.sex.is_none()));
            assert_eq!(corpus.audio(0).unwrap().samples, vec![0.25; 800]);
            let m4a = corpus.audio(1).unwrap();
            let power = m4a.samples.iter().map(|x| x * x).sum::<f32>();
            assert!(m4a.seconds() > 0.1 && power > 1.0, "{}", m4a.seconds());
            assert_ne!(
                corpus.fingerprint(0).unwrap(),
                corpus.fingerprint(1).unwrap()
            );
        }
    }

    #[test]
    fn archives_beside_each_other_are_one_corpus() {
        let root = tempfile::tempdir().unwrap();
        put(root.path().join("dev/aac/id00012/v/00001.m4a"));
        put(root.path().join("test/aac/id00017/v/00001.m4a"));
        // The same utterance in another format.
        put(root.path().join("wav/id00012/v/00001.wav"));
        let corpus = open(root.path()).unwrap();
        assert_eq!(ids(&corpus), ["id00012/v/00001", "id00017/v/00001"]);
    }

    #[test]
    fn the_tables_tell_the_sex_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        for speaker in ["id10001", "id10003", "id00012", "id00013"] {
            put(root.path().join("dev/aac").join(speaker).join("v/1.wav"));
        }
        let vox1 = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n\
            id10001\tA.J._Buckley\tm\tIreland\tdev\n\
            id10003\tAdrianne_C._Palicki\tf\tUSA\tdev\n";
        let vox2 = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \n\n";
        fs::write(root.path().join(TABLES[0]), vox1).unwrap();
        fs::write(root.path().join("dev").join(TABLES[1]), vox2).unwrap();
        for folder in ["", "dev", "dev/aac"] {
            let corpus = open(&root.path().join(folder)).unwrap();
            let sexes: Vec<_> = corpus.recordings().iter().map(|r| r.sex).collect();
            assert_eq!(
                sexes,
                [Some(Sex::Male), None, Some(Sex::Male), Some(Sex::Female)]
            );
        }
        let error = || open(root.path()).err().unwrap().to_string();
        fs::write(root.path().join(TABLES[0]), "ID,Sex\nid10001,m").unwrap();
        assert!(error().contains(TABLES[0]) && error().contains("Gender"));
        fs::write(root.path().join(TABLES[0]), "ID,Gender\n\nid10001,x").unwrap();
        let corpus = open(root.path()).unwrap();
        assert_eq!(corpus.recordings()[2].sex, None);
    }

    #[test]
    fn a_folder_of_something_else_is_named() {
        let root = tempfile::tempdir().unwrap();
        put(root.path().join("a/b/c/d/id00012/v/00001.wav"));
        assert!(!is_at(root.path()));
        let error = open(root.path()).err().unwrap().to_string();
        let folder = root.path().display().to_string();
        assert!(
            error.starts_with(&folder) && error.contains("idNNNNN"),
            "{error}"
        );
    }
}
