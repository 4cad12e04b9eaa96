//! The page of `explain` and of `serve`, in a real browser: Chromium without a window.
//!
//! Screenshots lie in `target/tmp/browser/`. Without a browser the tests are ignored; where `SPEECHLENS_BROWSER` names one, it must
//! be there.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use candle_core::{DType, Device};
use headless_chrome::protocol::cdp::{Emulation, Page};
use headless_chrome::{Browser, LaunchOptions, Tab};
use speechlens_audio::{Audio, write_wav};
use speechlens_explain::{
    Details, Explainer, Explanation, Frames, Linked, Pair, Question, Reader, Reading, Settings,
    files,
};
use speechlens_lrp::Composite;
use speechlens_models::{Model, Task, alexnet};
use speechlens_serve::{Limits, Service, serve};

/// AlexNet with random weights, which says `male` or `female`.
fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let graph = alexnet::architecture(2).expect("a network");
        let graph = graph.random(3, &Device::Cpu).expect("weights");
        let classes = ["male", "female"].map(str::to_owned).to_vec();
        Model::of(&alexnet::NETWORK, graph, classes).expect("a model")
    })
}

/// A rising tone with overtones and pauses, at 16 kHz.
fn voice(seconds: f64) -> Audio {
    let rate = 16000;
    let sample = |n: usize| {
        let t = n as f64 / f64::from(rate);
        let phase = std::f64::consts::TAU * (140.0 * t + 20.0 * t * t);
        let loud = if (t * 1.7).fract() < 0.75 { 0.3 } else { 0.0 };
        (loud * (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.3 * (9.0 * phase).sin())) as f32
    };
    Audio {
        samples: (0..(seconds * f64::from(rate)) as usize)
            .map(sample)
            .collect(),
        rate,
    }
}

/// A browser.
fn browser() -> Browser {
    let wanted = std::env::var_os("SPEECHLENS_BROWSER");
    let path = match &wanted {
        Some(path) => PathBuf::from(path),
        None => {
            let names = ["chromium", "chromium-browser", "google-chrome"];
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders)
                .flat_map(|folder| names.map(|name| folder.join(name)))
                .find(|path| path.is_file())
                .expect("Chromium, or SPEECHLENS_BROWSER")
        }
    };
    // What the microphone hears.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&folder).expect("a folder");
    let heard = folder.join("microphone.wav");
    write_wav(&heard, &voice(20.0)).expect("written");
    let microphone = format!("--use-file-for-fake-audio-capture={}", heard.display());
    let arguments = [
        microphone.as_str(),
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--hide-scrollbars",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ];
    let options = LaunchOptions {
        path: Some(path),
        sandbox: false,
        window_size: Some((1280, 1000)),
        args: arguments.iter().map(OsStr::new).collect(),
        idle_browser_timeout: Duration::from_secs(120),
        ..LaunchOptions::default()
    };
    Browser::new(options).expect("the browser starts")
}

/// A page that is open.
struct Open(Arc<Tab>);

impl Open {
    fn at(browser: &Browser, url: &str) -> Open {
        let tab = browser.new_tab().expect("a tab");
        // What goes wrong in the page must not go unseen.
        tab.call_method(Page::AddScriptToEvaluateOnNewDocument {
            source: "window.wrongs = []; addEventListener('error', e => wrongs.push(e.message)); \
                addEventListener('unhandledrejection', e => wrongs.push(String(e.reason))); \
                addEventListener('securitypolicyviolation', e => wrongs.push(`${e.violatedDirective} ${e.blockedURI}`));"
                .into(),
            world_name: None,
            include_command_line_api: None,
            run_immediately: None,
        })
        .expect("a script");
        tab.navigate_to(url)
            .expect("the page")
            .wait_until_navigated()
            .expect("loaded");
        Open(tab)
    }

    /// What an expression gives, as JSON.
    fn value(&self, expression: &str) -> serde_json::Value {
        let found = self.0.evaluate(expression, true);
        let found = found.unwrap_or_else(|error| panic!("{expression}: {error}"));
        found.value.unwrap_or_default()
    }

    fn text(&self, selector: &str) -> String {
        let text = format!("document.querySelector({selector:?})?.textContent ?? ''");
        self.value(&text).as_str().unwrap_or_default().to_owned()
    }

    fn wait(&self, what: &str, condition: &str) {
        let begun = Instant::now();
        while self.value(condition) != serde_json::Value::Bool(true) {
            let status = self.text("#status");
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{what}: {condition}; status: {status}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn choose(&self, selector: &str, value: &str) {
        self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.value = {value:?}; \
             e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); }})()"
        ));
    }

    fn upload(&self, path: &Path) {
        let input = self.0.find_element("#file").expect("an input");
        input
            .set_input_files(&[path.to_str().expect("a path in UTF-8")])
            .expect("chosen");
    }

    /// The picture's pixels, as text.
    fn pixels(&self) -> String {
        let pixels = self.value("document.querySelector('.plot canvas').toDataURL()");
        pixels.as_str().unwrap_or_default().to_owned()
    }

    /// As on screens of this width, light and dark; nothing may reach over the side.
    fn shoot(&self, name: &str) {
        for (device, width, height) in [("desktop", 1280, 1000), ("phone", 390, 844)] {
            for scheme in ["light", "dark"] {
                self.0
                    .call_method(Emulation::SetEmulatedMedia {
                        media: None,
                        features: Some(vec![Emulation::MediaFeature {
                            name: "prefers-color-scheme".into(),
                            value: scheme.into(),
                        }]),
                    })
                    .expect("a colour scheme");
                self.0
                    .call_method(Emulation::SetDeviceMetricsOverride {
                        width,
                        height,
                        device_scale_factor: 1.0,
                        mobile: device == "phone",
                        scale: None,
                        screen_width: None,
                        screen_height: None,
                        position_x: None,
                        position_y: None,
                        dont_set_visible_size: None,
                        screen_orientation: None,
                        viewport: None,
                        display_feature: None,
                        device_posture: None,
                    })
                    .expect("a screen");
                self.wait(
                    "the picture follows the screen",
                    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
                );
                assert_eq!(
                    self.value("document.documentElement.scrollWidth <= innerWidth"),
                    true,
                    "{name} at {width} pixels reaches over the side"
                );
                let shot = self
                    .0
                    .capture_screenshot(Page::CaptureScreenshotFormatOption::Png, None, None, true)
                    .expect("a screenshot");
                let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(folder.join(format!("{name}-{device}-{scheme}.png")), shot)
                    .expect("written");
            }
        }
    }

    /// Nothing went wrong unseen.
    fn is_clean(&self) {
        assert_eq!(self.value("wrongs.join('; ')"), "");
    }

    /// The sliders, the colours, the pointer and the sound.
    fn looks_and_sounds(&self) {
        let before = self.pixels();
        self.choose("[name=opacity]", "0");
        let plain = self.pixels();
        assert_ne!(before, plain, "the opacity slider");
        self.choose("[name=opacity]", "100");
        assert_eq!(self.pixels(), before, "the opacity slider, back");
        self.choose("[name=threshold]", "50");
        assert_ne!(self.pixels(), before, "the threshold slider");
        self.choose("[name=threshold]", "0");
        self.choose("[name=top]", "0");
        assert_ne!(self.pixels(), before, "the slider of top bins");
        self.choose("[name=top]", "200");
        self.choose("[name=palette]", "orange and purple");
        assert_ne!(self.pixels(), before, "the colours");
        self.choose("[name=palette]", "red and blue");

        self.value(
            "(() => { const c = document.querySelector('.plot canvas'); const b = c.getBoundingClientRect(); \
             c.dispatchEvent(new PointerEvent('pointermove', { clientX: b.left + 200, clientY: b.top + 200 })); })()",
        );
        let readout = self.text(".readout");
        assert!(
            readout.contains(" s, ")
                && readout.contains(" Hz: level (dB) ")
                && readout.contains("relevance"),
            "{readout}"
        );

        assert_eq!(self.value("document.querySelectorAll('audio').length"), 5);
        self.value("document.querySelectorAll('audio')[1].play()");
        self.wait(
            "the play head moves",
            "document.querySelectorAll('audio')[1].currentTime > 0.05 && document.querySelector('.head').style.display === 'block'",
        );
        self.value("document.querySelectorAll('audio')[0].play()");
        self.wait(
            "one sound at a time",
            "document.querySelectorAll('audio')[1].paused && !document.querySelectorAll('audio')[0].paused",
        );
        self.value("document.querySelectorAll('audio').forEach(audio => audio.pause())");

        let account = self.text(".accounts");
        assert!(
            account.starts_with("The picture accounts for "),
            "{account}"
        );
        let ask = |place: usize| {
            self.value(&format!(
                "document.querySelectorAll('.questions button')[{place}].click()"
            ));
        };
        let listed = "document.querySelector('.sounds').checkVisibility()";
        let tested = "document.querySelector('.worth svg')?.checkVisibility()";
        let verdict = self.text(".worth p");
        assert!(
            verdict.starts_with("Without the 10 % of bins that are the most relevant, the "),
            "{verdict}"
        );
        assert_eq!(self.value(tested), true);
        ask(1);
        assert_ne!(self.pixels(), before, "what is missing");
        assert_ne!(self.text(".accounts"), account);
        assert_eq!(self.value(listed), false);
        assert_eq!(self.value(tested), false);
        ask(0);
        assert_eq!(self.pixels(), before, "what is there, again");
        assert_eq!(self.text(".accounts"), account);
        assert_eq!(self.value(listed), true);
        assert_eq!(self.value(tested), true);
    }
}

#[test]
#[cfg_attr(
    not(browser),
    ignore = "there is no Chromium; install it, or name it in SPEECHLENS_BROWSER"
)]
fn the_page_of_explain() {
    let browser = browser();
    let folder = tempfile::tempdir().expect("a folder");
    let model = model();
    let reading = Reading {
        pieces: true,
        ..Reading::default()
    };
    let reader = Reader::new(model, reading);
    let input = reader
        .audio("<b>voice & co</b>.wav", voice(2.5))
        .expect("an input");
    let ways = ["lrp", "gradient"].map(|name| {
        let settings = Settings::new(name, serde_json::json!({})).expect("a method");
        let place = (&Device::Cpu, DType::F32);
        Explainer::new(
            model,
            settings,
            Question::Predicted,
            Details::default(),
            place,
        )
        .expect("a method")
    });
    let answers = std::array::from_fn::<_, 2, _>(|place| {
        let mut found = ways[place].explain(&input, &|_| ()).expect("explained");
        found.deletion = Some(ways[place].deletion(&input, &found).expect("tested"));
        // Three frames a window, as a network would say that tells of frames.
        found.frames = Some(Frames {
            probabilities: ndarray::Array3::from_shape_fn((input.len(), 3, 2), |at| {
                at.1 as f32 / 2.0
            }),
            step: 0.3,
            asked: [1, 2],
        });
        found
    });
    let explanations: Vec<Explanation> = ways
        .iter()
        .zip(&answers)
        .map(|(explainer, answers)| Explanation::new(explainer, answers, 5.0))
        .collect();
    files::write_page(folder.path(), "model", &input, &explanations).expect("written");

    let url = format!("file://{}", folder.path().join("index.html").display());
    let page = Open::at(&browser, &url);
    assert_eq!(
        page.value("document.querySelectorAll('.exhibit').length"),
        2
    );
    // Names are text, whatever they hold.
    assert_eq!(
        page.value("document.querySelector('main b')"),
        serde_json::Value::Null
    );
    assert!(page.text(".facts").contains("<b>voice & co</b>.wav"));
    assert!(page.text(".answers").contains('%'));
    page.value("document.querySelectorAll('.exhibit')[1].querySelectorAll('audio').forEach(audio => audio.parentElement.remove())");
    page.looks_and_sounds();
    page.value(
        "(() => { const c = document.querySelector('.frames'); const b = c.getBoundingClientRect(); \
         c.dispatchEvent(new PointerEvent('pointermove', { clientX: b.left + 62, clientY: b.top + 10 })); })()",
    );
    let readout = page.text(".readout");
    assert!(
        readout.starts_with("frame 0, 0.") && readout.contains("male 0.0 %"),
        "{readout}"
    );
    page.value("document.querySelector('.frames').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }))");
    let readout = page.text(".readout");
    assert!(
        readout.starts_with("frame 1, 0.") && readout.contains("--frames 1..2 explains it alone"),
        "{readout}"
    );
    assert!(page.text("details").contains("window by window"));
    page.shoot("explain");
    page.is_clean();
}

#[test]
#[cfg_attr(
    not(browser),
    ignore = "there is no Chromium; install it, or name it in SPEECHLENS_BROWSER"
)]
fn the_page_of_two_recordings() {
    let browser = browser();
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = model().clone();
    model.task = Task::Embedding;
    let reader = Reader::new(&model, Reading::default());
    let read = |name: &str, seconds| reader.audio(name, voice(seconds)).expect("an input");
    let (one, other) = (read("one.wav", 0.9), read("other.wav", 0.6));
    let composite = Composite::preset("epsilon-plus-silence").expect("a preset");
    let place = (&Device::Cpu, DType::F32);
    let pair = Pair::new(&model, &composite, [&one, &other], place, &|_, _| ());
    let pair = pair.expect("explained");
    let linked = Linked {
        model_name: "model",
        model: &model,
        composite: &composite,
        dtype: DType::F32,
        inputs: [&one, &other],
        pair: &pair,
    };
    linked.write(folder.path()).expect("written");

    let url = format!("file://{}", folder.path().join("index.html").display());
    let page = Open::at(&browser, &url);
    assert_eq!(
        page.value("document.querySelectorAll('.exhibit').length"),
        3
    );
    let canvas = "document.querySelectorAll('.plot canvas')";
    let pixels = |place: usize| page.value(&format!("{canvas}[{place}].toDataURL()"));
    // Where a moment of one says most of a moment of the other.
    let between = pair.between();
    let places = between.indexed_iter();
    let most = places.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    let ((row, column), most) = most.expect("moments");
    assert!(most.abs() > 0.0);
    let (rows, columns) = between.dim();
    let share = |place: usize, count: usize| (place as f64 + 0.5) / count as f64;
    let (across, up) = (share(row, rows), share(column, columns));
    let send = |place: usize, event: &str| {
        let at = match place {
            2 => {
                format!(
                    "const s = Math.min(b.width - 70, 420); const x = 58 + {across} * s; const y = 8 + (1 - {up}) * s;"
                )
            }
            _ => format!("const x = 58 + {across} * (b.width - 122); const y = 200;"),
        };
        page.value(&format!(
            "(() => {{ const c = {canvas}[{place}]; const b = c.getBoundingClientRect(); {at} \
             c.dispatchEvent(new PointerEvent('{event}', {{ clientX: b.left + x, clientY: b.top + y }})); }})()"
        ));
    };
    let before = [0, 1, 2].map(pixels);
    send(0, "pointermove");
    assert!(pixels(1) != before[1], "the other shows how it answers");
    let told = page.text(".linked .readout");
    assert!(told.contains("of the first is pointed at"), "{told}");
    send(0, "pointerleave");
    assert!([0, 1, 2].map(pixels) == before, "nothing is pointed at");
    send(2, "pointermove");
    assert!(pixels(0) != before[0] && pixels(1) != before[1]);
    let told = page.text(".linked .readout");
    assert!(told.contains("of the second: relevance"), "{told}");
    page.shoot("pair");
    page.is_clean();
}

#[test]
#[cfg_attr(
    not(browser),
    ignore = "there is no Chromium; install it, or name it in SPEECHLENS_BROWSER"
)]
fn the_page_of_serve() {
    let browser = browser();
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, receiver) = mpsc::channel::<SocketAddr>();
    let limits = Limits {
        bytes: 500_000,
        seconds: 10.0,
        ..Limits::default()
    };
    std::thread::spawn(move || {
        let service = Service {
            model: model().clone(),
            name: "random".into(),
            device: Device::Cpu,
            seed: 1,
            limits,
        };
        serve(service, ([127, 0, 0, 1], 0).into(), |address| {
            sender.send(address).expect("the test waits");
        })
        .expect("served");
    });
    let address = receiver.recv().expect("an address");
    let file = |name: &str| folder.path().join(name);
    write_wav(file("voice.wav"), &voice(2.0)).expect("written");
    write_wav(file("long.wav"), &voice(12.0)).expect("written");
    std::fs::write(file("wrong.wav"), b"this is no recording at all").expect("written");
    std::fs::write(file("large.wav"), vec![0; 600_000]).expect("written");

    let page = Open::at(&browser, &format!("http://{address}/"));
    page.wait(
        "the model",
        "document.querySelectorAll('#rules option').length > 5",
    );
    assert!(page.text("#model").contains("random (alexnet, 2 classes)"));
    page.shoot("serve-empty");

    let explained = |title: &str| {
        page.wait(
            title,
            &format!("(document.querySelector('.exhibit h2')?.textContent ?? '').startsWith({title:?}) && document.querySelector('#status').textContent.startsWith('Done')"),
        );
    };
    page.upload(&file("voice.wav"));
    explained("lrp epsilon-plus-silence: relevance for");
    assert!(page.text(".facts").contains("voice.wav"));
    assert!(
        !page
            .text("main")
            .contains(folder.path().to_str().expect("UTF-8"))
    );
    page.choose("#rules", "thesis-gender");
    explained("lrp thesis-gender: relevance for");
    assert!(page.text(".warning").contains("quieter than 0 dB"));
    page.choose("#rules", "epsilon-plus-silence");
    explained("lrp epsilon-plus-silence: relevance for");
    page.looks_and_sounds();
    page.choose("#target", "female");
    explained("lrp epsilon-plus-silence: relevance for female");
    page.choose("#against", "male");
    explained("lrp epsilon-plus-silence: relevance for female rather than male");
    page.choose("#against", "");
    page.choose("#method", "gradient");
    explained("gradient: relevance for female");
    page.choose("#beside", "lrp:epsilon-plus");
    page.wait(
        "two ways",
        "document.querySelectorAll('.exhibit').length === 2",
    );
    page.shoot("serve");

    let refused = |words: &str| {
        page.wait(
            words,
            &format!(
                "document.querySelector('#status.wrong')?.textContent.includes({words:?}) ?? false"
            ),
        );
    };
    page.choose("#target", "nobody");
    refused("`nobody` is no class");
    page.choose("#target", "");
    explained("gradient: relevance for");
    page.upload(&file("wrong.wav"));
    refused("wrong.wav: not a recording that can be decoded");
    page.upload(&file("long.wav"));
    refused("long.wav: lasts longer than 10 s");
    page.upload(&file("large.wav"));
    refused("large.wav is 0.6 MB large");
    // Not only the page says so.
    let status = "fetch('/explain', { method: 'POST', body: new Uint8Array(600000) }).then(async a => `${a.status} ${await a.text()}`)";
    let status = page.value(status);
    assert!(
        status
            .as_str()
            .is_some_and(|s| s.starts_with("413") && s.contains("larger than")),
        "{status}"
    );
    page.shoot("serve-wrong");

    page.0
        .find_element("#record")
        .expect("a button")
        .click()
        .expect("clicked");
    page.wait(
        "recording",
        "document.querySelector('#chosen').textContent.startsWith('Recording … 1')",
    );
    page.0
        .find_element("#record")
        .expect("a button")
        .click()
        .expect("clicked");
    explained("gradient: relevance for");
    assert!(
        page.text(".facts").contains("recording "),
        "{}",
        page.text(".facts")
    );

    assert_eq!(
        page.value("performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin) || e.name.startsWith('blob:') || e.name.startsWith('data:'))"),
        true,
        "a request to another host"
    );
    page.is_clean();
}
