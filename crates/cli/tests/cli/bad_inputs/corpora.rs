//! Folders of recordings, and what stands for them.

use super::expect;
use crate::support::Folder;

/// A folder with one file of AudioMNIST's preprocessing.
fn preprocessed(folder: &Folder, name: &str, data: &[usize], labels: &[usize]) {
    std::fs::create_dir(folder.path(name)).unwrap();
    let path = folder.path(name).join("AlexNet_0_01_1.hdf5");
    let file = hdf5::File::create(path).unwrap();
    file.new_dataset::<f32>()
        .shape(data)
        .create("data")
        .unwrap();
    file.new_dataset::<i64>()
        .shape(labels)
        .create("label")
        .unwrap();
}

#[test]
fn corpora() {
    let folder = Folder::new();
    let meta = |folder_name: &str, text: &[u8]| {
        folder.write_below(&format!("{folder_name}/audioMNIST_meta.txt"), text);
    };
    meta("json", b"{\"01\": ");
    meta("robot", br#"{"01": {"gender": "robot"}}"#);
    meta("none", br#"{"01": {"age": 3}}"#);
    meta("list", b"[]");
    meta("bytes", &[0xff; 20]);
    meta("nested", &b"[".repeat(100_000));
    meta("escape", br#"{"../../..": {"gender": "male"}}"#);
    meta("name", br#"{"01": {"gender": "male"}}"#);
    folder.write_below("name/01/0_01.wav", "");
    folder.write_below("speakers/SPEAKERS.TXT", "; ID\n14 | F\n16\n");
    folder.write_below("stranger/SPEAKERS.TXT", "14 | F | a\n");
    folder.write_below("stranger/dev/15/1/15-1-0001.wav", "");
    folder.tone("stranger/dev/15/1/15-1-0001.wav", 8000, 8000);
    folder.write_below("table/vox1_meta.csv", "ID\tName\nid10001\tm\n");
    folder.write_below("sex/vox1_meta.csv", "ID\tGender\nid10001\tx\n");
    folder.write_below("latin/vox1_meta.csv", b"ID\tGender\nid10001\t\xff\n");
    for name in ["table", "sex", "latin"] {
        folder.write_below(&format!("{name}/id10001/v/1.wav"), "");
        folder.tone(&format!("{name}/id10001/v/1.wav"), 8000, 8000);
    }
    preprocessed(&folder, "labels", &[1, 1, 227, 227], &[1 << 40, 2]);
    preprocessed(&folder, "label", &[1, 1, 227, 227], &[1, 3]);
    folder.write_below("broken/AlexNet_0_01_1.hdf5", "HDF");
    folder.write_below("named/AlexNet_x.hdf5", "");
    let train = ["train", "--task", "gender", "FILE", "-o", "new.safetensors"];
    expect(
        &folder,
        &train,
        &[
            ("json", &["audioMNIST_meta.txt", "JSON"]),
            ("robot", &["no recordings"]),
            ("none", &["no recordings"]),
            ("list", &["audioMNIST_meta.txt", "JSON"]),
            ("bytes", &["audioMNIST_meta.txt", "JSON"]),
            ("nested", &["audioMNIST_meta.txt", "JSON"]),
            ("escape", &["no recordings"]),
            ("name", &["0_01.wav", "DIGIT_01_REPETITION"]),
            ("speakers", &["SPEAKERS.TXT", "line 3", "expected"]),
            ("stranger", &["no sex", "(15)", "SPEAKERS.TXT"]),
            ("table", &["vox1_meta.csv", "Gender", "again"]),
            ("sex", &["no sex", "(id10001)", "vox1_meta.csv"]),
            ("latin", &["no sex", "(id10001)", "vox1_meta.csv"]),
        ],
    );
    let digit: &[&str] = &["AlexNet_0_01_1.hdf5", "label", "expected a digit"];
    expect(
        &folder,
        &[&train[..], &["--crop", "audiomnist"]].concat(),
        &[
            ("labels", &["AlexNet_0_01_1.hdf5", "label"]),
            ("label", digit),
            ("broken", &["AlexNet_0_01_1.hdf5"]),
            (
                "named",
                &["AlexNet_x.hdf5", "AlexNet_DIGIT_SPEAKER_REPETITION"],
            ),
        ],
    );
    // What is wrong with sound is found when it is read.
    folder.write_below("sound/audioMNIST_meta.txt", {
        let speakers: Vec<String> = (1..=12)
            .map(|n| {
                let gender = ["male", "female"][n % 2];
                format!(r#""{n:02}": {{"gender": "{gender}"}}"#)
            })
            .collect();
        format!("{{{}}}", speakers.join(", "))
    });
    for n in 1..=12 {
        folder.write_below(&format!("sound/{n:02}/0_{n:02}_0.wav"), "no sound");
    }
    expect(
        &folder,
        &train,
        &[(
            "sound",
            &["none can be used", "cannot be decoded", "_0.wav", "ffmpeg"],
        )],
    );
}
