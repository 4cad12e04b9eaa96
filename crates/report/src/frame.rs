//! The box that a picture or a chart stands in: border, ticks, labels.

use crate::Result;
use crate::axes::{Axes, Axis};
use crate::palette::{GRID, INK, MUTED};
use crate::picture::{Area, UNITS, drawing, text};
use plotters::element::PathElement;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, RGBColor, ShapeStyle, TextStyle};

/// Sizes of text in CSS pixels.
pub(crate) const TITLE: f64 = 13.0;
pub(crate) const LABEL: f64 = 12.0;
pub(crate) const TICK: f64 = 11.0;

/// Room in CSS pixels that labels take left of a frame and below it.
pub(crate) const LEFT: i32 = 56;
pub(crate) const BOTTOM: i32 = 44;

/// A rectangle in CSS pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

impl Frame {
    /// The point at `x` of the width and `y` of the height from below, in drawing units.
    pub fn at(&self, x: f64, y: f64) -> (i32, i32) {
        let along = |start: i32, share: f64, size: i32| {
            ((start as f64 + share * size as f64) * UNITS as f64).round() as i32
        };
        (
            along(self.left, x, self.width),
            along(self.top, 1.0 - y, self.height),
        )
    }

    /// Draws the border with ticks and labels of both axes, and grid lines if wanted.
    pub fn draw(&self, area: &Area, axes: &Axes, grid: bool) -> Result<()> {
        let x_ticks = axes.x.ticks();
        let y_ticks = axes.y.ticks();
        if grid {
            for (x, _) in &x_ticks {
                line(area, vec![self.at(*x, 0.0), self.at(*x, 1.0)], GRID, 1.0)?;
            }
            for (y, _) in &y_ticks {
                line(area, vec![self.at(0.0, *y), self.at(1.0, *y)], GRID, 1.0)?;
            }
        }
        self.border(area)?;
        for (x, label) in &x_ticks {
            let (px, py) = self.at(*x, 0.0);
            line(area, vec![(px, py), (px, py + 4 * UNITS)], INK, 1.0)?;
            let style = text(TICK, INK).pos(Pos::new(HPos::Center, VPos::Top));
            write(area, label, &style, (px, py + 7 * UNITS))?;
        }
        self.y_ticks(area, &y_ticks, false)?;
        let style = text(LABEL, INK).pos(Pos::new(HPos::Center, VPos::Top));
        let (px, py) = self.at(0.5, 0.0);
        write(area, axes.x.label(), &style, (px, py + 24 * UNITS))?;
        let (_, py) = self.at(0.0, 0.5);
        self.upright(area, axes.y.label(), (self.left - LEFT + 13) * UNITS, py)
    }

    /// Draws the border with ticks and label of one axis on its right side.
    pub fn draw_right(&self, area: &Area, axis: &Axis, ticks: &[(f64, String)]) -> Result<()> {
        self.border(area)?;
        self.y_ticks(area, ticks, true)?;
        let (px, py) = self.at(1.0, 0.5);
        let widest = ticks.iter().map(|(_, label)| width(label, TICK)).max();
        let out = widest.unwrap_or(0) + 20 * UNITS;
        self.upright(area, axis.label(), px + out, py)
    }

    fn border(&self, area: &Area) -> Result<()> {
        let corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
        let path = corners.map(|(x, y)| self.at(x, y)).to_vec();
        line(area, path, MUTED, 1.0)
    }

    fn y_ticks(&self, area: &Area, ticks: &[(f64, String)], right: bool) -> Result<()> {
        let (edge, out, side) = match right {
            true => (1.0, UNITS, HPos::Left),
            false => (0.0, -UNITS, HPos::Right),
        };
        for (y, label) in ticks {
            let (px, py) = self.at(edge, *y);
            line(area, vec![(px, py), (px + 4 * out, py)], INK, 1.0)?;
            let style = text(TICK, INK).pos(Pos::new(side, VPos::Center));
            write(area, label, &style, (px + 7 * out, py + UNITS / 2))?;
        }
        Ok(())
    }

    /// Text read from below, its middle at the given point.
    fn upright(&self, area: &Area, label: &str, x: i32, y: i32) -> Result<()> {
        let style = text(LABEL, INK)
            .transform(FontTransform::Rotate270)
            .pos(Pos::new(HPos::Center, VPos::Center));
        write(area, label, &style, (x, y))
    }
}

/// A line of `width` CSS pixels through points in drawing units.
pub(crate) fn line(
    area: &Area,
    points: Vec<(i32, i32)>,
    colour: RGBColor,
    width: f64,
) -> Result<()> {
    area.draw(&PathElement::new(points, stroke(colour, width)))
        .map_err(drawing)
}

/// A stroke of `width` CSS pixels.
pub(crate) fn stroke(colour: RGBColor, width: f64) -> ShapeStyle {
    ShapeStyle {
        color: colour.to_rgba(),
        filled: false,
        stroke_width: (width * UNITS as f64).round() as u32,
    }
}

/// Writes `words` at a point in drawing units.
pub(crate) fn write(area: &Area, words: &str, style: &TextStyle, at: (i32, i32)) -> Result<()> {
    area.draw_text(words, style, at).map_err(drawing)
}

/// How wide `words` are at `px` CSS pixels, in drawing units, by the embedded font: a little more than in most others.
pub(crate) fn width(words: &str, px: f64) -> i32 {
    let size = text(px, INK).font.box_size(words);
    size.map_or(0, |(width, _)| width as i32)
}
