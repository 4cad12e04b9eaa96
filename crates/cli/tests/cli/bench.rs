use serde_json::Value;

use crate::support::Folder;

#[test]
fn every_pass_of_both_networks_is_measured() {
    let folder = Folder::new();
    for arch in ["alexnet", "resnet34"] {
        for what in ["forward", "train", "lrp"] {
            let arguments = [
                "bench",
                what,
                "--arch",
                arch,
                "--batch",
                "2",
                "--rules",
                "lrp-0",
                "--seconds",
                "0",
                "--json",
            ];
            let line: Value = serde_json::from_str(&folder.run(&arguments)).unwrap();
            let keys: Vec<&str> = line
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                keys,
                ["arch", "batch", "device", "per_second", "threads", "what"]
            );
            assert_eq!(
                (&line["what"], &line["arch"], &line["batch"]),
                (&what.into(), &arch.into(), &2.into())
            );
            assert!(line["per_second"].as_f64().unwrap() > 0.0);
        }
    }
}
