//! A finished drawing: SVG for a page, PNG for a file.

use crate::{Error, Result, atomic, palette};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use resvg::{tiny_skia, usvg};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Drawing units a CSS pixel. plotters rounds to whole units; at four a pixel nobody sees it.
pub(crate) const UNITS: i32 = 4;

/// Pixels of a PNG a CSS pixel, so that it is sharp on a dense screen.
pub(crate) const PNG_DENSITY: f32 = 2.0;

const REGULAR: &[u8] = include_bytes!("../assets/fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../assets/fonts/DejaVuSans-Bold.ttf");
const FAMILY: &str = "sans-serif";

/// The fonts of a PNG: the embedded one and no other, so that every machine draws the same.
static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// The fonts by which plotters measures text.
static MEASURES: LazyLock<bool> = LazyLock::new(|| {
    register_font(FAMILY, FontStyle::Normal, REGULAR).is_ok()
        && register_font(FAMILY, FontStyle::Bold, BOLD).is_ok()
});

/// An area that plotters draws SVG into.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A drawing of `width` × `height` CSS pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    width: u32,
    height: u32,
    /// What stands between the `svg` tags, in drawing units.
    body: String,
}

impl Picture {
    /// Draws with plotters. `draw` returns raster images and where they lie (left, top, width, height, in drawing
    /// units); they are placed under everything else.
    pub(crate) fn draw(
        width: u32,
        height: u32,
        draw: impl FnOnce(&Area) -> Result<Vec<Raster>>,
    ) -> Result<Self> {
        if !*MEASURES {
            return Err(Error::Drawing("the embedded font cannot be read".into()));
        }
        let mut svg = String::new();
        let size = (width * UNITS as u32, height * UNITS as u32);
        let rasters = {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let rasters = draw(&area)?;
            area.present().map_err(drawing)?;
            rasters
        };
        let inner = svg
            .split_once('>')
            .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
            .map_or("", |(inner, _)| inner.trim());
        let mut body = String::new();
        for raster in &rasters {
            body.push_str(&raster.svg()?);
        }
        body.push_str(inner);
        Ok(Self {
            width,
            height,
            body,
        })
    }

    /// Width and height in CSS pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// An SVG element for a page. Its inks are CSS variables (`--ink`, `--muted`, `--grid`, `--series-1` …) with
    /// the colours of a light page as defaults. `alt` is read aloud in its place.
    pub fn svg(&self, alt: &str) -> String {
        let mut body = self.body.clone();
        for (name, colour) in palette::variables() {
            let hex = palette::hex(colour);
            body = body.replace(&format!("\"{hex}\""), &format!("\"var({name}, {hex})\""));
        }
        let attributes = format!("role=\"img\" aria-label=\"{}\"", escape(alt));
        self.element(&attributes, &body)
    }

    /// This drawing and another one to its right.
    pub fn beside(&self, other: &Picture) -> Picture {
        let left = self.width * UNITS as u32;
        let (mine, theirs) = (&self.body, &other.body);
        Picture {
            width: self.width + other.width,
            height: self.height.max(other.height),
            body: format!("{mine}\n<g transform=\"translate({left} 0)\">\n{theirs}\n</g>"),
        }
    }

    /// The drawing on white, at twice its CSS size, as PNG.
    ///
    /// # Errors
    /// [`Error::Drawing`] if it cannot be rasterised.
    pub fn png(&self) -> Result<Vec<u8>> {
        encode(&self.pixels(PNG_DENSITY)?)
    }

    /// The drawing on white, so many pixels a CSS pixel.
    pub(crate) fn pixels(&self, density: f32) -> Result<RgbImage> {
        let options = usvg::Options {
            fontdb: FONTS.clone(),
            ..Default::default()
        };
        // In a page the element needs no namespace.
        let element = self.element("xmlns=\"http://www.w3.org/2000/svg\"", &self.body);
        let tree =
            usvg::Tree::from_str(&element, &options).map_err(|e| Error::Drawing(e.to_string()))?;
        let (width, height) = (
            (self.width as f32 * density) as u32,
            (self.height as f32 * density) as u32,
        );
        let mut pixels = tiny_skia::Pixmap::new(width, height)
            .ok_or_else(|| Error::Drawing("the picture has no size".into()))?;
        pixels.fill(tiny_skia::Color::WHITE);
        let scale = tiny_skia::Transform::from_scale(density, density);
        resvg::render(&tree, scale, &mut pixels.as_mut());
        let rgb = pixels
            .pixels()
            .iter()
            .flat_map(|p| [p.red(), p.green(), p.blue()])
            .collect();
        RgbImage::from_raw(width, height, rgb)
            .ok_or_else(|| Error::Drawing("the picture has no size".into()))
    }

    /// Writes [`Picture::png`] to `path`, atomically.
    ///
    /// # Errors
    /// As [`Picture::png`], and [`Error::File`].
    pub fn write_png(&self, path: &Path) -> Result<()> {
        atomic::write(path, &self.png()?)
    }

    fn element(&self, attributes: &str, body: &str) -> String {
        let Self { width, height, .. } = self;
        let (w, h) = (width * UNITS as u32, height * UNITS as u32);
        format!(
            "<svg width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {w} {h}\" {attributes}>\n{body}\n</svg>"
        )
    }
}

/// An image inside a drawing.
pub(crate) struct Raster {
    pub image: RgbImage,
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

impl Raster {
    fn svg(&self) -> Result<String> {
        let Self {
            left,
            top,
            width,
            height,
            ..
        } = self;
        Ok(format!(
            "<image x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>\n",
            STANDARD.encode(encode(&self.image)?)
        ))
    }
}

/// Text of `px` CSS pixels.
pub(crate) fn text(px: f64, colour: RGBColor) -> TextStyle<'static> {
    LazyLock::force(&MEASURES);
    // plotters' size is the height of a line, 1.24 times that of the font.
    (FAMILY, px * 1.24 * UNITS as f64)
        .into_font()
        .color(&colour)
}

/// Bold text of `px` CSS pixels.
pub(crate) fn bold(px: f64, colour: RGBColor) -> TextStyle<'static> {
    let style = text(px, colour);
    TextStyle {
        font: style.font.style(FontStyle::Bold),
        ..style
    }
}

pub(crate) fn drawing(error: impl std::fmt::Display) -> Error {
    Error::Drawing(error.to_string())
}

fn encode(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new_with_quality(
        &mut bytes,
        image::codecs::png::CompressionType::Fast,
        image::codecs::png::FilterType::Adaptive,
    )
    .write_image(
        image.as_raw(),
        image.width(),
        image.height(),
        ExtendedColorType::Rgb8,
    )
    .map_err(drawing)?;
    Ok(bytes)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
