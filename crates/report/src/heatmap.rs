//! Pictures of arrays [frequency, time]: a spectrogram, its relevance, and what flipping marks or takes away.
//!
//! Row 0 is the lowest frequency and lies at the bottom.

use crate::axes::{Axes, Axis};
use crate::colormap::{Colormap, Rgb, blend};
use crate::frame::{BOTTOM, Frame, LEFT, TICK, TITLE, write};
use crate::palette::INK;
use crate::picture::{Area, Picture, Raster, UNITS, bold, drawing, text};
use crate::{Error, Result, number};
use image::{Rgb as Pixel, RgbImage};
use ndarray::{Array2, ArrayView, ArrayView2, Dimension};
use plotters::element::Rectangle;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

/// The quantile of |R| at which [`limit`] cuts.
const QUANTILE: f64 = 0.995;
/// The colour of a bin that flipping marks.
const MARKED: Rgb = [0xd1, 0x1a, 0x1a];
/// The colour of a bin that is no longer there.
const REMOVED: Rgb = [0xd5, 0xda, 0xe0];

/// Sizes in CSS pixels.
const PLOT: (i32, i32) = (264, 220);
const BAR: i32 = 11;
const BAR_GAP: i32 = 10;
/// Ticks and label of the bar; the same for all, so that panels beside each other are of one size.
const BAR_ROOM: i32 = 82;
/// The width of a panel.
pub(crate) const WIDTH: i32 = LEFT + PLOT.0 + BESIDE;
/// The room of a bar beside its plot.
pub(crate) const BESIDE: i32 = BAR_GAP + BAR + BAR_ROOM;
pub(crate) const HEAD: i32 = 26;
const KEY: i32 = 18;

/// One picture with its axes and colour bar.
#[derive(Debug, Clone)]
pub struct Panel {
    title: String,
    axes: Axes,
    /// One pixel a bin, low frequency at the bottom.
    bins: RgbImage,
    bar: Bar,
    /// What a flat colour means.
    key: Option<(Rgb, String)>,
}

/// The colours of a plot and the values that they stand for.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    axis: Axis,
    ticks: Vec<(f64, String)>,
    /// The colours from the lowest value to the highest.
    colours: Vec<Rgb>,
}

impl Bar {
    /// Draws the bar right of a plot.
    pub fn draw(&self, area: &Area, plot: Frame) -> Result<Raster> {
        let frame = Frame {
            left: plot.left + plot.width + BAR_GAP,
            width: BAR,
            ..plot
        };
        frame.draw_right(area, &self.axis, &self.ticks)?;
        let colours = Array2::from_shape_fn((self.colours.len(), 1), |(i, _)| self.colours[i]);
        Ok(raster(&image(&colours), frame))
    }
}

impl Panel {
    /// The spectrogram on its own. `unit` labels the colour bar: `level (dB)`.
    ///
    /// # Errors
    /// [`Error::Undrawable`] if the array is empty or holds a value that is not finite.
    pub fn spectrogram(axes: Axes, spectrogram: ArrayView2<f32>, unit: &str) -> Result<Self> {
        let (bins, bar) = level(spectrogram, unit, Colormap::level())?;
        Ok(Self::new(axes, bins, bar))
    }

    /// The relevance on its own, from −`limit` (blue, against) to `limit` (red, for); see [`limit`].
    ///
    /// # Errors
    /// As [`Panel::spectrogram`].
    pub fn relevance(axes: Axes, relevance: ArrayView2<f32>, limit: f32) -> Result<Self> {
        drawable(relevance, "relevance")?;
        let bins = relevance.mapv(|r| Colormap::relevance().at(relative(r, limit) / 2.0 + 0.5));
        let bar = relevance_bar(relevance, limit, |t| {
            Colormap::relevance().at(t / 2.0 + 0.5)
        });
        Ok(Self::new(axes, image(&bins), bar))
    }

    /// The relevance over the spectrogram in grey, the more opaque the larger it is.
    ///
    /// # Errors
    /// As [`Panel::spectrogram`], and [`Error::Shape`] if the shapes differ.
    pub fn overlay(
        axes: Axes,
        spectrogram: ArrayView2<f32>,
        relevance: ArrayView2<f32>,
        limit: f32,
    ) -> Result<Self> {
        drawable(relevance, "relevance")?;
        same_shape("relevance", relevance.dim(), spectrogram.dim())?;
        let (mut bins, _) = level(spectrogram, "", Colormap::grey())?;
        for ((row, column), &r) in relevance.indexed_iter() {
            let pixel = bin(&mut bins, row, column);
            pixel.0 = glaze(pixel.0, relative(r, limit));
        }
        // Over the grey of a middling level.
        let under = Colormap::grey().at(0.3);
        let bar = relevance_bar(relevance, limit, |t| glaze(under, t));
        Ok(Self::new(axes, bins, bar))
    }

    /// The spectrogram in grey, the bins of `mask` in red.
    ///
    /// # Errors
    /// As [`Panel::overlay`].
    pub fn marked(
        axes: Axes,
        spectrogram: ArrayView2<f32>,
        unit: &str,
        mask: ArrayView2<bool>,
    ) -> Result<Self> {
        Self::painted(
            axes,
            spectrogram,
            unit,
            Colormap::grey(),
            mask,
            MARKED,
            "marked",
        )
    }

    /// The spectrogram in grey, the bins of `mask` in red: they are set to a value, in words, that may be found elsewhere too.
    ///
    /// # Errors
    /// As [`Panel::overlay`].
    pub fn flipped(
        axes: Axes,
        spectrogram: ArrayView2<f32>,
        unit: &str,
        mask: ArrayView2<bool>,
        value: &str,
    ) -> Result<Self> {
        let verb = format!("set to {value}");
        let grey = Colormap::grey();
        Self::painted(axes, spectrogram, unit, grey, mask, MARKED, &verb)
    }

    /// The spectrogram without the bins of `mask`.
    ///
    /// # Errors
    /// As [`Panel::overlay`].
    pub fn removed(
        axes: Axes,
        spectrogram: ArrayView2<f32>,
        unit: &str,
        mask: ArrayView2<bool>,
    ) -> Result<Self> {
        Self::painted(
            axes,
            spectrogram,
            unit,
            Colormap::level(),
            mask,
            REMOVED,
            "removed",
        )
    }

    /// The same panel with a title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The panel as a picture of its own.
    ///
    /// # Errors
    /// [`Error::Drawing`].
    pub fn picture(&self) -> Result<Picture> {
        grid(std::slice::from_ref(self), 1)
    }

    fn new(axes: Axes, bins: RgbImage, bar: Bar) -> Self {
        Self {
            title: String::new(),
            axes,
            bins,
            bar,
            key: None,
        }
    }

    fn painted(
        axes: Axes,
        spectrogram: ArrayView2<f32>,
        unit: &str,
        map: &Colormap,
        mask: ArrayView2<bool>,
        colour: Rgb,
        verb: &str,
    ) -> Result<Self> {
        same_shape("mask", mask.dim(), spectrogram.dim())?;
        let (mut bins, bar) = level(spectrogram, unit, map)?;
        let mut count = 0;
        for ((row, column), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
            bin(&mut bins, row, column).0 = colour;
            count += 1;
        }
        let percent = number::significant(100.0 * count as f64 / mask.len() as f64, 3);
        let key = format!("{verb}: {percent} % of the bins");
        Ok(Self {
            key: Some((colour, key)),
            ..Self::new(axes, bins, bar)
        })
    }

    fn head(&self) -> i32 {
        let title = if self.title.is_empty() { 10 } else { HEAD };
        title + if self.key.is_some() { KEY } else { 0 }
    }

    /// Draws the panel with its upper left corner at (`left`, `top`), its plot starting `head` below that.
    fn draw(&self, area: &Area, left: i32, top: i32, head: i32) -> Result<[Raster; 2]> {
        let frame = Frame {
            left: left + LEFT,
            top: top + head,
            width: PLOT.0,
            height: PLOT.1,
        };
        let start = frame.left * UNITS;
        let style = bold(TITLE, INK).pos(Pos::new(HPos::Left, VPos::Center));
        write(area, &self.title, &style, (start, (top + HEAD / 2) * UNITS))?;
        if let Some(([r, g, b], words)) = &self.key {
            let middle = (frame.top - KEY / 2) * UNITS;
            let swatch = [
                (start, middle - 5 * UNITS),
                (start + 10 * UNITS, middle + 5 * UNITS),
            ];
            let fill = RGBColor(*r, *g, *b).filled();
            area.draw(&Rectangle::new(swatch, fill)).map_err(drawing)?;
            let style = text(TICK, INK).pos(Pos::new(HPos::Left, VPos::Center));
            write(area, words, &style, (start + 15 * UNITS, middle))?;
        }
        frame.draw(area, &self.axes, false)?;
        Ok([raster(&self.bins, frame), self.bar.draw(area, frame)?])
    }
}

/// Panels side by side, `columns` a row.
///
/// # Errors
/// [`Error::Undrawable`] without panels, [`Error::Drawing`].
pub fn grid(panels: &[Panel], columns: usize) -> Result<Picture> {
    let columns = columns.clamp(1, panels.len().max(1));
    let rows: Vec<&[Panel]> = panels.chunks(columns).collect();
    if panels.is_empty() {
        return Err(undrawable("grid", "it has no panels"));
    }
    let heads: Vec<i32> = rows
        .iter()
        .map(|row| row.iter().map(Panel::head).max().unwrap_or(0))
        .collect();
    let height: i32 = heads.iter().map(|head| head + PLOT.1 + BOTTOM).sum();
    Picture::draw((WIDTH * columns as i32) as u32, height as u32, |area| {
        let mut rasters = Vec::new();
        let mut top = 0;
        for (row, head) in rows.iter().zip(&heads) {
            for (column, panel) in row.iter().enumerate() {
                rasters.extend(panel.draw(area, column as i32 * WIDTH, top, *head)?);
            }
            top += head + PLOT.1 + BOTTOM;
        }
        Ok(rasters)
    })
}

/// The range of a relevance picture: the 99.5 % quantile of |R|, so that single bins do not swallow the picture. The
/// largest |R| where that quantile is 0, and 1 where all relevance is.
pub fn limit<D: Dimension>(relevance: ArrayView<f32, D>) -> f32 {
    let mut sizes: Vec<f32> = relevance.iter().map(|r| r.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let Some(&largest) = sizes.last() else {
        return 1.0;
    };
    let index = ((sizes.len() - 1) as f64 * QUANTILE).round() as usize;
    [sizes[index], largest, 1.0]
        .into_iter()
        .find(|&candidate| candidate > 0.0)
        .unwrap_or(1.0)
}

/// The levels as pixels and their colour bar.
fn level(spectrogram: ArrayView2<f32>, unit: &str, map: &Colormap) -> Result<(RgbImage, Bar)> {
    drawable(spectrogram, "spectrogram")?;
    let low = spectrogram.fold(f32::INFINITY, |a, &b| a.min(b));
    let high = spectrogram.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let span = if high > low { high - low } else { 1.0 };
    let bins = spectrogram.mapv(|v| map.at((v - low) / span));
    let axis = Axis::linear(unit, low as f64, (low + span) as f64);
    let bar = Bar {
        ticks: axis.ticks(),
        axis,
        colours: (0..=255).map(|i| map.at(i as f32 / 255.0)).collect(),
    };
    Ok((image(&bins), bar))
}

/// The bar of a relevance picture. A power of ten stands in its label, to keep the ticks short, and its ends say where
/// they stand for everything beyond.
pub(crate) fn relevance_bar<D: Dimension>(
    relevance: ArrayView<f32, D>,
    limit: f32,
    colour: impl Fn(f32) -> Rgb,
) -> Bar {
    let beyond = relevance.iter().any(|r| r.abs() > limit);
    let (least, most) = if beyond { ("≤ ", "≥ ") } else { ("", "") };
    let (factor, unit) = number::factor(limit as f64);
    let tick = |share: f64| number::significant(share * limit as f64 / factor, 2);
    Bar {
        axis: Axis::linear(format!("relevance{unit}"), -limit as f64, limit as f64),
        ticks: vec![
            (0.0, format!("{least}{}", tick(-1.0))),
            (0.25, tick(-0.5)),
            (0.5, tick(0.0)),
            (0.75, tick(0.5)),
            (1.0, format!("{most}{}", tick(1.0))),
        ],
        colours: (-128..=128).map(|i| colour(i as f32 / 128.0)).collect(),
    }
}

/// `r` as a share of `limit`, in [−1, 1].
pub(crate) fn relative(r: f32, limit: f32) -> f32 {
    match limit > 0.0 {
        true => (r / limit).clamp(-1.0, 1.0),
        false => 0.0,
    }
}

/// A relevance of `t` in [−1, 1] over `under`. The root lifts small values, which most of a heatmap's are.
pub(crate) fn glaze(under: Rgb, t: f32) -> Rgb {
    let over = Colormap::relevance().at(0.5 + 0.4 * t.signum());
    blend(under, over, t.abs().sqrt())
}

fn image(bins: &Array2<Rgb>) -> RgbImage {
    let (rows, columns) = bins.dim();
    RgbImage::from_fn(columns as u32, rows as u32, |x, y| {
        Pixel(bins[[rows - 1 - y as usize, x as usize]])
    })
}

/// The pixel of a bin.
fn bin(image: &mut RgbImage, row: usize, column: usize) -> &mut Pixel<u8> {
    let y = image.height() - 1 - row as u32;
    image.get_pixel_mut(column as u32, y)
}

/// The image enlarged by whole numbers to about the pixels of a dense screen, so that a bin keeps its edges and a
/// reader's browser only ever has to make it smaller.
fn raster(bins: &RgbImage, frame: Frame) -> Raster {
    let times = |size: u32, target: i32| (target as u32 * 3).div_ceil(size).clamp(1, 8);
    let (across, down) = (
        times(bins.width(), frame.width),
        times(bins.height(), frame.height),
    );
    let (width, height) = (bins.width() * across, bins.height() * down);
    Raster {
        image: RgbImage::from_fn(width, height, |x, y| bins[(x / across, y / down)]),
        left: frame.left * UNITS,
        top: frame.top * UNITS,
        width: frame.width * UNITS,
        height: frame.height * UNITS,
    }
}

pub(crate) fn drawable<D: Dimension>(array: ArrayView<f32, D>, what: &str) -> Result<()> {
    if array.is_empty() {
        return Err(undrawable(what, "it is empty"));
    }
    match array.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(undrawable(what, "it holds a value that is not finite")),
    }
}

pub(crate) fn undrawable(what: &str, why: &'static str) -> Error {
    Error::Undrawable {
        what: what.into(),
        why,
    }
}

fn same_shape(what: &'static str, found: (usize, usize), expected: (usize, usize)) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Shape {
            what,
            found,
            expected,
        }),
    }
}
