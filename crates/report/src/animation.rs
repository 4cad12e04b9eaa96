//! Pictures one after another: an animated PNG, which browsers play and other viewers show the first picture of.

use std::path::Path;

use png::{BitDepth, ColorType, Compression, Encoder};
use serde::{Deserialize, Serialize};

use crate::picture::Picture;
use crate::{Error, Result, atomic};

/// Pixels a CSS pixel: there are many pictures in one file.
const DENSITY: f32 = 1.0;
/// Thousandths of a second that the last picture stays, before all begins again.
const REST: u16 = 2500;

/// An animated PNG, played over and over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Animation {
    png: Vec<u8>,
    size: (u32, u32),
}

impl Animation {
    /// Pictures of one size, each shown for so many thousandths of a second.
    ///
    /// # Errors
    /// [`Error::Undrawable`] without pictures, or if they are of several sizes; [`Error::Drawing`].
    pub fn new(pictures: &[Picture], milliseconds: u16) -> Result<Self> {
        let undrawable = |why| Error::Undrawable {
            what: "animation".into(),
            why,
        };
        let size = pictures
            .first()
            .ok_or_else(|| undrawable("it has no pictures"))?
            .size();
        if pictures.iter().any(|picture| picture.size() != size) {
            return Err(undrawable("its pictures are of several sizes"));
        }
        let drawing = |error: png::EncodingError| Error::Drawing(error.to_string());
        let pixels = |picture: &Picture| picture.pixels(DENSITY);
        let frames = pictures.iter().map(pixels).collect::<Result<Vec<_>>>()?;
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, frames[0].width(), frames[0].height());
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Balanced);
        encoder
            .set_animated(frames.len() as u32, 0)
            .map_err(drawing)?;
        let mut writer = encoder.write_header().map_err(drawing)?;
        for (place, frame) in frames.iter().enumerate() {
            let shown = if place + 1 == frames.len() {
                REST
            } else {
                milliseconds
            };
            writer.set_frame_delay(shown, 1000).map_err(drawing)?;
            writer.write_image_data(frame.as_raw()).map_err(drawing)?;
        }
        writer.finish().map_err(drawing)?;
        Ok(Animation { png: bytes, size })
    }

    /// Width and height in CSS pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The file's bytes.
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// Writes the file, atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, &self.png)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axes, Axis, Chart, Series};

    fn chart(title: &str, height: f64) -> Picture {
        let chart = Chart {
            title: title.into(),
            axes: Axes {
                x: Axis::linear("step", 0.0, 1.0),
                y: Axis::linear("height", 0.0, 1.0),
            },
            series: vec![Series::new("line", vec![(0.0, 0.0), (1.0, height)])],
        };
        chart.picture().expect("drawn")
    }

    #[test]
    fn the_frames_are_the_pictures() {
        let pictures = [0.2, 0.5, 0.9].map(|height| chart("rising", height));
        let animation = Animation::new(&pictures, 400).expect("made");
        assert_eq!(animation.size(), pictures[0].size());
        let decoder = png::Decoder::new(std::io::Cursor::new(animation.png()));
        let mut reader = decoder.read_info().expect("a PNG");
        let control = reader.info().animation_control.expect("animated");
        assert_eq!((control.num_frames, control.num_plays), (3, 0));
        for (place, picture) in pictures.iter().enumerate() {
            let mut frame = vec![0; reader.output_buffer_size().expect("sized")];
            reader.next_frame(&mut frame).expect("a frame");
            assert!(frame == picture.pixels(DENSITY).expect("drawn").into_raw());
            let shown = reader.info().frame_control.expect("a frame").delay_num;
            assert_eq!(shown, if place == 2 { REST } else { 400 });
        }
    }

    #[test]
    fn pictures_must_be_of_one_size() {
        assert!(Animation::new(&[], 100).is_err());
        let two = [chart("a title", 0.5), chart("", 0.5)];
        assert!(Animation::new(&two, 100).is_err());
    }
}
