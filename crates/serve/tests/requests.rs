//! What programs ask, as `speechlens serve --help` has it.

use std::process::Command;

use serde_json::Value;
use speechlens_models::{alexnet, audionet, resnet34};
use speechlens_serve::Limits;

mod support;

use support::{agent, post, start, start_with, wav};

const BOUNDARY: &str = "----as-browsers-write-it";

/// A form of texts and of files: name of the field, of the file, content.
fn form(texts: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, text) in texts {
        body.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
            )
            .bytes(),
        );
    }
    for (name, file, content) in files {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: audio/x-wav\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

fn send(url: &str, body: &[u8]) -> (u16, Value) {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = agent().post(url).header("Content-Type", kind);
    let mut answer = request.send(body).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let value = serde_json::from_str(&text).expect("JSON");
    (answer.status().as_u16(), value)
}

#[test]
fn a_form_is_explained_as_a_body_is() {
    let address = start(Limits::default());
    let (url, recording) = (format!("http://{address}/explain"), wav(6000));
    let query = format!("{url}?name=voice.wav&ways=gradient&target=female&against=male");
    let (status, as_body) = post(&agent(), &query, &recording);
    assert_eq!(status, 200, "{as_body}");
    let texts = [
        ("ways", "gradient"),
        ("target", "female"),
        ("against", "male"),
    ];
    let (status, as_form) = send(&url, &form(&texts, &[("file", "voice.wav", &recording)]));
    assert_eq!(status, 200, "{as_form}");
    let as_body: Value = serde_json::from_str(&as_body).expect("JSON");
    assert_eq!(as_form, as_body);
    assert!(as_body.to_string().contains("female rather than male"));
    // The field may be called anything, and the query may say the rest.
    let bare = form(&[], &[("audio", "/home/me/voice.wav", &recording)]);
    let (status, mixed) = send(
        &format!("{url}?ways=gradient&target=female&against=male"),
        &bare,
    );
    assert_eq!((status, mixed), (200, as_body));
}

#[test]
fn forms_that_cannot_be_used_are_told_why() {
    let address = start(Limits::default());
    let (url, recording) = (format!("http://{address}/explain"), wav(6000));
    let file = ("file", "voice.wav", recording.as_slice());
    let text = ("file", "notes.txt", b"no sound".as_slice());
    for (body, status, words) in [
        (form(&[("target", "male")], &[]), 400, "0 files"),
        (form(&[], &[file, file]), 400, "2 files"),
        (form(&[("class", "male")], &[file]), 422, "`class`"),
        (form(&[("target", "nobody")], &[file]), 422, "nobody"),
        (form(&[], &[text]), 422, "notes.txt: "),
        (form(&[], &[file])[..900].to_vec(), 400, "broken"),
    ] {
        let (found, answer) = send(&url, &body);
        let problem = answer["error"].as_str().expect("a problem");
        assert!(problem.contains(words), "{words}: {problem}");
        assert_eq!(found, status, "{problem}");
    }
    let limits = Limits {
        bytes: 5000,
        ..Limits::default()
    };
    let url = format!("http://{}/explain", start(limits));
    assert_eq!(send(&url, &form(&[], &[file])).0, 413);
}

/// The commands of the help, by curl itself.
#[test]
fn curl_is_served() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl");
        return;
    }
    let url = format!("http://{}/explain", start(Limits::default()));
    let folder = std::env::temp_dir().join(format!("speechlens-curl-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("voice.wav"), wav(6000)).expect("written");
    let ask = |options: &[&str], url: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*"]).args(options).arg(url);
        let output = curl.current_dir(&folder).output().expect("curl ran");
        let text = String::from_utf8(output.stdout).expect("text");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let by_form = ask(&["-F", "file=@voice.wav"], &url);
    let by_body = ask(
        &["--data-binary", "@voice.wav"],
        &format!("{url}?name=voice.wav"),
    );
    let two = [
        "-F",
        "file=@voice.wav",
        "-F",
        "target=female",
        "-F",
        "ways=lrp:epsilon-plus,occlusion",
    ];
    let two = ask(&two, &url);
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(by_form, by_body);
    for key in ["title", "lead", "facts", "answers", "figures", "warnings"] {
        assert!(by_form.get(key).is_some(), "{key}");
    }
    assert_eq!(two["figures"].as_array().map(Vec::len), Some(2));
}

/// What is offered can be used, and what cannot be used is refused.
#[test]
fn rules_are_those_that_suit_the_network() {
    let kinds = [
        (
            alexnet::NETWORK,
            vec!["gender-silence", "epsilon-gamma-box"],
            vec!["thesis-speaker-zero"],
        ),
        (
            audionet::NETWORK,
            vec!["lrp-0", "epsilon-plus"],
            vec![
                "gender-silence",
                "epsilon-gamma-box",
                "thesis-speaker-epsilon",
            ],
        ),
        (
            resnet34::NETWORK,
            vec!["thesis-speaker-epsilon"],
            vec!["gender-silence", "epsilon-gamma-box"],
        ),
    ];
    for (network, there, missing) in kinds {
        let address = start_with(&network, Limits::default());
        let mut answer = agent()
            .get(format!("http://{address}/model"))
            .call()
            .expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        let model: Value = serde_json::from_str(&text).expect("JSON");
        let rules = model["rules"].as_array().expect("rules");
        let rules: Vec<&str> = rules.iter().filter_map(Value::as_str).collect();
        assert!(rules.contains(&model["default_rules"].as_str().expect("a name")));
        assert!(
            there.iter().all(|name| rules.contains(name)),
            "{network}: {rules:?}"
        );
        assert!(
            !missing.iter().any(|name| rules.contains(name)),
            "{network}: {rules:?}"
        );
        let url = format!("http://{address}/explain?ways=lrp:{}", missing[0]);
        let (status, text) = post(&agent(), &url, &wav(20000));
        assert_eq!(status, 422, "{text}");
        assert!(text.contains("no rules that suit the network"), "{text}");
    }
}
