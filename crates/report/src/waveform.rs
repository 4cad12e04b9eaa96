//! Waveforms over time, each sample in the colour of its relevance.

use image::RgbImage;
use ndarray::ArrayView1;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use resvg::tiny_skia::{Color, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Stroke, Transform};

use crate::axes::{Axes, Axis};
use crate::colormap::{Colormap, Rgb};
use crate::frame::{BOTTOM, Frame, LEFT, TITLE, write};
use crate::heatmap::{
    BESIDE, Bar, HEAD, WIDTH, drawable, glaze, relative, relevance_bar, undrawable,
};
use crate::palette::INK;
use crate::picture::{Area, PNG_DENSITY, Picture, Raster, UNITS, bold};
use crate::{Error, Result};

/// Sizes in CSS pixels. A trace is as wide as two heatmaps.
const PLOT: (i32, i32) = (2 * WIDTH - LEFT - BESIDE, 170);
/// The width of the line.
const LINE: f32 = 0.9;
/// The grey of a sample without relevance, as a level.
const GREY: f32 = 0.45;
/// Room above the highest sample and below the lowest, as a share of their distance.
const MARGIN: f32 = 0.06;

/// A waveform with its axes and colour bar.
#[derive(Debug, Clone)]
pub struct Trace {
    title: String,
    axes: Axes,
    /// Each sample's place in the plot, in 0..1, the height from above, and its relevance as a share of the limit.
    samples: Vec<(f32, f32, f32)>,
    bar: Bar,
}

impl Trace {
    /// A waveform of `seconds`, its samples from −`limit` (blue, against) over grey to `limit` (red, for); see
    /// [`limit`](crate::limit). `amplitude` labels the upright axis.
    ///
    /// # Errors
    /// [`Error::Undrawable`] if an array is empty or holds a value that is not finite, [`Error::Shape`] if their lengths differ.
    pub fn new(
        seconds: f64,
        amplitude: &str,
        waveform: ArrayView1<f32>,
        relevance: ArrayView1<f32>,
        limit: f32,
    ) -> Result<Self> {
        drawable(waveform, "waveform")?;
        drawable(relevance, "relevance")?;
        if relevance.len() != waveform.len() {
            return Err(Error::Shape {
                what: "relevance",
                found: (1, relevance.len()),
                expected: (1, waveform.len()),
            });
        }
        // Zero is always shown.
        let low = waveform.fold(0f32, |low, sample| low.min(*sample));
        let high = waveform.fold(0f32, |high, sample| high.max(*sample));
        let room = if high > low {
            MARGIN * (high - low)
        } else {
            1.0
        };
        let (low, high) = (low - room, high + room);
        let count = waveform.len() as f32;
        let place = |(n, (sample, relevance)): (usize, (&f32, &f32))| {
            let height = (high - sample) / (high - low);
            (n as f32 / count, height, relative(*relevance, limit))
        };
        let samples = waveform.iter().zip(relevance).enumerate().map(place);
        Ok(Self {
            title: String::new(),
            axes: Axes {
                x: Axis::linear("time (s)", 0.0, seconds),
                y: Axis::linear(amplitude, f64::from(low), f64::from(high)),
            },
            samples: samples.collect(),
            bar: relevance_bar(relevance, limit, colour),
        })
    }

    /// The same trace, `seconds` later.
    pub fn later(mut self, seconds: f64) -> Self {
        self.axes = self.axes.later(seconds);
        self
    }

    /// The same trace with a title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    fn head(&self) -> i32 {
        if self.title.is_empty() { 10 } else { HEAD }
    }

    /// Draws the trace with its upper left corner at (0, `top`).
    fn draw(&self, area: &Area, top: i32) -> Result<[Raster; 2]> {
        let frame = Frame {
            left: LEFT,
            top: top + self.head(),
            width: PLOT.0,
            height: PLOT.1,
        };
        let style = bold(TITLE, INK).pos(Pos::new(HPos::Left, VPos::Center));
        write(
            area,
            &self.title,
            &style,
            (LEFT * UNITS, (top + HEAD / 2) * UNITS),
        )?;
        frame.draw(area, &self.axes, false)?;
        let line = Raster {
            image: self.line()?,
            left: frame.left * UNITS,
            top: frame.top * UNITS,
            width: frame.width * UNITS,
            height: frame.height * UNITS,
        };
        Ok([line, self.bar.draw(area, frame)?])
    }

    /// The line as pixels: thousands of strokes are too many for a page. Many samples share a pixel; the most relevant ones lie on
    /// top.
    fn line(&self) -> Result<RgbImage> {
        let size = [PLOT.0, PLOT.1].map(|side| side as f32 * PNG_DENSITY);
        let no_size = || Error::Drawing("the picture has no size".into());
        let mut pixels = Pixmap::new(size[0] as u32, size[1] as u32).ok_or_else(no_size)?;
        pixels.fill(Color::WHITE);
        let at = |n: usize| (self.samples[n].0 * size[0], self.samples[n].1 * size[1]);
        let between = |a: (f32, f32), b: (f32, f32)| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
        let stroke = Stroke {
            width: LINE * PNG_DENSITY,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.sort_by(|a, b| {
            let size = |n: &usize| self.samples[*n].2.abs();
            size(a).total_cmp(&size(b))
        });
        for n in order {
            let here = at(n);
            let before = between(at(n.saturating_sub(1)), here);
            let after = between(here, at((n + 1).min(self.samples.len() - 1)));
            let mut path = PathBuilder::new();
            path.move_to(before.0, before.1);
            path.line_to(here.0, here.1);
            path.line_to(after.0, after.1);
            let Some(path) = path.finish() else { continue };
            let mut paint = Paint::default();
            let [r, g, b] = colour(self.samples[n].2);
            paint.set_color_rgba8(r, g, b, 255);
            pixels.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
        let colours = pixels.pixels().iter();
        let colours = colours.flat_map(|p| [p.red(), p.green(), p.blue()]);
        RgbImage::from_raw(pixels.width(), pixels.height(), colours.collect()).ok_or_else(no_size)
    }
}

/// The colour of a relevance in [−1, 1].
fn colour(relevance: f32) -> Rgb {
    glaze(Colormap::grey().at(GREY), relevance)
}

/// Traces under each other.
///
/// # Errors
/// [`Error::Undrawable`] without traces, [`Error::Drawing`].
pub fn stack(traces: &[Trace]) -> Result<Picture> {
    if traces.is_empty() {
        return Err(undrawable("stack", "it has no traces"));
    }
    let height = |trace: &Trace| trace.head() + PLOT.1 + BOTTOM;
    let all: i32 = traces.iter().map(height).sum();
    Picture::draw(2 * WIDTH as u32, all as u32, |area| {
        let mut rasters = Vec::new();
        let mut top = 0;
        for trace in traces {
            rasters.extend(trace.draw(area, top)?);
            top += height(trace);
        }
        Ok(rasters)
    })
}
