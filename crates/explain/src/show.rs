//! Explanations as pictures and as the page.

use std::io::Cursor;
use std::ops::Range;
use std::sync::OnceLock;

use ndarray::{ArrayView2, ArrayViewD, Axis, Ix1, Ix2};
use speechlens_audio::{Audio, to_writer};
use speechlens_lrp::{Assignment, Conservation};
use speechlens_models::{Model, Probability, Task};
use speechlens_nn::Kind;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::results::Row;
use speechlens_report::table::Table;
use speechlens_report::waveform::{Trace, stack};
use speechlens_report::{Account, Answer, Aside, Exhibit, Figure, Fold, Picture, Sound};

use crate::{Answers, Error, Explainer, Input, Plane, Question, Result, Sounds, default_rules};

/// Pictures of an array's windows on one page or in one file.
const PANELS: usize = 12;
/// Classes in the list of the likeliest.
const LIKELIEST: usize = 5;

/// One way of explaining an input, and what it found.
pub struct Explanation<'a> {
    /// The way.
    pub explainer: &'a Explainer,
    /// What it found.
    pub answers: &'a Answers,
    /// How many percent of the bins, the most relevant ones, [`Sounds::without_top`] lacks.
    pub top: f64,
    /// Made when first asked for.
    sounds: OnceLock<Option<Sounds>>,
}

impl<'a> Explanation<'a> {
    /// A way and what it found; of sounds that lack the most relevant bins, `top` percent of them are gone.
    pub fn new(explainer: &'a Explainer, answers: &'a Answers, top: f64) -> Self {
        Explanation {
            explainer,
            answers,
            top,
            sounds: OnceLock::new(),
        }
    }

    /// `lrp epsilon-plus-silence`, `occlusion`, ….
    pub fn name(&self) -> String {
        let method = self.explainer.method();
        match method.rules() {
            Some(composite) => format!("{method} {}", composite.name()),
            None => method.to_string(),
        }
    }

    /// The question, where the explanation can be asked the other one too.
    fn asks(&self) -> &'static str {
        match self.explainer.method().reference() {
            Some(0.0) => "What is missing? (against 0 dB)",
            _ => "What is there? (against silence)",
        }
    }

    /// How much of what was asked about the relevance that these windows show adds up to, on their mean.
    fn account(&self, input: &Input, windows: Range<usize>) -> Option<Account> {
        let of = |window: usize| -> Option<[f64; 2]> {
            let relevance = self.answers.relevance.index_axis(Axis(0), window);
            let time = Axis(relevance.ndim() - 1);
            let shown = match &input.heard {
                Some(heard) => {
                    relevance.slice_axis(time, heard.places[window].frames.clone().into())
                }
                None => relevance,
            };
            let sum = shown.iter().map(|r| f64::from(*r)).sum();
            Some([sum, self.explainer.score(self.answers, window)?])
        };
        let count = windows.len();
        let number = self.asked_number(windows.start);
        let all = windows.map(of).collect::<Option<Vec<_>>>()?;
        let mean = |side: usize| all.iter().map(|pair| pair[side]).sum::<f64>() / count as f64;
        let what = match (self.explainer.question(), count) {
            (Question::Predicted, 2..) => "the logit of each window's class".to_owned(),
            _ => number,
        };
        let windows = match count {
            1 => String::new(),
            _ => format!(", on the mean of {count} windows"),
        };
        Some(Account {
            relevance: mean(0),
            score: mean(1),
            what: what + &windows,
        })
    }

    /// What was asked in a window.
    fn asked(&self, window: usize) -> String {
        let classes = self.explainer.model().classes();
        match self.explainer.question() {
            Question::Contrast(class, other) => {
                format!("{} rather than {}", classes[class], classes[other])
            }
            _ => classes[self.answers.targets[window] as usize].clone(),
        }
    }

    /// The number that was asked about in a window.
    pub(crate) fn asked_number(&self, window: usize) -> String {
        let kind = match &self.explainer.model().task {
            Task::Similarity { .. } => return format!("the {}", self.asked(window)),
            Task::Score { .. } => "score",
            _ => "logit",
        };
        match self.explainer.question() {
            Question::Contrast(..) => format!("the difference of the {kind}s"),
            _ => format!("the {kind} of {}", self.asked(window)),
        }
    }

    /// What was asked in all windows, if it was one thing.
    fn asked_of_all(&self) -> String {
        let first = self.asked(0);
        let same = (1..self.answers.targets.len()).all(|window| self.asked(window) == first);
        match same {
            true => first,
            false => "the class that each window is taken for".into(),
        }
    }

    /// The parts of a recording, if the input is one.
    ///
    /// # Errors
    /// If the recording is empty or not finite.
    pub fn sounds(&self, input: &Input) -> Result<Option<&Sounds>> {
        if let Some(sounds) = self.sounds.get() {
            return Ok(sounds.as_ref());
        }
        let plane = Plane::joined(input, self.answers.relevance.view())?;
        let sounds = match (&input.heard, plane) {
            (Some(heard), Some(plane)) => Some(Sounds::new(heard, &plane, self.top)?),
            _ => None,
        };
        Ok(self.sounds.get_or_init(|| sounds).as_ref())
    }

    /// One window's heatmap over what it explains.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn picture_of(&self, input: &Input, window: usize) -> Result<Picture> {
        match input.axes.are_samples() {
            true => Ok(stack(&[self.trace(input, window)?])?),
            false => Ok(self.panel(input, window)?.picture()?),
        }
    }

    /// The first windows' heatmaps over what they explain.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn picture(&self, input: &Input) -> Result<Picture> {
        let windows = 0..input.len().min(PANELS);
        if input.axes.are_samples() {
            let traces = windows.map(|window| self.trace(input, window));
            return Ok(stack(&traces.collect::<Result<Vec<_>>>()?)?);
        }
        let panels = windows.map(|window| self.panel(input, window));
        Ok(grid(&panels.collect::<Result<Vec<_>>>()?, 3)?)
    }

    fn panel(&self, input: &Input, window: usize) -> Result<Panel> {
        let features = input.features.index_axis(Axis(0), window);
        let relevance = self.answers.relevance.index_axis(Axis(0), window);
        let panel = panel(input, input.span(window).0, features, relevance)?;
        Ok(panel.titled(format!("relevance for {}", self.asked(window))))
    }

    fn trace(&self, input: &Input, window: usize) -> Result<Trace> {
        let [waveform, relevance] = [&input.features, &self.answers.relevance].map(|values| {
            let values = values.index_axis(Axis(0), window);
            let values = values.into_dimensionality::<Ix1>();
            values.map_err(|error| Error::input(&input.name, error))
        });
        let (waveform, relevance) = (waveform?, relevance?);
        let seconds = waveform.len() as f64 * input.axes.step;
        let limit = limit(relevance);
        let trace = Trace::new(seconds, &input.axes.value, waveform, relevance, limit)?;
        let trace = trace.later(input.span(window).0);
        Ok(trace.titled(format!("relevance for {}", self.asked(window))))
    }

    /// The figures of the page: a recording's windows joined, or an array's each on its own.
    fn figures(&self, input: &Input) -> Result<Vec<Figure>> {
        let relevance = self.answers.relevance.view();
        let other = self.explainer.other_question()?;
        let other = other
            .map(|other| {
                other
                    .explain(input, &|_| ())
                    .map(|answers| (other, answers))
            })
            .transpose()?;
        let mut figures = match Plane::joined(input, relevance.view())? {
            Some(plane) => {
                let title = format!("{}: relevance for {}", self.name(), self.asked_of_all());
                let mut figure = figure(title, input, &plane);
                figure.account = self.account(input, 0..input.len());
                if let Some((explainer, answers)) = &other
                    && let Some(plane) = Plane::joined(input, answers.relevance.view())?
                {
                    let other = Explanation::new(explainer, answers, self.top);
                    figure.other = Some(other.aside(input, &plane, 0..input.len()));
                    figure.question = self.asks();
                }
                if let Some(sounds) = self.sounds(input)? {
                    figure.sounds = playable(sounds, self.top)?;
                }
                figure.strip = self.strip(input, 0..input.len());
                vec![figure]
            }
            None => (0..input.len().min(PANELS))
                .map(|window| {
                    let plane = Plane::of_window(input, relevance.view(), window)?;
                    let title = format!("{}: relevance for {}", self.name(), self.asked(window));
                    let title = match input.single {
                        true => title,
                        false => format!("{title}, input {window}"),
                    };
                    let mut figure = figure(title, input, &plane);
                    figure.account = self.account(input, window..window + 1);
                    figure.strip = self.strip(input, window..window + 1);
                    if let Some((explainer, answers)) = &other {
                        let plane = Plane::of_window(input, answers.relevance.view(), window)?;
                        let other = Explanation::new(explainer, answers, self.top);
                        figure.other = Some(other.aside(input, &plane, window..window + 1));
                        figure.question = self.asks();
                    }
                    Ok(figure)
                })
                .collect::<Result<_>>()?,
        };
        // A recording has one figure, an array one for each window.
        let tested = self
            .answers
            .deletion
            .as_ref()
            .map_or(0, |tested| tested.window);
        let tested = if input.heard.is_some() { 0 } else { tested };
        if let Some(figure) = figures.get_mut(tested) {
            figure.worth = self.worth(input)?;
        }
        if let Some(first) = figures.first_mut() {
            first.tables = self.tables(input)?;
        }
        Ok(figures)
    }

    /// As another explanation's other question.
    fn aside(&self, input: &Input, plane: &Plane, windows: Range<usize>) -> Aside {
        let account = self.account(input, windows);
        Aside::new(self.asks(), plane.relevance.view(), account)
    }

    fn tables(&self, input: &Input) -> Result<Vec<Fold>> {
        let mut tables = Vec::new();
        if input.len() > 1 {
            let summary = format!(
                "What the network answered, window by window ({})",
                input.len()
            );
            tables.push(Fold::new(summary, &self.windows(input))?);
        }
        if let Some(assignments) = self.explainer.assignments() {
            let table = rules(&self.name(), assignments);
            tables.push(Fold::new("Which rule each layer got", &table)?);
        }
        if !self.answers.conservation.is_empty() {
            let summary = "What each layer did with the relevance that reached it (conservation)";
            let table = conservation(&self.answers.conservation);
            tables.push(Fold::new(summary, &table)?);
        }
        if let Some(gap) = &self.answers.completeness_gap {
            let rows = gap
                .iter()
                .zip(self.answers.relevance.outer_iter())
                .enumerate()
                .map(|(window, (gap, relevance))| {
                    let sum: f64 = relevance.iter().map(|r| f64::from(*r)).sum();
                    let cells = [format!("{sum:.4}"), format!("{gap:.1e}")];
                    Row::measured(window.to_string(), cells)
                });
            let table = Table {
                corner: "window".into(),
                columns: vec!["relevance in all".into(), "missing".into()],
                rows: rows.collect(),
            };
            let summary = "What relevance fails to account for (completeness)";
            tables.push(Fold::new(summary, &table)?);
        }
        Ok(tables)
    }

    fn windows(&self, input: &Input) -> Table {
        let model = self.explainer.model();
        let row = |window: usize| {
            let (start, end) = input.span(window);
            let [class, says] = match input.silent[window] {
                true => ["silent".to_owned(), "–".to_owned()],
                false => [
                    model.classes()[self.answers.foremost(model, window)].clone(),
                    self.answers.says(model, window),
                ],
            };
            let span = format!("{start:.2}–{end:.2} s");
            let cells = [span, class, says, self.asked(window)];
            Row::measured(window.to_string(), cells)
        };
        Table {
            corner: "window".into(),
            columns: match model.task.probability() {
                None => ["where", "score", "value", "explained"],
                Some(_) => ["where", "class", "probability", "explained"],
            }
            .map(str::to_owned)
            .to_vec(),
            rows: (0..input.len()).map(row).collect(),
        }
    }
}

/// A heatmap of the network's own size that starts at `start` seconds.
///
/// # Errors
/// If the arrays are not [frequency, time], or not finite.
pub fn panel(
    input: &Input,
    start: f64,
    features: ArrayViewD<f32>,
    relevance: ArrayViewD<f32>,
) -> Result<Panel> {
    let [features, relevance] = [features, relevance].map(|values| {
        values
            .into_dimensionality::<Ix2>()
            .map_err(|error| Error::input(&input.name, error))
    });
    let (features, relevance) = (features?, relevance?);
    let axes = axes(input, start, features);
    Ok(Panel::overlay(axes, features, relevance, limit(relevance))?)
}

fn axes(input: &Input, start: f64, features: ArrayView2<f32>) -> Axes {
    let frequencies = &input.axes.frequencies;
    if let ([_, step, ..], true) = (frequencies.as_slice(), input.axes.are_linear()) {
        let seconds = input.axes.time(features.ncols() - 1);
        return Axes::spectrogram(seconds, frequencies.len() as f64 * step).later(start);
    }
    let end = start + features.ncols() as f64 * input.axes.step;
    Axes::filterbank(start, end, frequencies)
}

pub(crate) fn figure(title: String, input: &Input, plane: &Plane) -> Figure {
    let axes = &input.axes;
    Figure::new(
        title,
        [axes.time(0), axes.step],
        plane.frequencies.clone(),
        axes.value.clone(),
        plane.levels.view(),
        plane.relevance.view(),
    )
}

/// The parts as the page plays them, and as files: name, what is heard.
pub(crate) fn parts(sounds: &Sounds, top: f64) -> [(&'static str, String, &Audio); 5] {
    [
        (
            "heard",
            "The recording as the network heard it.".into(),
            &sounds.heard,
        ),
        (
            "for",
            "What speaks for it: the power of each bin in proportion to its positive relevance."
                .into(),
            &sounds.supporting,
        ),
        (
            "against",
            "What speaks against it, likewise.".into(),
            &sounds.opposing,
        ),
        (
            "rest",
            "The recording without what speaks for it.".into(),
            &sounds.rest,
        ),
        (
            "without-top",
            format!("The recording without its {top} % most relevant bins."),
            &sounds.without_top,
        ),
    ]
}

fn playable(sounds: &Sounds, top: f64) -> Result<Vec<Sound>> {
    let sound = |(name, about, audio): (&str, String, &Audio)| {
        Ok(Sound {
            name: name.to_owned(),
            about,
            wav: wav(audio)?,
        })
    };
    parts(sounds, top).into_iter().map(sound).collect()
}

/// The bytes of a 16-bit WAV file.
pub(crate) fn wav(audio: &Audio) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    to_writer(&mut bytes, audio).map_err(|error| Error::Setting(error.to_string()))?;
    Ok(bytes.into_inner())
}

/// Which rule each layer got.
pub fn rules(name: &str, assignments: Vec<Assignment>) -> Table {
    let row = |layer: Assignment| {
        let rule = layer.rule.unwrap_or_else(|| "passes on".into());
        Row::measured(layer.nodes.join(" + "), [layer.kind.to_string(), rule])
    };
    Table {
        corner: name.to_owned(),
        columns: vec!["kind".into(), "rule".into()],
        rows: assignments.into_iter().map(row).collect(),
    }
}

/// What became of relevance at each node that does more than pass it on, for the first window.
pub fn conservation(conservation: &[Conservation]) -> Table {
    let has_softmax = conservation.iter().any(|node| node.kind == Kind::Softmax);
    let number = |values: &[f64]| format!("{:.4}", values.first().copied().unwrap_or_default());
    let row = |node: &Conservation| {
        let remainder = node.remainder();
        let mut cells = vec![
            number(&node.arrived),
            number(&node.passed),
            number(&node.bias),
            number(&node.epsilon),
        ];
        if has_softmax {
            cells.push(number(&node.softmax));
        }
        cells.push(format!(
            "{:.1e}",
            remainder.first().copied().unwrap_or_default()
        ));
        Row::measured(node.node.clone(), cells)
    };
    let mut columns = vec!["arrived", "passed on", "bias", "ε"];
    if has_softmax {
        columns.push("softmax");
    }
    columns.push("rest");
    Table {
        corner: "layer".into(),
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: conservation
            .iter()
            .filter(|node| node.rule.is_some())
            .map(row)
            .collect(),
    }
}

/// The likeliest classes by their mean probability over the windows that are not silent; or all scores in their order, by their mean.
fn likeliest(model: &Model, input: &Input, answers: &Answers) -> Vec<Answer> {
    let mean = |class: usize| {
        let of = |window: usize| model.value(&answers.logits[window], class);
        input.sounding().map(of).sum::<f32>() / input.sounding().count() as f32
    };
    let mut classes: Vec<(usize, f32)> = (0..model.classes().len()).map(|c| (c, mean(c))).collect();
    let are_scores = model.task.probability().is_none();
    let is_similarity = matches!(model.task, Task::Similarity { .. });
    if !are_scores {
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(LIKELIEST);
    }
    let answer = |(class, value): (usize, f32)| Answer {
        name: model.classes()[class].clone(),
        says: model.words(value),
        share: (!are_scores).then_some(value),
        cosine: is_similarity.then_some(value),
    };
    classes.into_iter().map(answer).collect()
}

/// Why what is heard may not be what is meant.
fn warnings(explanations: &[Explanation], input: &Input) -> Vec<String> {
    let mut warnings = Vec::new();
    let silent = (0..input.len()).filter(|window| input.silent[*window]);
    let silent: Vec<String> = silent
        .map(|window| match (&input.heard, input.span(window)) {
            (Some(_), (start, end)) => format!("{start:.2}–{end:.2} s"),
            (None, _) => window.to_string(),
        })
        .collect();
    if !silent.is_empty() {
        warnings.push(format!(
            "Silent windows: {}. What the network answers to them, and why, means nothing; the answer above leaves them out.",
            silent.join(", ")
        ));
    }
    for explanation in explanations {
        let reference = explanation.explainer.method().reference();
        let front_end = &explanation.explainer.model().front_end;
        let from = reference.filter(|reference| Some(*reference) != front_end.silence());
        let is_of_levels = front_end.silence().is_some_and(|silence| silence < 0.0);
        if let (true, Some(from), true) = (is_of_levels, from, input.heard.is_some()) {
            warnings.push(format!(
                "{} asks what a bin does by being quieter than {from} dB, and sound cannot show that: what speaks “for” \
                 are bins that are quiet. Ask against silence to listen, as the rules {} do.",
                explanation.name(),
                default_rules(explanation.explainer.model())
            ));
        }
    }
    warnings
}

/// What percentages are, where they are not what one takes them for.
fn shares(model: &Model) -> &'static str {
    match model.task.probability() {
        Some(Probability::Sigmoid) if model.classes().len() > 1 => {
            "Each class is a question of its own, yes or no, with a percentage of its own: together they need not make 100 %. "
        }
        _ => "",
    }
}

/// A model's name, with that of the network if the file tells.
pub(crate) fn called(model_name: &str, model: &Model) -> String {
    match model.arch() {
        Some(arch) => format!("{model_name} ({arch})"),
        None => model_name.to_owned(),
    }
}

pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The page: what the network answered to an input, and why, explained in several ways. `model` is what the model is called.
///
/// # Errors
/// If there is no explanation, or a value is not finite.
pub fn exhibit(model_name: &str, input: &Input, explanations: &[Explanation]) -> Result<Exhibit> {
    let Some(first) = explanations.first() else {
        return Err(Error::Setting("there is nothing to show".into()));
    };
    let model = first.explainer.model();
    let answers = likeliest(model, input, first.answers);
    let mut figures = Vec::new();
    for explanation in explanations {
        figures.extend(explanation.figures(input)?);
    }
    // Of classes the likeliest, of scores the one that was asked about.
    let shown = match (model.task.probability(), first.explainer.question()) {
        (None, Question::Class(score) | Question::Contrast(score, _)) => score,
        _ => 0,
    };
    let Answer { name, says, .. } = &answers[shown];
    let (named, given) = (file_name(model_name), file_name(&input.name));
    let windows = match input.sounding().count() {
        1 => String::new(),
        windows => format!(", on the mean of {windows} windows"),
    };
    let shown_at = match &input.at {
        Some(node) => format!("Shown is what its node {node} gives. "),
        None => String::new(),
    };
    let mut facts = vec![
        ("input".into(), input.name.clone()),
        ("model".into(), called(model_name, model)),
        (
            "explained by".into(),
            explanations
                .iter()
                .map(Explanation::name)
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("asked about".into(), first.asked_of_all()),
    ];
    if let Some(heard) = &input.heard {
        let (seconds, rate) = (heard.audio.seconds(), heard.audio.rate);
        facts.insert(1, ("sound".into(), format!("{seconds:.2} s at {rate} Hz")));
    }
    Ok(Exhibit {
        title: format!("{name}, {says}"),
        lead: format!(
            "What the model {}{windows}. {shown_at}{}Coloured bins {} {}: the stronger the colour, the more.",
            match model.task {
                Task::Similarity { .. } => format!(
                    "{named} finds of {given}: the cosine of the angle between two embeddings, 1 where they are alike, 0 where they \
                     have nothing in common, −1 where they are opposite"
                ),
                Task::Score { .. } => format!("{named} says of {given}"),
                _ => format!("{named} takes {given} for"),
            },
            shares(model),
            match model.task.probability() {
                None => "raise or lower the",
                Some(_) => "speak for or against",
            },
            first.asked_of_all()
        ),
        facts,
        answers,
        figures,
        link: None,
        warnings: warnings(explanations, input),
    })
}
