//! Heatmaps over spectrograms, and the bins that matter most.

use anyhow::{Context, Result};
use candle_core::IndexOp;
use ndarray::Array2;
use speechlens_data::Sex;
use speechlens_eval::flip::{Order, counts, ranking};
use speechlens_frontend::thesis::{FLOOR_DB, HOP, RATE, SIZE, WINDOW};
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::page::Block;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::Thesis;

use super::flipping::BINS;
use super::{Explainer, Trial, level_name};
use crate::shared::Lab;

/// The frequency that parts low from high in the numbers beside heatmaps: above F0 and the first formants' bulk.
const LOW_HZ: f64 = 1000.0;

/// The axes of a spectrogram.
pub fn axes() -> Axes {
    let seconds = ((SIZE - 1) * HOP) as f64 / f64::from(RATE);
    Axes::spectrogram(seconds, frequency(SIZE))
}

/// The frequency of a row, in Hz.
fn frequency(row: usize) -> f64 {
    row as f64 * f64::from(RATE) / WINDOW as f64
}

/// `[frequency, time]`
pub fn matrix(tensor: &candle_core::Tensor) -> Result<Array2<f32>> {
    let (rows, columns) = tensor.dims2()?;
    Ok(Array2::from_shape_vec(
        (rows, columns),
        tensor.flatten_all()?.to_vec1()?,
    )?)
}

/// Whether each bin is among the first `count` of an order.
pub fn mask(
    order: Order,
    spectrogram: &Array2<f32>,
    relevance: &Array2<f32>,
    count: usize,
) -> Array2<bool> {
    let flat = |array: &Array2<f32>| array.iter().copied().collect::<Vec<_>>();
    let mut mask = Array2::from_elem(spectrogram.dim(), false);
    for place in &ranking(order, &flat(spectrogram), &flat(relevance), 0, 0)[..count] {
        mask[(*place as usize / SIZE, *place as usize % SIZE)] = true;
    }
    mask
}

/// A recording of the test.
pub struct Example {
    pub place: usize,
    pub sex: Sex,
    pub id: String,
    pub spectrogram: Array2<f32>,
}

impl Example {
    /// The first test recording of a sex that is classified right, or the first if none is.
    pub fn of(trial: &Trial, sex: Sex) -> Result<Self> {
        let data = &trial.data;
        let recordings = data.test.dataset.recordings();
        let of_sex = || (0..recordings.len()).filter(|place| recordings[*place].sex == Some(sex));
        let place = of_sex()
            .find(|place| trial.trained.is_right(data, *place))
            .or_else(|| of_sex().next());
        let place = place.with_context(|| format!("the test has no {sex} recording"))?;
        Ok(Example {
            place,
            sex,
            id: recordings[place].id.clone(),
            spectrogram: data.test.dataset.plane(place)?,
        })
    }

    /// A woman's and a man's, in the thesis's order.
    pub fn of_each_sex(trial: &Trial) -> Result<[Self; 2]> {
        Ok([Self::of(trial, Sex::Female)?, Self::of(trial, Sex::Male)?])
    }

    /// Its relevance for the true sex, and that sex's logit.
    pub fn relevance(
        &self,
        lab: &Lab,
        trial: &Trial,
        explainer: &Explainer,
    ) -> Result<(Array2<f32>, f32)> {
        let explained = explainer.explain(&trial.data.test, &[self.place], lab.device)?;
        let logit = explained.logits.i((0, self.sex.index()))?.to_scalar()?;
        Ok((matrix(&explained.relevance.i((0, 0))?)?, logit))
    }

    /// The heatmap over the spectrogram.
    pub fn overlay(&self, title: String, relevance: &Array2<f32>) -> Result<Panel> {
        let (level, relevance) = (self.spectrogram.view(), relevance.view());
        Ok(Panel::overlay(axes(), level, relevance, limit(relevance))?.titled(title))
    }

    pub fn title(&self) -> String {
        format!("{}, recording {}", self.sex, self.id)
    }
}

/// The bins of a recording that matter most: as many as figure 6.2 marks.
pub struct Top {
    mask: Array2<bool>,
    /// How much of the positive relevance is on them, in percent.
    pub held: f64,
    /// How many of them lie low, in percent.
    pub low: f64,
    /// Half of them lie below, in Hz.
    pub median: f64,
    /// How many of them lie in frames that are silent throughout, in percent: mostly padding.
    pub silent: f64,
}

impl Top {
    pub fn of(spectrogram: &Array2<f32>, relevance: &Array2<f32>) -> Self {
        let count = counts(&[Thesis::published().flipping.marked], BINS)[0];
        let mask = mask(Order::MostRelevant, spectrogram, relevance, count);
        let positive = |kept: bool| {
            let bins = relevance.iter().zip(&mask);
            let bins = bins.filter(|(_, marked)| kept || **marked);
            bins.map(|(r, _)| f64::from(r.max(0.0))).sum::<f64>()
        };
        let marked = || mask.indexed_iter().filter(|(_, marked)| **marked);
        let percent = |count: usize| 100.0 * count as f64 / marked().count() as f64;
        let mut heights: Vec<f64> = marked().map(|((row, _), _)| frequency(row)).collect();
        heights.sort_by(f64::total_cmp);
        let is_silent = |frame: usize| {
            let mut levels = spectrogram.column(frame).into_iter();
            levels.all(|level| *level <= FLOOR_DB)
        };
        let silent: Vec<bool> = (0..spectrogram.ncols()).map(is_silent).collect();
        Top {
            held: 100.0 * positive(false) / positive(true),
            low: percent(heights.iter().filter(|hz| **hz < LOW_HZ).count()),
            median: heights[heights.len() / 2],
            silent: percent(marked().filter(|((_, frame), _)| silent[*frame]).count()),
            mask,
        }
    }

    /// The spectrogram with these bins set to 0.
    pub fn panel(&self, spectrogram: &Array2<f32>) -> Result<Panel> {
        let (level, mask) = (spectrogram.view(), self.mask.view());
        Ok(Panel::flipped(axes(), level, "level (dB)", mask, "0 dB")?)
    }
}

/// The headings of [`Top::cells`].
pub fn top_columns() -> Vec<String> {
    [
        "positive relevance on them, %".to_owned(),
        format!("below {} kHz, %", LOW_HZ / 1000.0),
        "median frequency, Hz".to_owned(),
        "in padding, %".to_owned(),
    ]
    .to_vec()
}

impl Top {
    pub fn cells(&self) -> [f64; 4] {
        [self.held, self.low, self.median, self.silent]
    }
}

/// The heatmaps of some recordings by one set of rules, as a picture in a file and on the page, and what they add up to.
pub fn overlays(
    lab: &Lab,
    trial: &Trial,
    explainer: &Explainer,
    examples: &[Example],
    id: &str,
    title: &str,
) -> Result<(Experiment, Block)> {
    let rows_below = (0..SIZE).filter(|row| frequency(*row) < LOW_HZ).count();
    let (mut panels, mut rows, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for example in examples {
        let (relevance, logit) = example.relevance(lab, trial, explainer)?;
        let positive = |part: ndarray::ArrayView2<f32>| {
            part.iter().map(|r| f64::from(r.max(0.0))).sum::<f64>()
        };
        let low = positive(relevance.slice(ndarray::s![..rows_below, ..]));
        let cells = [
            f64::from(logit),
            relevance.iter().map(|r| f64::from(*r)).sum(),
            100.0 * low / positive(relevance.view()),
        ];
        rows.push(Row::measured(example.sex.name(), cells));
        let panel = example.overlay(example.title(), &relevance)?;
        pictures.push((
            panel.picture()?,
            format!("Heatmap over the spectrogram of a {} speaker", example.sex),
        ));
        panels.push(panel);
    }
    let file = format!("{id}.png");
    grid(&panels, 2)?.write_png(&lab.folder.join(&file))?;
    let columns = [
        "logit of the true sex",
        "sum of relevance",
        "positive relevance below 1 kHz, %",
    ];
    let experiment = Experiment {
        id: id.to_owned(),
        title: title.to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
        files: vec![file],
    };
    let figure = Block::Figure {
        pictures,
        caption: format!(
            "{title}. Red speaks for the speaker's true sex, blue against it. Rules `{}`: relevance against {}.",
            explainer.preset,
            level_name(explainer.reference)
        ),
    };
    Ok((experiment, figure))
}
