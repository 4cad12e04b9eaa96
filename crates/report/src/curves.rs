//! Line charts: accuracy as bins are flipped, loss as a network trains.

use crate::axes::Axes;
use crate::frame::{BOTTOM, Frame, LABEL, LEFT, TITLE, line, stroke, width, write};
use crate::palette::{INK, MUTED, SERIES};
use crate::picture::{Area, Picture, UNITS, bold, drawing, text};
use crate::{Error, Result};
use plotters::element::{Circle, DashedPathElement, Polygon};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

/// Sizes in CSS pixels.
const WIDTH: i32 = 500;
const PLOT_HEIGHT: i32 = 250;
const RIGHT: i32 = 18;
const HEAD: i32 = 28;
const LEGEND_LINE: i32 = 20;
const SAMPLE: i32 = 30;

/// Points of a line get markers up to this many.
const MARKED_POINTS: usize = 24;

/// Dash and gap in CSS pixels: each series has its own, so that colour is not all that tells them apart.
const DASHES: [Option<(i32, i32)>; 6] = [
    None,
    Some((7, 4)),
    Some((2, 3)),
    Some((12, 4)),
    Some((4, 2)),
    Some((9, 7)),
];

/// A chart of one or more series over the same two axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Stands above the chart; may be empty.
    pub title: String,
    /// The axes. They grow to hold all points.
    pub axes: Axes,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    band: Vec<(f64, f64, f64)>,
    published: bool,
}

impl Series {
    /// A measured line through `points`, (x, y) from left to right. A point that is not finite leaves a gap.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            band: Vec::new(),
            published: false,
        }
    }

    /// Someone else's numbers for comparison: grey, hollow markers, no line through a lone point.
    pub fn published(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            published: true,
            ..Self::new(name, points)
        }
    }

    /// The same with a shaded band of (x, low, high), an interval around the line.
    pub fn with_band(mut self, band: Vec<(f64, f64, f64)>) -> Self {
        self.band = band;
        self
    }
}

/// How one series looks.
struct Look {
    colour: RGBColor,
    dash: Option<(i32, i32)>,
    published: bool,
}

impl Look {
    fn line(&self, area: &Area, points: Vec<(i32, i32)>) -> Result<()> {
        let width = if self.published { 1.25 } else { 2.0 };
        match self.dash {
            _ if points.len() < 2 => Ok(()),
            None => line(area, points, self.colour, width),
            Some((dash, gap)) => area
                .draw(&DashedPathElement::new(
                    points,
                    dash * UNITS,
                    gap * UNITS,
                    stroke(self.colour, width),
                ))
                .map_err(drawing),
        }
    }

    fn marker(&self, area: &Area, at: (i32, i32)) -> Result<()> {
        let (radius, style) = match self.published {
            true => (4 * UNITS, stroke(self.colour, 1.5)),
            false => (5 * UNITS / 2, self.colour.filled()),
        };
        area.draw(&Circle::new(at, radius, style)).map_err(drawing)
    }
}

impl Chart {
    /// Draws the chart.
    ///
    /// # Errors
    /// [`Error::Undrawable`] if no series has a finite point, [`Error::Drawing`].
    pub fn picture(&self) -> Result<Picture> {
        let all = || self.series.iter().flat_map(|s| &s.points);
        if !all().any(|(x, y)| x.is_finite() && y.is_finite()) {
            return Err(Error::Undrawable {
                what: format!("chart \"{}\"", self.title),
                why: "it has no points",
            });
        }
        let bands = || self.series.iter().flat_map(|s| &s.band);
        let axes = Axes {
            x: self.axes.x.including(all().map(|p| p.0)),
            y: (self.axes.y).including(all().map(|p| p.1).chain(bands().flat_map(|b| [b.1, b.2]))),
        };
        let lines = self.legend_lines();
        let title = if self.title.is_empty() { 0 } else { HEAD };
        let top = title + lines.len() as i32 * LEGEND_LINE + 12;
        let frame = Frame {
            left: LEFT,
            top,
            width: WIDTH - LEFT - RIGHT,
            height: PLOT_HEIGHT,
        };
        let height = top + PLOT_HEIGHT + BOTTOM;
        Picture::draw(WIDTH as u32, height as u32, |area| {
            let style = bold(TITLE, INK).pos(Pos::new(HPos::Left, VPos::Center));
            write(area, &self.title, &style, (LEFT * UNITS, HEAD / 2 * UNITS))?;
            self.legend(area, &lines, title)?;
            frame.draw(area, &axes, true)?;
            for (index, series) in self.series.iter().enumerate() {
                self.draw_series(area, &axes, frame, index, series)?;
            }
            Ok(Vec::new())
        })
    }

    fn look(&self, index: usize) -> Look {
        let published = self.series[index].published;
        let nth = self.series[..index]
            .iter()
            .filter(|s| s.published == published)
            .count();
        Look {
            colour: if published {
                MUTED
            } else {
                SERIES[nth % SERIES.len()]
            },
            dash: if published {
                Some((3, 3))
            } else {
                DASHES[nth % DASHES.len()]
            },
            published,
        }
    }

    /// The series of each line of the legend.
    fn legend_lines(&self) -> Vec<Vec<usize>> {
        let room = (WIDTH - LEFT - RIGHT) * UNITS;
        let mut lines: Vec<Vec<usize>> = Vec::new();
        let mut used = room;
        for (index, series) in self.series.iter().enumerate() {
            let entry = entry_width(&series.name);
            if used + entry > room {
                lines.push(Vec::new());
                used = 0;
            }
            used += entry;
            if let Some(line) = lines.last_mut() {
                line.push(index);
            }
        }
        lines
    }

    fn legend(&self, area: &Area, lines: &[Vec<usize>], top: i32) -> Result<()> {
        for (row, line) in lines.iter().enumerate() {
            let y = (top + row as i32 * LEGEND_LINE + LEGEND_LINE / 2) * UNITS;
            let mut x = LEFT * UNITS;
            for &index in line {
                let (look, series) = (self.look(index), &self.series[index]);
                let sample = SAMPLE * UNITS;
                if !series.published || series.points.len() > 1 {
                    look.line(area, vec![(x, y), (x + sample, y)])?;
                }
                if series.published || series.points.len() <= MARKED_POINTS {
                    look.marker(area, (x + sample / 2, y))?;
                }
                let style = text(LABEL, INK).pos(Pos::new(HPos::Left, VPos::Center));
                write(area, &series.name, &style, (x + sample + 6 * UNITS, y))?;
                x += entry_width(&series.name);
            }
        }
        Ok(())
    }

    fn draw_series(
        &self,
        area: &Area,
        axes: &Axes,
        frame: Frame,
        index: usize,
        series: &Series,
    ) -> Result<()> {
        let look = self.look(index);
        let place = |x: f64, y: f64| Some(frame.at(axes.x.position(x)?, axes.y.position(y)?));
        let low = series.band.iter().filter_map(|b| place(b.0, b.1));
        let high = series.band.iter().rev().filter_map(|b| place(b.0, b.2));
        let outline: Vec<_> = low.chain(high).collect();
        if outline.len() > 2 {
            area.draw(&Polygon::new(outline, look.colour.mix(0.18)))
                .map_err(drawing)?;
        }
        let places: Vec<_> = series.points.iter().map(|&(x, y)| place(x, y)).collect();
        for run in places.split(|p| p.is_none()) {
            look.line(area, run.iter().flatten().copied().collect())?;
        }
        if series.published || series.points.len() <= MARKED_POINTS {
            for at in places.into_iter().flatten() {
                look.marker(area, at)?;
            }
        }
        Ok(())
    }
}

/// The room a legend entry takes: its sample, its name, and the space behind it.
fn entry_width(name: &str) -> i32 {
    (SAMPLE + 6 + 18) * UNITS + width(name, LABEL)
}
