use serde::{Deserialize, Serialize};

/// A number for each of an image's two axes. One number stands for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub struct Pair {
    /// Along H.
    pub height: usize,
    /// Along W.
    pub width: usize,
}

/// As it is written: one number, or height and width.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Both(usize),
    Each(usize, usize),
}

impl From<Text> for Pair {
    fn from(text: Text) -> Self {
        match text {
            Text::Both(both) => both.into(),
            Text::Each(height, width) => (height, width).into(),
        }
    }
}

impl From<Pair> for Text {
    fn from(pair: Pair) -> Self {
        match pair.single() {
            Some(both) => Text::Both(both),
            None => Text::Each(pair.height, pair.width),
        }
    }
}

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Pair {
            height: both,
            width: both,
        }
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Self {
        Pair { height, width }
    }
}

impl Pair {
    /// The values of a window of this size.
    pub(crate) fn area(self) -> usize {
        self.height * self.width
    }

    /// The number for both axes, if they have one.
    pub(crate) fn single(self) -> Option<usize> {
        (self.height == self.width).then_some(self.height)
    }
}
