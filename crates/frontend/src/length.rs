use serde::{Deserialize, Serialize};

/// How much of a recording one input of the network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// All of it, whatever its length.
    Any,
    /// At most so many seconds: a longer recording is refused, a shorter one lies somewhere among zeros.
    AtMost(f64),
    /// So many seconds: a longer recording is cut into windows, and the last one is filled up with zeros.
    Exactly(f64),
    /// The last so many seconds: what comes before is not heard, and zeros stand before a shorter recording.
    Last(f64),
    /// So many frames: windows slide over the recording's features, and the last one ends with it; a shorter one is refused.
    Frames(usize),
}

impl Length {
    /// Whether a recording is cut into windows, as many as it has.
    pub fn is_cut(self) -> bool {
        matches!(self, Length::Exactly(_) | Length::Frames(_))
    }

    /// In samples, where it is so many seconds.
    pub(crate) fn samples(self, rate: u32) -> Option<usize> {
        match self {
            Length::Any | Length::Frames(_) => None,
            Length::AtMost(seconds) | Length::Exactly(seconds) | Length::Last(seconds) => {
                Some((seconds * f64::from(rate)).round() as usize)
            }
        }
    }

    /// What is wrong with it.
    pub(crate) fn problem(self, rate: u32) -> Option<&'static str> {
        match self {
            Length::Frames(0) => Some("a length of 0 frames: give 1 or more"),
            Length::AtMost(seconds) | Length::Exactly(seconds) | Length::Last(seconds)
                if !seconds.is_finite() || self.samples(rate) == Some(0) || seconds < 0.0 =>
            {
                Some("a length of no sample: give a positive number of seconds")
            }
            _ => None,
        }
    }
}
