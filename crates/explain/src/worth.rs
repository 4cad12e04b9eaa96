//! What a picture is worth, in words and as a chart.

use serde_json::{Value, json};
use speechlens_report::number::fixed;
use speechlens_report::{Axes, Axis, Chart, Series, Worth};

use crate::{Deletion, Explanation, Input, Result, tested};

/// What the words compare, in percent of the bins.
const TOLD: f64 = 10.0;

impl Deletion {
    /// As it stands in a summary. A score that is no number is null.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "window": self.window, "reference": self.reference, "segment": self.segment, "bins": self.bins, "gone": self.gone,
            "most_relevant_first": self.most, "least_relevant_first": self.least, "by_lot": self.lots,
        })
    }

    /// What goes, in many.
    fn things(&self) -> String {
        match self.segment {
            Some(seconds) => format!("segments of {:.0} ms", 1e3 * seconds),
            None => "bins".into(),
        }
    }

    /// What was measured, and what follows.
    fn verdict(&self, score: &str) -> String {
        let inner = 1..self.gone.len() - 1;
        let far = |step: &usize| (self.percent(*step) - TOLD).abs();
        let Some(step) = inner.min_by(|a, b| far(a).total_cmp(&far(b))) else {
            return format!("There are too few {} to take some away.", self.things());
        };
        let (before, after) = (self.most[0], self.most[step]);
        let [_, lot, _] = self.by_lot(step);
        let largest = [before, after, lot].map(f64::abs).into_iter();
        let largest = largest.fold(f64::MIN_POSITIVE, f64::max);
        let decimals = (2.0 - largest.log10().floor()).clamp(0.0, 9.0) as usize;
        let number = |value| fixed(value, decimals);
        let moves = match after < before {
            true => "falls",
            false => "does not fall: it goes",
        };
        let margin = self.margin();
        let follows = match (margin > 1.0, margin > 0.0) {
            (true, _) => {
                "Over all steps it is lower than by lot, by more than lots differ: what the picture shows matters to the network."
            }
            (_, true) => {
                "Over all steps it is lower than by lot, but by no more than lots differ: that may be chance."
            }
            _ => {
                "Over all steps it is no lower than by lot: on this recording the picture is no better than chance."
            }
        };
        format!(
            "Without the {} % of {} that are the most relevant, {score} {moves} from {} to {}; without as many by lot, to {}. {follows}",
            fixed(self.percent(step), 0),
            self.things(),
            number(before),
            number(after),
            number(lot),
        )
    }

    fn chart(&self, score: &str) -> Chart {
        let percent: Vec<f64> = (0..self.gone.len()).map(|n| self.percent(n)).collect();
        let line = |scores: &[f64]| -> Vec<(f64, f64)> {
            percent
                .iter()
                .copied()
                .zip(scores.iter().copied())
                .collect()
        };
        let lots: Vec<[f64; 3]> = (0..percent.len()).map(|step| self.by_lot(step)).collect();
        let means: Vec<f64> = lots.iter().map(|[_, mean, _]| *mean).collect();
        let band = percent.iter().zip(&lots);
        let band = band.map(|(percent, [low, _, high])| (*percent, *low, *high));
        let band = band.filter(|(_, low, high)| low.is_finite() && high.is_finite());
        let least = percent.get(1).copied().unwrap_or(1.0);
        Chart {
            title: String::new(),
            axes: Axes {
                x: Axis::log_with_zero(format!("{} taken away (%)", self.things()), least, 100.0),
                y: Axis::linear(score, self.most[0], self.most[0]),
            },
            series: vec![
                Series::new("most relevant first", line(&self.most)),
                Series::new("by lot", line(&means)).with_band(band.collect()),
                Series::new("least first", line(&self.least)),
            ],
        }
    }

    fn about(&self, input: &Input) -> String {
        let window = match (input.len(), &input.heard) {
            (1, _) => String::new(),
            (_, Some(_)) => {
                let (start, end) = input.span(self.window);
                format!(" Tested where the answer is the highest, {start:.2}–{end:.2} s.")
            }
            (_, None) => format!(
                " Tested where the answer is the highest, in input {}.",
                self.window
            ),
        };
        format!(
            "What is taken away is set to {}, which stands for “nothing here”; what has that value already does not count. By lot: the mean of {} lots and their range.{window}",
            fixed(self.reference, 0),
            self.lots.len()
        )
    }
}

impl Explanation<'_> {
    /// What the picture is worth, if that was tested.
    pub(crate) fn worth(&self, input: &Input) -> Result<Option<Worth>> {
        let Some(deletion) = &self.answers.deletion else {
            return Ok(None);
        };
        let score = self.asked_number(deletion.window);
        let label = score.strip_prefix("the ").unwrap_or(&score);
        let verdict = deletion.verdict(&score);
        let chart = deletion.chart(label).picture()?;
        let method = self.explainer.method();
        let tested = tested::told(self.explainer.model(), method);
        let about = deletion.about(input);
        Ok(Some(Worth::new(verdict, about, tested, &chart)))
    }
}
