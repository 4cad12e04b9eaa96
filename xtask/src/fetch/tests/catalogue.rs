//! The data sets of the catalogue, where their readers look.

use std::fs;
use std::path::Path;

use speechlens_audio::Audio;
use speechlens_data::background::Background;
use speechlens_data::{Corpus, audiomnist, librispeech};
use tar::EntryType;

use super::{
    Server, archive, entry, fails, file, gzip, length, names, noise, options, send, send_whole,
    sha256, source,
};
use crate::fetch::fetch;
use crate::fetch::sources::{DataSet, Proof, Source};

/// An archive with these files in the folder of the catalogue's source, as GitHub packs it.
fn archive_of(source: &Source, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    let comment = b"52 comment=630d7dab4c040882834de6fa21baf9a60372accd\n";
    let size = comment.len() as u64;
    let kind = EntryType::XGlobalHeader;
    entry(&mut tar, "pax_global_header", kind, "", size, comment);
    for (name, content) in files {
        file(&mut tar, &format!("{}/{name}", source.top), content);
    }
    // Sound hardly gets smaller.
    file(&mut tar, &format!("{}/hiss", source.top), &noise());
    gzip(tar)
}

/// Fetches such an archive in place of the catalogue's.
fn fetch_instead(data_set: DataSet, files: &[(&str, &[u8])], folder: &Path) -> anyhow::Result<()> {
    let mut source = data_set.source().unwrap();
    let archive = archive_of(&source, files);
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    source.url = server.address.clone();
    source.proof = match source.proof {
        Proof::Archive { .. } => Proof::Archive {
            bytes: archive.len() as u64,
            sha256: sha256(&archive),
        },
        Proof::AudioMnist { .. } => Proof::AudioMnist {
            about: 300_000,
            recordings: 2,
            speakers: 2,
        },
    };
    fetch(&source, folder, &options()).map(drop)
}

#[test]
fn librispeech_is_where_its_reader_looks() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [
        (
            "SPEAKERS.TXT",
            b"84 | F | dev-clean | 8.02 | Christie Nowak\n",
        ),
        ("dev-clean/84/121123/84-121123-0000.flac", b""),
    ];
    fetch_instead(DataSet::LibrispeechDevClean, &files, folder.path()).unwrap();
    let corpus = librispeech::open(&folder.path().join("LibriSpeech")).unwrap();
    assert_eq!(corpus.recordings().len(), 1);
}

#[test]
fn musan_is_where_its_reader_looks() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [
        ("music/fma/music-fma-0000.wav", b""),
        ("noise/free-sound/noise-free-sound-0000.wav", b""),
    ];
    fetch_instead(DataSet::Musan, &files, folder.path()).unwrap();
    assert!(Background::musan(&folder.path().join("musan"), 1, false).is_ok());
}

#[test]
fn audiomnist_is_read_before_it_is_called_whole() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tone.wav");
    let audio = Audio {
        samples: vec![0.5; 480],
        rate: 48_000,
    };
    speechlens_audio::write_wav(&path, &audio).unwrap();
    let tone = fs::read(&path).unwrap();
    let meta = br#"{"01": {"gender": "male"}, "02": {"gender": "female"}}"#;
    let files: [(&str, &[u8]); 3] = [
        ("data/audioMNIST_meta.txt", meta),
        ("data/01/0_01_0.wav", &tone),
        ("data/02/7_02_49.wav", &tone),
    ];
    let fetched = |files: &[(&str, &[u8])]| {
        let folder = tempfile::tempdir().unwrap();
        let outcome = fetch_instead(DataSet::Audiomnist, files, folder.path());
        (outcome.map_err(|error| format!("{error:#}")), folder)
    };

    let (outcome, folder) = fetched(&files);
    outcome.unwrap();
    let corpus = audiomnist::open(&folder.path().join("AudioMNIST")).unwrap();
    assert_eq!(corpus.recordings().len(), 2);

    let (outcome, folder) = fetched(&files[..2]);
    let line = outcome.unwrap_err();
    assert!(line.contains("1 recordings of 1 speakers"), "{line}");
    assert!(names(folder.path()).is_empty());

    let broken: [(&str, &[u8]); 3] = [files[0], files[1], ("data/02/7_02_49.wav", b"no sound")];
    let (outcome, folder) = fetched(&broken);
    let line = outcome.unwrap_err();
    assert!(line.contains("7_02_49.wav"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_archive_of_unknown_bytes_goes_on_where_it_can() {
    let archive = archive();
    let proof = Proof::AudioMnist {
        about: archive.len() as u64,
        recordings: 1,
        speakers: 1,
    };
    // All of it was there: the server has nothing behind the end. It is no AudioMNIST, though.
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| {
        let range = format!("Content-Range: bytes */{}", served.len());
        send(
            stream,
            "416 Range Not Satisfiable",
            &[range, length(0)],
            &[],
        );
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Set.tar.gz.part"), &archive).unwrap();
    let source = Source {
        proof: proof.clone(),
        ..source(&server, &archive)
    };
    let line = fails(&source, folder.path());
    assert!(line.contains("not AudioMNIST"), "{line}");
    assert_eq!(server.asked(), [Some(archive.len())]);

    // A length that promises more than comes, and one that promises less.
    for (wrong, reason) in [
        (archive.len() + 9, "gave up"),
        (archive.len() - 9, "not as"),
    ] {
        let served = archive.clone();
        let server = Server::new(move |_, _, stream| {
            send(stream, "200 OK", &[length(wrong)], &served);
        });
        let source = Source {
            url: server.address.clone(),
            ..source.clone()
        };
        let folder = tempfile::tempdir().unwrap();
        let line = fails(&source, folder.path());
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn the_catalogue_is_in_order() {
    for data_set in [
        DataSet::Audiomnist,
        DataSet::LibrispeechDevClean,
        DataSet::Musan,
    ] {
        let source = data_set.source().unwrap();
        assert!(source.url.starts_with("https://"), "{}", source.url);
        assert!(source.url.ends_with(".tar.gz"), "{}", source.url);
        if let Proof::Archive { sha256, .. } = &source.proof {
            let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(sha256.len() == 64 && sha256.bytes().all(digit));
        }
    }
    assert!(DataSet::Voxceleb.source().is_none());
}
