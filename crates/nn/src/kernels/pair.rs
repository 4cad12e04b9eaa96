/// A number for each of an image's two axes. One number stands for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Along H.
    pub height: usize,
    /// Along W.
    pub width: usize,
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
