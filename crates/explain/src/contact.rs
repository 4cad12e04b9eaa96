//! Many explanations on one page: a contact sheet, and the mean heatmap of each class.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;
use speechlens_models::Model;
use speechlens_report::page::Thumbnail;
use speechlens_report::{Block, Page, Section};

use crate::files::SUREST;

use crate::show::{called, panel};
use crate::{Explanation, Input, Result};

/// What is known of the inputs so far.
#[derive(Default)]
pub struct Sheet {
    /// By the class that a window was explained for, and the way of explaining.
    sums: BTreeMap<(usize, String), Sum>,
    /// By the class that most windows of an input were taken for.
    thumbnails: BTreeMap<usize, Vec<Thumbnail>>,
}

/// The sum of windows.
struct Sum {
    features: ArrayD<f32>,
    relevance: ArrayD<f32>,
    windows: usize,
}

impl Sheet {
    /// Adds an input's explanations, whose files are in `folder` below the sheet's, those of several ways in its folders `ways`.
    ///
    /// # Errors
    /// If shapes differ.
    pub fn add(
        &mut self,
        input: &Input,
        explanations: &[Explanation],
        folder: &Path,
        ways: &[String],
    ) -> Result<()> {
        for explanation in explanations {
            let answers = explanation.answers;
            let windows = input.features.outer_iter();
            let windows = windows.zip(answers.relevance.outer_iter());
            let windows = windows.zip(&answers.targets).zip(&input.silent);
            for (((features, relevance), target), _) in windows.filter(|(_, silent)| !**silent) {
                let key = (*target as usize, explanation.name());
                // Inputs of several lengths have no mean.
                if input.axes.frames.is_none() {
                    continue;
                }
                let sum = self.sums.entry(key).or_insert_with(|| Sum {
                    features: ArrayD::zeros(features.raw_dim()),
                    relevance: ArrayD::zeros(relevance.raw_dim()),
                    windows: 0,
                });
                sum.features += &features;
                sum.relevance += &relevance;
                sum.windows += 1;
            }
        }
        let Some(first) = explanations.first() else {
            return Ok(());
        };
        let model = first.explainer.model();
        let (class, most, surest) = first.answers.majority(model, input);
        let (picture, caption) = match (input.len(), &input.heard) {
            (1, _) => ("heatmap.png", first.answers.says(model, 0)),
            (windows, heard) => {
                let (start, end) = input.span(surest);
                let shown = match heard {
                    Some(_) => format!("{start:.2}–{end:.2} s"),
                    None => format!("window {surest}"),
                };
                (
                    SUREST,
                    format!("{most} of {windows} windows; shown: {shown}, the surest"),
                )
            }
        };
        let below = |name: &str| {
            let path = folder.join(name);
            let parts = path
                .components()
                .map(|part| part.as_os_str().to_string_lossy());
            parts.collect::<Vec<_>>().join("/")
        };
        let picture = match ways {
            [way, _, ..] => below(&format!("{way}/{picture}")),
            _ => below(picture),
        };
        self.thumbnails.entry(class).or_default().push(Thumbnail {
            page: below("index.html"),
            picture,
            name: input.name.clone(),
            caption,
        });
        Ok(())
    }

    /// The page. Thumbnails are the heatmaps beside it, of inputs of several windows that of the surest one.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn page(self, model: &Model, model_name: &str, inputs: &[Input]) -> Result<Page> {
        let mut sections = Vec::new();
        let mean = match inputs.first() {
            Some(input) if !input.axes.are_samples() => self.means(model, input)?,
            // Waveforms that are added up cancel each other.
            _ => Vec::new(),
        };
        if !mean.is_empty() {
            sections.push(Section {
                id: "means".into(),
                title: "Mean heatmap of each class".into(),
                blocks: mean,
            });
        }
        for (class, thumbnails) in self.thumbnails {
            sections.push(Section {
                id: format!("class-{class}"),
                title: match model.task.probability() {
                    None => model.classes()[class].clone(),
                    Some(_) => {
                        format!("Taken for {}: {}", model.classes()[class], thumbnails.len())
                    }
                },
                blocks: vec![Block::Thumbnails(thumbnails)],
            });
        }
        Ok(Page {
            title: format!("{} recordings explained", inputs.len()),
            lead: "Each picture leads to its page, where it can be pointed at and listened to."
                .into(),
            facts: vec![("model".into(), called(model_name, model))],
            sections,
            ..Page::default()
        })
    }

    fn means(&self, model: &Model, input: &Input) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        for ((class, way), sum) in &self.sums {
            let count = sum.windows as f32;
            let (features, relevance) = (&sum.features / count, &sum.relevance / count);
            let class = &model.classes()[*class];
            let panel = panel(input, 0.0, features.view(), relevance.view())?;
            let panel = panel.titled(format!("relevance for {class}"));
            let windows = match sum.windows {
                1 => "one window".to_owned(),
                windows => format!("{windows} windows"),
            };
            blocks.push(Block::figure(
                panel.picture()?,
                format!("Mean relevance for {class} over the mean input"),
                format!("{way}: the mean over {windows}, each explained for {class}."),
            ));
        }
        Ok(blocks)
    }
}
