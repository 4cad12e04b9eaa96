//! Tells the tests what is at hand, so that those that lack something are ignored, with the reason, and do not pass unseen.

use std::env;
use std::path::PathBuf;

/// Folders of files that are too large to keep, by the variables that name them, and what tests ask for.
const PEERS: [(&str, &str); 3] = [
    ("SPEECHLENS_PEER_NETWORKS", "peer_networks"),
    ("SPEECHLENS_PEER_CHECKPOINTS", "peer_checkpoints"),
    ("SPEECHLENS_PEER_RESNET34", "peer_resnet34"),
];

fn main() {
    for (variable, name) in PEERS {
        tell(name, is_named(variable));
    }
    let beside = PathBuf::from("../../shared/models");
    println!("cargo::rerun-if-changed={}", beside.display());
    tell(
        "real_networks",
        is_named("SPEECHLENS_MODELS") || beside.is_dir(),
    );
    println!("cargo::rerun-if-env-changed=PATH");
    let folders = env::var_os("PATH").unwrap_or_default();
    let browsers: Vec<PathBuf> = env::split_paths(&folders)
        .flat_map(|folder| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name))
        })
        .collect();
    let found = browsers.iter().any(|path| path.is_file());
    if !found {
        // Until one is installed; what is absent is looked for every time.
        browsers
            .iter()
            .for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
    }
    tell("browser", is_named("SPEECHLENS_BROWSER") || found);
    println!("cargo::rerun-if-changed=build.rs");
}

fn is_named(variable: &str) -> bool {
    println!("cargo::rerun-if-env-changed={variable}");
    env::var_os(variable).is_some()
}

fn tell(name: &str, is_at_hand: bool) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    if is_at_hand {
        println!("cargo::rustc-cfg={name}");
    }
}
