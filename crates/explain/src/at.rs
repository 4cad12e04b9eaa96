//! Relevance of what a node inside a network gives, such as the spectrogram that stands in its graph: which of its axes is time and which
//! frequency is measured by probes.

use std::f64::consts::TAU;

use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, Array3, ArrayD, ArrayView1, ArrayViewD, Axis, Ix3};
use speechlens_frontend::Axes;
use speechlens_models::Model;

use crate::explainer::{outputs, to_tensor};
use crate::input::Heard;
use crate::{Answers, Error, Input, Result};

/// How many moments are probed, and how many frequencies.
const MOMENTS: usize = 16;
const TONES: usize = 48;
/// The part of the input at either end in which no moment is probed.
const EDGE: f64 = 0.1;
/// Of its multiples no part is alike.
const GOLDEN: f64 = 0.618_033_988_749_895;
/// The lowest tone, in Hz, and the highest, as a share of half the rate.
const LOWEST: f64 = 50.0;
const HIGHEST: f64 = 0.95;
/// How well places must follow what is probed: the square of the correlation, of their order for frequencies.
const FOLLOWS: f64 = 0.9;
/// How well frequencies must lie on a line to be told by it.
const LINE: f64 = 0.9995;
/// How many standard errors a slope may be off the one that a whole number of bins gives.
const LIKELY: f64 = 3.0;
/// What a place may be off by rounding.
const ROUNDING: f64 = 1e-3;
/// How far an exact step may be off the slope through all moments, as a share of it.
const NEAR: f64 = 0.05;
/// What counts as strongest, as a share of the most.
const NEARLY: f64 = 0.9;
/// Nodes named to who asked about one without axes.
const NAMED: usize = 6;

/// A node with its axes.
pub struct At {
    node: String,
    axes: Axes,
    /// Which axes of what it gives, the batch's left out, are frequency and time.
    frequency: usize,
    time: usize,
    /// What it gives for silence, if that is the same everywhere.
    silence: Option<f64>,
}

/// What a network is given to find out where a node has it.
struct Probe {
    /// In seconds, or Hz.
    at: f64,
    features: ArrayD<f32>,
}

impl At {
    /// The axes of what a node gives for such an input, by clicks and tones, or of features by single frames and rows.
    ///
    /// # Errors
    /// If there is no such node, or its axes follow neither time nor frequency; some that do are named.
    pub fn measured(model: &Model, node: &str, input: &Input, device: &Device) -> Result<Self> {
        let probes = Probes::new(model, input, device);
        let is_there = model.graph.architecture().node(node).is_some();
        if is_there && let Some(mut at) = probes.axes(model, &[node])?.pop().flatten() {
            let middle = at.axes.time(at.axes.frames.unwrap_or(0) / 2);
            if let Some(step) = probes.step(model, &at)? {
                // It turns about the middle, where the line is the surest.
                at.axes.first = middle - (middle - at.axes.first) * step / at.axes.step;
                at.axes.step = step;
            }
            return Ok(at);
        }
        let problem = match is_there {
            true => "of what it gives no two axes follow time and frequency, as probes show",
            false => "there is no such node",
        };
        let first = input.features.select(Axis(0), &[0]);
        let first = to_tensor(&model.graph, first, device)?;
        let is_large = |shape: &[usize]| {
            let sizes = shape.iter().skip(1);
            sizes.filter(|size| **size > 2).count() >= 2
        };
        let trace = model.graph.trace(&first)?;
        let all = model.graph.nodes();
        let names = all.filter(|(id, _)| is_large(trace.shape(*id).dims()));
        let names: Vec<&str> = names.map(|(_, node)| node.name.as_str()).collect();
        let others = probes.thinned().axes(model, &names)?.into_iter().flatten();
        let parts = others.filter(|at| model.graph.behind(&at.node, &first).is_ok());
        let parts: Vec<String> = parts.take(NAMED).map(|at| at.node).collect();
        let others = match parts.is_empty() {
            true => "none of this network's nodes has both: leave --at out".to_owned(),
            false => format!("nodes that have both are {}", parts.join(", ")),
        };
        Err(Error::Setting(format!("--at {node}: {problem}; {others}")))
    }

    /// The network from the node on, and the input as the node gives it.
    ///
    /// # Errors
    /// If the network's answer does not depend on the node alone.
    pub fn of(&self, model: &Model, input: &Input, device: &Device) -> Result<(Model, Input)> {
        let first = input.features.select(Axis(0), &[0]);
        let first = to_tensor(&model.graph, first, device)?;
        let (graph, _) = model.graph.behind(&self.node, &first)?;
        let front_end = model
            .front_end
            .inside(self.axes.clone(), self.silence)
            .map_err(speechlens_models::Error::from)?;
        let inside = Model {
            graph,
            front_end: front_end.into(),
            ..model.clone()
        };
        let heard = input.heard.as_ref().map(|heard| {
            let scale = input.axes.step / self.axes.step;
            let scaled = |place: usize| (place as f64 * scale).round() as usize;
            let frames = self.axes.frames.unwrap_or(usize::MAX);
            let place = |place: &speechlens_frontend::Place| {
                let (start, end) = (scaled(place.frames.start), scaled(place.frames.end));
                let mut place = place.clone();
                place.start = scaled(place.start);
                place.frames = start.min(frames)..end.min(frames);
                place
            };
            Heard {
                audio: heard.audio.clone(),
                places: heard.places.iter().map(place).collect(),
            }
        });
        let features = given(model, &[&self.node], input, device)?;
        let features = features.into_iter().next().unwrap_or_default();
        let inside_input = Input {
            name: input.name.clone(),
            features,
            silent: input.silent.clone(),
            single: input.single,
            heard,
            axes: self.axes.clone(),
            at: Some(self.node.clone()),
        };
        Ok((inside, inside_input))
    }

    /// An input as the node gives it, and what ways of explaining found of it, as pictures of frequency and time: other axes are added up,
    /// of the input their mean is taken.
    ///
    /// # Errors
    /// If they are not of the node.
    pub fn seen(&self, input: Input, answers: Vec<Answers>) -> Result<(Input, Vec<Answers>)> {
        let mut all = Vec::with_capacity(answers.len());
        for mut answers in answers {
            let (seen, _) = self.plane(&input.name, &answers.relevance)?;
            answers.explained = Some(answers.relevance);
            answers.relevance = seen.into_dyn();
            all.push(answers);
        }
        let (levels, others) = self.plane(&input.name, &input.features)?;
        let features = (levels / others as f32).into_dyn();
        Ok((Input { features, ..input }, all))
    }

    /// Values `[N, …]` of the node as `[N, frequencies, frames]`, with how many others were added up in each.
    fn plane(&self, name: &str, values: &ArrayD<f32>) -> Result<(Array3<f32>, usize)> {
        let (frequency, time) = (self.frequency + 1, self.time + 1);
        let mut axes: Vec<usize> = vec![0, frequency, time];
        axes.extend((1..values.ndim()).filter(|axis| ![frequency, time].contains(axis)));
        let turned = values.view().permuted_axes(axes);
        let mut turned = turned.as_standard_layout().into_owned();
        let mut others = 1;
        while turned.ndim() > 3 {
            others *= turned.len_of(Axis(3));
            turned = turned.sum_axis(Axis(3));
        }
        let plane = turned
            .into_dimensionality::<Ix3>()
            .map_err(|error| Error::input(name, error))?;
        Ok((plane, others))
    }
}

/// What nodes give for the windows of an input, `[N, …]` each: the outputs if none is named.
fn given(
    model: &Model,
    nodes: &[&str],
    input: &Input,
    device: &Device,
) -> Result<Vec<ArrayD<f32>>> {
    let array = |(_, values): (String, Tensor)| {
        let shape = values.dims().to_vec();
        let values = values.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        ArrayD::from_shape_vec(shape, values).map_err(|error| Error::input(&input.name, error))
    };
    let found = outputs(model, input, nodes, device)?;
    found.into_iter().map(array).collect()
}

/// Inputs of one window, each with one thing in it, and what stands for silence.
struct Probes<'a> {
    input: &'a Input,
    device: &'a Device,
    silence: ArrayD<f32>,
    /// By how much what is probed is above silence.
    raised: f32,
    moments: Vec<Probe>,
    tones: Vec<Probe>,
}

impl<'a> Probes<'a> {
    fn new(model: &Model, input: &'a Input, device: &'a Device) -> Self {
        let axes = &input.axes;
        let window = input.features.index_axis(Axis(0), 0);
        let silence = model.front_end.silence().unwrap_or(0.0) as f32;
        let mut probes = Probes {
            input,
            device,
            silence: ArrayD::from_elem(window.raw_dim(), silence),
            raised: loudest(window.view()),
            moments: Vec::new(),
            tones: Vec::new(),
        };
        let frames = window.len_of(probes.along());
        let moment = |number: usize| {
            // Not equally far apart: places are whole numbers.
            let within = (number as f64 * GOLDEN).fract();
            let share = EDGE + (1.0 - 2.0 * EDGE) * (number as f64 + within) / MOMENTS as f64;
            probes.click((share * frames as f64) as usize)
        };
        let moments = (0..MOMENTS).map(moment).collect();
        let tones = match axes.are_samples() {
            true => (0..TONES).map(|number| probes.tone(number)).collect(),
            false => {
                let rows = axes.frequencies.iter().enumerate();
                rows.map(|(row, at)| probes.row(row, *at)).collect()
            }
        };
        (probes.moments, probes.tones) = (moments, tones);
        probes
    }

    /// The input's axis of time.
    fn along(&self) -> Axis {
        Axis(self.silence.ndim() - 1)
    }

    /// One frame, or sample, raised.
    fn click(&self, frame: usize) -> Probe {
        let mut features = self.silence.clone();
        let mut there = features.index_axis_mut(self.along(), frame);
        there += self.raised;
        let at = self.input.axes.time(frame);
        Probe { at, features }
    }

    /// One row raised.
    fn row(&self, row: usize, at: f64) -> Probe {
        let mut features = self.silence.clone();
        let mut there = features.index_axis_mut(Axis(self.silence.ndim() - 2), row);
        there += self.raised;
        Probe { at, features }
    }

    /// One of the tones.
    fn tone(&self, number: usize) -> Probe {
        let rate = f64::from(self.input.axes.rate);
        let share = number as f64 / (TONES - 1) as f64;
        let at = LOWEST * (HIGHEST * rate / 2.0 / LOWEST).powf(share);
        let mut features = self.silence.clone();
        for (n, sample) in features.iter_mut().enumerate() {
            *sample += self.raised * (TAU * at * n as f64 / rate).sin() as f32;
        }
        Probe { at, features }
    }

    /// A fourth of them, for a first look.
    fn thinned(mut self) -> Self {
        let thin = |probes: Vec<Probe>| probes.into_iter().skip(1).step_by(4).collect();
        (self.moments, self.tones) = (thin(self.moments), thin(self.tones));
        self
    }

    /// What the network's outputs give for one window, without a batch.
    fn given(&self, model: &Model, features: &ArrayD<f32>) -> Result<Vec<ArrayD<f32>>> {
        let probe = Input {
            name: self.input.name.clone(),
            silent: vec![false],
            features: features.clone().insert_axis(Axis(0)),
            single: false,
            heard: None,
            axes: self.input.axes.clone(),
            at: None,
        };
        let found = given(model, &[], &probe, self.device)?;
        let without_batch = |values: ArrayD<f32>| values.index_axis_move(Axis(0), 0);
        Ok(found.into_iter().map(without_batch).collect())
    }

    /// Where each of the outputs, along each of its axes, has each probe: the middle of where it is strongest, in power.
    fn places(
        &self,
        model: &Model,
        probes: &[Probe],
        silence: &[ArrayD<f32>],
    ) -> Result<Vec<Array2<f64>>> {
        let places = |silence: &ArrayD<f32>| Array2::zeros((silence.ndim(), probes.len()));
        let mut all: Vec<Array2<f64>> = silence.iter().map(places).collect();
        for (number, probe) in probes.iter().enumerate() {
            let found = self.given(model, &probe.features)?;
            for ((given, silence), places) in found.into_iter().zip(silence).zip(&mut all) {
                let power = (given - silence).mapv(|x| f64::from(x).powi(2));
                for axis in 0..power.ndim() {
                    places[[axis, number]] = middle(&power, Axis(axis));
                }
            }
        }
        Ok(all)
    }

    /// From one place to the next along a node's axis of time, in seconds, exactly: between where a click first comes to a place near the
    /// beginning and where it first comes to one near the end. None if clicks do not come to one after the other.
    fn step(&self, model: &Model, at: &At) -> Result<Option<f64>> {
        let model = Model {
            graph: model.graph.up_to(&[&at.node])?,
            ..model.clone()
        };
        let mut silence = self.given(&model, &self.silence)?;
        let silence = silence.pop().unwrap_or_default();
        let place = |frame: usize| -> Result<f64> {
            let mut found = self.given(&model, &self.click(frame).features)?;
            let power = (found.pop().unwrap_or_default() - &silence).mapv(|x| f64::from(x).powi(2));
            // Where several frames have a click alike, their middle may be a rounding below.
            Ok(middle(&power, Axis(at.time)) + ROUNDING)
        };
        let step = self.input.axes.step;
        // About as many frames of the input as there are from place to place.
        let apart = (at.axes.step / step).ceil().max(1.0) as usize;
        let frames = self.silence.len_of(self.along());
        let edge = (EDGE * frames as f64) as usize;
        let last = frames.saturating_sub(edge + 2 * apart);
        if last <= edge + apart {
            return Ok(None);
        }
        let mut found = Vec::new();
        for (mut before, end) in [edge, last].map(|start| (start, start + 2 * apart)) {
            let wanted = place(before)?.floor() + 1.0;
            let mut behind = end;
            if place(behind)? < wanted {
                return Ok(None);
            }
            while behind - before > 1 {
                let between = before.midpoint(behind);
                match place(between)? >= wanted {
                    true => behind = between,
                    false => before = between,
                }
            }
            found.push((behind as f64, wanted));
        }
        let places = found[1].1 - found[0].1;
        let hop = (found[1].0 - found[0].0) / places;
        // A whole number of samples, if that is less than a place off over all.
        let whole = hop.round();
        let hop = if (hop - whole).abs() * places < hop {
            whole
        } else {
            hop
        };
        let exact = hop * step;
        // Not more apart from what many clicks say than their places' being whole numbers explains.
        let is_near = (exact / at.axes.step - 1.0).abs() < NEAR;
        Ok(is_near.then_some(exact))
    }

    /// The axes of nodes that follow time and frequency, of those that have both.
    fn axes(&self, model: &Model, nodes: &[&str]) -> Result<Vec<Option<At>>> {
        let model = Model {
            graph: model.graph.up_to(nodes)?,
            ..model.clone()
        };
        let silence = self.given(&model, &self.silence)?;
        let moments = self.places(&model, &self.moments, &silence)?;
        let tones = self.places(&model, &self.tones, &silence)?;
        let of_node = |place: usize| {
            self.of_node(
                nodes[place],
                &silence[place],
                &moments[place],
                &tones[place],
            )
        };
        Ok((0..nodes.len()).map(of_node).collect())
    }

    fn of_node(
        &self,
        node: &str,
        silence: &ArrayD<f32>,
        moments: &Array2<f64>,
        tones: &Array2<f64>,
    ) -> Option<At> {
        let seconds = |axis: usize| Line::of(answered(&self.moments, moments.row(axis))?);
        let (time, seconds) = best((0..silence.ndim()).map(|axis| (axis, seconds(axis))))?;
        // Of frequencies their order alone: they may lie on any scale.
        let order = |axis: usize| {
            let (places, _): (Vec<f64>, Vec<f64>) =
                answered(&self.tones, tones.row(axis))?.into_iter().unzip();
            let ranked = ranks(&places).into_iter().enumerate();
            Line::of(ranked.map(|(number, rank)| (rank, number as f64)).collect())
        };
        let others = (0..silence.ndim()).filter(|axis| *axis != time);
        let (frequency, _) = best(others.map(|axis| (axis, order(axis))))?;
        let pairs = answered(&self.tones, tones.row(frequency))?;
        let rate = f64::from(self.input.axes.rate);
        let first = silence.first().copied()?;
        let is_same = silence
            .iter()
            .all(|x| (x - first).abs() <= 1e-4 * first.abs());
        Some(At {
            node: node.to_owned(),
            axes: Axes {
                rate: self.input.axes.rate,
                first: seconds.at(0.0),
                step: seconds.slope,
                frames: Some(silence.len_of(Axis(time))),
                frequencies: frequencies(pairs, silence.len_of(Axis(frequency)), rate),
                value: node.to_owned(),
                is_complex: false,
            },
            frequency,
            time,
            silence: is_same.then_some(f64::from(first)),
        })
    }
}

/// Where probes were found, and what they were, without those that changed nothing, such as tones above the highest band; none if these
/// are most.
fn answered(probes: &[Probe], places: ArrayView1<f64>) -> Option<Vec<(f64, f64)>> {
    let all = places
        .iter()
        .zip(probes)
        .map(|(place, probe)| (*place, probe.at));
    let found: Vec<(f64, f64)> = all.filter(|(place, _)| place.is_finite()).collect();
    (2 * found.len() > probes.len()).then_some(found)
}

/// The axis whose line rises and fits best, if one fits well.
fn best(lines: impl Iterator<Item = (usize, Option<Line>)>) -> Option<(usize, Line)> {
    let rising = lines.filter_map(|(axis, line)| Some((axis, line?)));
    let fitting = rising.filter(|(_, line)| line.slope > 0.0 && line.fits >= FOLLOWS);
    fitting.max_by(|a, b| a.1.fits.total_cmp(&b.1.fits))
}

/// The middle along an axis of where there is nearly the most: of logarithms a tone raises all others too.
fn middle(power: &ArrayD<f64>, axis: Axis) -> f64 {
    let along: Vec<f64> = power.axis_iter(axis).map(|slice| slice.sum()).collect();
    let most = along.iter().copied().fold(0.0, f64::max);
    let strong = along
        .iter()
        .enumerate()
        .filter(|(_, power)| **power >= NEARLY * most);
    let (weight, sum) = strong.fold((0.0, 0.0), |(weight, sum), (place, power)| {
        (weight + power, sum + place as f64 * power)
    });
    sum / weight
}

/// The largest value of a window over its mean, so that a probe is as strong as what the network is used to.
fn loudest(window: ArrayViewD<f32>) -> f32 {
    let mean = window.mean().unwrap_or(0.0);
    let most = window.iter().map(|x| (x - mean).abs()).fold(0.0, f32::max);
    match most > 0.0 {
        true => most,
        false => 1.0,
    }
}

/// `y = at(x)`, by least squares.
struct Line {
    slope: f64,
    /// The slope's standard error.
    error: f64,
    /// Through which point it goes.
    mean: (f64, f64),
    /// The square of the correlation.
    fits: f64,
}

impl Line {
    /// None if all x or all y are the same.
    fn of(pairs: Vec<(f64, f64)>) -> Option<Line> {
        let count = pairs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let [mut xx, mut xy, mut yy] = [0.0; 3];
        for pair in &pairs {
            let (dx, dy) = (pair.0 - x, pair.1 - y);
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
        let (slope, fits) = (xy / xx, xy * xy / (xx * yy));
        fits.is_finite().then_some(Line {
            slope,
            error: ((yy / xx - slope * slope).max(0.0) / (count - 2.0).max(1.0)).sqrt(),
            mean: (x, y),
            fits,
        })
    }

    fn at(&self, x: f64) -> f64 {
        self.mean.1 + self.slope * (x - self.mean.0)
    }

    /// With this slope, if that is as likely as its own.
    fn or_with(self, slope: f64) -> Self {
        match (slope - self.slope).abs() <= LIKELY * self.error {
            true => Line { slope, ..self },
            false => self,
        }
    }
}

/// The rank of each value, of equal ones the mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: &f64| values.iter().filter(|other| *other < value).count() as f64;
    let alike = |value: &f64| values.iter().filter(|other| *other == value).count() as f64;
    values
        .iter()
        .map(|value| below(value) + (alike(value) - 1.0) / 2.0)
        .collect()
}

/// The frequency of each of so many places, of pairs of a place and a frequency: on a line if they lie on one, from 0 Hz on if that is
/// near, and then a whole number of places to the rate if that is as likely; else between those measured.
fn frequencies(mut pairs: Vec<(f64, f64)>, places: usize, rate: f64) -> Vec<f64> {
    let all = |line: &dyn Fn(f64) -> f64| {
        let places = 0..places;
        places.map(|place| line(place as f64)).collect::<Vec<_>>()
    };
    if let Some(line) = Line::of(pairs.clone())
        && line.fits >= LINE
        && line.slope > 0.0
    {
        return match line.at(0.0).abs() < line.slope / 2.0 {
            true => {
                let step = rate / (rate / line.slope).round().max(1.0);
                let line = line.or_with(step);
                all(&|place| line.slope * place)
            }
            false => all(&|place| line.at(place)),
        };
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    // What lies on one place is of its middle, and places that fall are one.
    let mut risen: Vec<(f64, f64, f64)> = Vec::new();
    for (place, hertz) in pairs {
        let mut here = (place, hertz, 1.0);
        while let Some(last) = risen.last()
            && (last.0 >= here.0 - 0.5 || last.1 >= here.1)
        {
            let sum = last.2 + here.2;
            let mean = |a: f64, b: f64| (a * last.2 + b * here.2) / sum;
            here = (mean(last.0, here.0), mean(last.1, here.1), sum);
            risen.pop();
        }
        risen.push(here);
    }
    let between = |place: f64| match risen.as_slice() {
        [] => place,
        [one] => one.1 + place - one.0,
        _ => {
            let after = risen
                .partition_point(|pair| pair.0 < place)
                .clamp(1, risen.len() - 1);
            let (a, b) = (risen[after - 1], risen[after]);
            a.1 + (b.1 - a.1) * (place - a.0) / (b.0 - a.0)
        }
    };
    let mut found = all(&between);
    // Below the lowest that was measured frequencies may have fallen under 0.
    let step = found
        .iter()
        .copied()
        .find(|hertz| *hertz > 0.0)
        .unwrap_or(1.0);
    let below = found.iter().filter(|hertz| **hertz <= 0.0).count();
    for (place, hertz) in found.iter_mut().take(below).enumerate() {
        *hertz = step * (place as f64 + 0.5) / (below as f64 + 0.5);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_on_a_line_are_told_by_it() {
        let pairs = (1..40).map(|n| {
            (
                f64::from(n * 4),
                f64::from(n) * 200.0 + 3.0 * f64::from(n % 3 - 1),
            )
        });
        let found = frequencies(pairs.collect(), 161, 16000.0);
        assert_eq!(found[0], 0.0);
        for (place, hertz) in found.iter().enumerate() {
            assert!(
                (hertz - 50.0 * place as f64).abs() < 0.01 * 50.0 * place as f64 + 1e-9,
                "{place}: {hertz}"
            );
        }
    }

    #[test]
    fn other_frequencies_lie_between_those_measured_and_rise() {
        let mel = |hertz: f64| 40.0 * (1.0 + hertz / 700.0).ln() / (1.0f64 + 8000.0 / 700.0).ln();
        let pairs = (0..48).map(|n| 50.0 * 152f64.powf(f64::from(n) / 47.0));
        let pairs = pairs.map(|hertz| (mel(hertz).round(), hertz)).collect();
        let found = frequencies(pairs, 40, 16000.0);
        assert!(
            found[0] > 0.0 && found.is_sorted_by(|a, b| a < b),
            "{found:?}"
        );
        for (place, hertz) in found.iter().enumerate().skip(3) {
            assert!((mel(*hertz) - place as f64).abs() < 1.0, "{place}: {hertz}");
        }
    }
}
