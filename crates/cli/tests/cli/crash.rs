//! Runs that are killed at any moment and taken up again end in the same bytes as one that was left alone.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_data::{FeatureStore, Window};

use crate::support::Folder;

/// How often an ordinary run of the tests kills, and one that has the time: `cargo test -p speechlens -- --ignored crash`.
const OFTEN: [usize; 2] = [8, 60];

/// Six steps of AudioNet, each followed by a checkpoint.
const TRAIN: [&str; 14] = [
    "train",
    "--task",
    "gender",
    "--arch",
    "audionet",
    "synthetic",
    "--limit",
    "8",
    "--batch",
    "4",
    "--lr",
    "1e-3",
    "--epochs",
    "3",
];

fn train(output: &str) -> Vec<&str> {
    let rest = ["--checkpoint-seconds", "0", "--quiet", "-o", output];
    [&TRAIN[..], &rest].concat()
}

/// A number from 0 to 1.
fn draw(lots: &mut ChaCha8Rng) -> f64 {
    f64::from(lots.next_u32()) / f64::from(u32::MAX)
}

/// Whether something whose name ends so is in a folder.
fn holds(folder: &Path, ending: &str) -> bool {
    let entries = folder.read_dir().into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .into_iter()
        .any(|name| name.to_string_lossy().ends_with(ending))
}

/// Starts a command and kills it after some time; if told so, as soon after that as it writes a file. Gives whether it was
/// killed before its end.
fn kill(mut command: Command, after: Duration, folder: &Path, writing: bool) -> bool {
    let mut run: Child = command.stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while started.elapsed() < after || (writing && !holds(folder, ".partial")) {
        if run.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap().code().is_none()
}

/// Kills a training so often, every second time while it writes a checkpoint. Each time that it comes to its end, its weights
/// are compared and it starts anew.
fn kill_trainings(often: usize) {
    let folder = Folder::new();
    let started = Instant::now();
    folder.run(&train("whole.safetensors"));
    let whole = started.elapsed();
    let expected = std::fs::read(folder.path("whole.safetensors")).unwrap();
    let resume = [&train("killed.safetensors")[..], &["--resume"]].concat();
    let mut lots = ChaCha8Rng::seed_from_u64(7);
    let (mut kills, mut while_writing, mut ends) = (0, 0, 0);
    let compare = || {
        let killed = std::fs::read(folder.path("killed.safetensors")).unwrap();
        assert!(killed == expected, "other weights");
        for left in [".partial", ".checkpoint.safetensors"] {
            assert!(!holds(&folder.path(""), left), "{left} is left");
        }
        std::fs::remove_file(folder.path("killed.safetensors")).unwrap();
    };
    while kills < often {
        let writing = kills % 2 == 1;
        let after = whole.mul_f64(draw(&mut lots));
        match kill(folder.command(&resume), after, &folder.path(""), writing) {
            true => {
                kills += 1;
                while_writing += usize::from(holds(&folder.path(""), ".partial"));
                // What is there is whole at any time.
                let model = folder.path("killed.safetensors");
                assert!(!model.exists() || std::fs::read(model).unwrap() == expected);
            }
            false => {
                compare();
                ends += 1;
            }
        }
    }
    println!("{kills} kills, {while_writing} while a file was written, {ends} ends between them");
    let last = folder.command(&resume).stderr(Stdio::null()).status();
    assert!(last.unwrap().success());
    compare();
    assert!(while_writing > 0, "no kill hit a file that was written");
}

#[test]
fn trainings_are_killed() {
    kill_trainings(OFTEN[0]);
}

#[test]
#[ignore = "takes minutes"]
fn trainings_are_killed_often() {
    kill_trainings(OFTEN[1]);
}

/// Kills the computing of a feature store so often.
fn kill_stores(often: usize) {
    let folder = Folder::new();
    // A batch that nothing fills: once the store is there, the run ends.
    let compute = |name| {
        let train = ["train", "--task", "gender", "synthetic", "--limit", "100"];
        let rest = [
            "--batch",
            "9999",
            "-o",
            "new.safetensors",
            "--quiet",
            "--store",
            name,
        ];
        [&train[..], &rest].concat()
    };
    let started = Instant::now();
    assert!(folder.fail(&compute("whole")).contains("do not fill"));
    let whole = started.elapsed();
    let name = "synthetic-train";
    // HDF5 writes the time into its files: what is in them is compared.
    let read = |store: &str| {
        let store = FeatureStore::open(&folder.stored(store, name)).unwrap();
        let recordings = store.recordings().to_vec();
        let all = (0..recordings.len()).map(|recording| Window {
            recording,
            start: 0,
        });
        let values = store.read(&all.collect::<Vec<_>>()).unwrap();
        let places: Vec<_> = (0..recordings.len())
            .map(|one| store.samples(one))
            .collect();
        (store.key().to_owned(), recordings, places, values)
    };
    let expected = read("whole");
    let mut lots = ChaCha8Rng::seed_from_u64(8);
    let (mut kills, mut while_writing) = (0, 0);
    while kills < often {
        let after = whole.mul_f64(draw(&mut lots));
        let (command, stores) = (folder.command(&compute("killed")), folder.path("killed"));
        kills += usize::from(kill(command, after, &stores, kills % 2 == 1));
        while_writing += usize::from(holds(&stores, ".partial"));
        if holds(&stores, ".h5") {
            assert!(read("killed") == expected, "half a store, or another");
            std::fs::remove_dir_all(folder.path("killed")).unwrap();
        }
    }
    println!("{kills} kills, {while_writing} while the store was written");
    assert!(while_writing > 0, "no kill hit a store that was written");
    assert!(folder.fail(&compute("killed")).contains("do not fill"));
    assert!(read("killed") == expected, "another store");
    assert!(
        !holds(&folder.path("killed"), ".partial"),
        "half a store is left"
    );
}

#[test]
fn stores_are_killed() {
    kill_stores(OFTEN[0]);
}

#[test]
#[ignore = "takes minutes"]
fn stores_are_killed_often() {
    kill_stores(OFTEN[1]);
}

/// Sends SIGINT to a process.
fn interrupt(run: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let folder = Folder::new();
    folder.run(&train("whole.safetensors"));
    let output = "it's killed.safetensors";
    // No checkpoint is due: only Ctrl-C saves one.
    let rest = ["--checkpoint-seconds", "9999", "-o", output];
    let mut command = folder.command(&[&TRAIN[..], &rest].concat());
    let mut run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // After one epoch of three.
    let mut line = String::new();
    let mut lines = BufReader::new(run.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("epoch 1 of 3"), "{line}");
    interrupt(&run);
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let (_, advice) = said.trim().split_once("go on with: ").unwrap();
    assert!(advice.ends_with(" --resume"), "{advice}");
    let mut shell = Command::new("sh");
    shell.args(["-c", advice]).current_dir(folder.path(""));
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{advice}: {done:?}");
    let [whole, killed] =
        ["whole.safetensors", output].map(|name| std::fs::read(folder.path(name)).unwrap());
    assert!(killed == whole, "other weights");
}
