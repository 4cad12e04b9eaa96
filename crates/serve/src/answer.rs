//! What the page asks for: the model's facts, and an explanation of a recording.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use candle_core::DType;
use serde::Deserialize;
use serde_json::json;
use speechlens_attribution::methods::METHODS;
use speechlens_audio::read_bytes;
use speechlens_explain::show::exhibit;
use speechlens_explain::{
    Answers, Asked, Details, Explainer, Explanation, Frames, Question, Reader, Reading, Settings,
    TOP, span,
};
use speechlens_frontend::Length;

use crate::upload::{self, Refusal};
use crate::{Service, Shared};

/// Ways of explaining that one page shows at most.
const WAYS: usize = 4;

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The model, the methods and the limits.
pub async fn model(State(shared): State<Arc<Shared>>) -> Response {
    let Service {
        model,
        name,
        limits,
        ..
    } = &shared.service;
    let methods: Vec<_> = METHODS
        .iter()
        .map(|entry| json!({ "name": entry.name, "summary": entry.summary }))
        .collect();
    json_text(
        json!({
            "name": name, "arch": model.arch(), "task": model.task.name(), "classes": model.classes(), "methods": methods, "rules": shared.rules,
            "default_rules": shared.default_rules, "seconds": limits.seconds, "bytes": limits.bytes,
        })
        .to_string(),
    )
}

/// How a recording is to be explained.
#[derive(Deserialize)]
pub struct Wish {
    /// What the recording is called.
    #[serde(default)]
    name: String,
    /// Methods, and of layer-wise relevance propagation with its rules: `lrp:epsilon-plus-silence,occlusion`.
    #[serde(default)]
    ways: String,
    /// The class that is asked about, by name or index; if empty, what is predicted.
    #[serde(default)]
    target: String,
    /// The class rather than which, likewise.
    #[serde(default)]
    against: String,
    /// Of networks that tell classes of each frame: which frames are asked about, `20..40`; if empty, all.
    #[serde(default)]
    frames: String,
}

impl Wish {
    /// The wish and the recording; what a form says goes before what the address does.
    async fn with_form(self, headers: &HeaderMap, body: Bytes) -> Result<(Wish, Bytes), Refusal> {
        let Some(form) = upload::form(headers, body.clone()).await? else {
            return Ok((self, body));
        };
        let mut wish = Wish {
            name: form.name,
            ..self
        };
        for (field, text) in form.texts {
            *match field.as_str() {
                "name" => &mut wish.name,
                "ways" => &mut wish.ways,
                "target" => &mut wish.target,
                "against" => &mut wish.against,
                "frames" => &mut wish.frames,
                other => {
                    let problem = format!(
                        "the form has a field `{other}`; beside the file there are name, ways, target, against and frames"
                    );
                    return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, problem));
                }
            } = text;
        }
        Ok((wish, form.recording))
    }
}

/// Explains the recording in the body, or in the body's form.
pub async fn explain(
    State(shared): State<Arc<Shared>>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match queued(shared, wish, headers, body).await {
        Ok(text) => json_text(text),
        Err(refusal) => refusal.into_response(),
    }
}

async fn queued(
    shared: Arc<Shared>,
    wish: Wish,
    headers: HeaderMap,
    body: Body,
) -> Result<String, Refusal> {
    let limits = &shared.service.limits;
    // Before the body is read, so that no more bodies than this are ever held.
    let Ok(place) = shared.queue.clone().try_acquire_owned() else {
        upload::discard(body, limits).await;
        let problem = "busy: others are being explained; try again in a moment";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, problem));
    };
    let bytes = upload::read(&headers, body, limits).await?;
    let (wish, bytes) = wish.with_form(&headers, bytes).await?;
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("explaining failed: {error}");
        let problem = "explaining failed; the terminal of `speechlens serve` tells why";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, problem)
    };
    let turn = shared.work.clone().acquire_owned().await;
    let turn = turn.map_err(|error| failed(&error))?;
    // The place and the turn go with the work, which goes on if the asker leaves.
    let work = tokio::task::spawn_blocking({
        let shared = shared.clone();
        move || {
            let made = make(&shared, &wish, &bytes);
            drop((turn, place));
            made
        }
    });
    work.await.map_err(|error| failed(&error))?
}

fn make(shared: &Shared, wish: &Wish, bytes: &[u8]) -> Result<String, Refusal> {
    let service = &shared.service;
    let wrong =
        |error: &dyn std::fmt::Display| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error);
    let Service {
        model,
        limits,
        device,
        ..
    } = service;
    // A name, and not the path that it may come with.
    let name = wish.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(120).collect();
    let name = if name.is_empty() {
        "recording".into()
    } else {
        name
    };
    let audio = read_bytes(&name, bytes, limits.seconds).map_err(|error| wrong(&error))?;
    let is_too_long =
        matches!(model.front_end.length(), Length::AtMost(seconds) if audio.seconds() > seconds);
    let reading = Reading {
        pieces: is_too_long,
        ..Reading::default()
    };
    let reader = Reader::new(model, reading);
    let input = reader.audio(&name, audio).map_err(|error| wrong(&error))?;
    let class = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let (target, against) = (class(&wish.target), class(&wish.against));
    let frames = (!wish.frames.is_empty()).then(|| span(&wish.frames));
    let asked = Asked {
        frames: frames.transpose().map_err(|error| wrong(&error))?,
        ..Asked::default()
    };
    let frames = Frames::of(model, &asked, &input, device).map_err(|error| wrong(&error))?;
    let asked = asked.of(model, &input, device);
    let model = &*asked.map_err(|error| wrong(&error))?;
    let question = Question::new(model, target.as_deref(), against.as_deref());
    let question = question.map_err(|error| wrong(&error))?;
    let mut explainers = Vec::new();
    for way in ways(&wish.ways, &shared.rules).map_err(|error| wrong(&error))? {
        let settings = way.with("seed", service.seed);
        let place = (device, DType::F32);
        let explainer = Explainer::new(model, settings, question, Details::default(), place);
        explainers.push(explainer.map_err(|error| wrong(&error))?);
    }
    let mut answers: Vec<Answers> = Vec::new();
    for explainer in &explainers {
        let found = explainer.explain(&input, &|_| ());
        let mut found = found.map_err(|error| wrong(&error))?;
        let deletion = explainer.deletion(&input, &found);
        found.deletion = Some(deletion.map_err(|error| wrong(&error))?);
        found.frames = frames.clone();
        answers.push(found);
    }
    let explanations: Vec<Explanation> = explainers
        .iter()
        .zip(&answers)
        .map(|(explainer, answers)| Explanation::new(explainer, answers, TOP))
        .collect();
    let page = exhibit(&service.name, &input, &explanations).map_err(|error| wrong(&error))?;
    page.json().map_err(|error| wrong(&error))
}

/// `lrp:RULES` or a method's name, with commas between. Rules are presets: a path would be one of this machine.
fn ways(text: &str, known: &[&str]) -> Result<Vec<Settings>, String> {
    let wanted = if text.is_empty() { "lrp" } else { text };
    let ways: Vec<&str> = wanted.split(',').collect();
    if ways.len() > WAYS {
        return Err(format!(
            "{} ways are too many; ask for at most {WAYS}",
            ways.len()
        ));
    }
    ways.into_iter()
        .map(|way| {
            let (name, rules) = match way.split_once(':') {
                Some((name, rules)) => (name, Some(rules)),
                None => (way, None),
            };
            if let Some(rules) = rules
                && !known.contains(&rules)
            {
                return Err(format!(
                    "`{rules}` are no rules that suit the network; there are {}",
                    known.join(", ")
                ));
            }
            Settings::new(name, json!({ "rules": rules })).map_err(|error| error.to_string())
        })
        .collect()
}
