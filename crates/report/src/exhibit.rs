//! A recording's explanation as a page to look at, point at and listen to.

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::{Array2, ArrayView2};
use serde::{Serialize, Serializer};

use crate::heatmap::limit;
use crate::page::render;
use crate::picture::Picture;
use crate::table::Table;
use crate::{Result, atomic};

/// What the page's script draws and plays; in JSON what [`Exhibit::html`] holds, and what a server sends to such a page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exhibit {
    /// The heading: what the network answered.
    pub title: String,
    /// A sentence under it.
    pub lead: String,
    /// Names and values of what a reader must know to repeat it.
    pub facts: Vec<(String, String)>,
    /// What the network answers, the likeliest first.
    pub answers: Vec<Answer>,
    /// The explanations, side by side.
    pub figures: Vec<Figure>,
    /// How the moments of two figures answer to each other.
    pub link: Option<Link>,
    /// Words of caution.
    pub warnings: Vec<String>,
}

/// What a network says of a class, or a score that it gives.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Of which class, or which score.
    pub name: String,
    /// How likely, or how much, in words.
    pub says: String,
    /// Of classes, how likely, in 0..1.
    pub share: Option<f32>,
    /// Of similarities, the cosine, in −1..1.
    pub cosine: Option<f32>,
}

/// One explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is: method, rules, class.
    pub title: String,
    /// The time of the first column and the distance of two, in seconds.
    pub times: [f64; 2],
    /// The frequency of each row, in Hz, rising; none for a waveform.
    pub frequencies: Vec<f64>,
    /// What the levels count in.
    pub unit: String,
    /// The input, [frequency, time].
    #[serde(serialize_with = "base64")]
    pub levels: Array2<f32>,
    /// Its relevance, [frequency, time].
    #[serde(serialize_with = "base64")]
    pub relevance: Array2<f32>,
    /// The relevance at which the colours are full, see [`limit`].
    pub limit: f32,
    /// How much of the network's answer the picture accounts for, if its relevance is a part of it.
    pub account: Option<Account>,
    /// What is asked, where [`Figure::other`] asks something else.
    pub question: &'static str,
    /// The same input with another question.
    pub other: Option<Aside>,
    /// What the network says of each frame, if it does.
    pub strip: Option<Strip>,
    /// What the picture is worth on this input, if that was tested.
    pub worth: Option<Worth>,
    /// The recording and its parts.
    pub sounds: Vec<Sound>,
    /// What else is known of it.
    pub tables: Vec<Fold>,
}

/// How the moments of the first figure and those of the second answer to each other.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// Of each figure, the time of the first moment's middle and the distance of two, in seconds.
    times: [[f64; 2]; 2],
    /// The relevance of each pair, the first figure's moments as rows.
    #[serde(serialize_with = "base64")]
    relevance: Array2<f32>,
    /// How many moments the second figure has.
    columns: usize,
    limit: f32,
}

impl Link {
    /// Of the relevance of pairs, the first figure's moments as rows. `times`: of each figure the first moment's and the distance of two, in seconds.
    pub fn new(times: [[f64; 2]; 2], relevance: ArrayView2<f32>) -> Self {
        Link {
            times,
            columns: relevance.ncols(),
            limit: limit(relevance),
            relevance: relevance.to_owned(),
        }
    }
}

/// How much of what the network answered a picture accounts for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// What the relevance in the picture adds up to.
    pub relevance: f64,
    /// What it is a part of.
    pub score: f64,
    /// What that is: `the logit of female`, ….
    pub what: String,
}

/// What the picture of a figure shows instead when the other question is chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Aside {
    question: &'static str,
    account: Option<Account>,
    #[serde(serialize_with = "base64")]
    relevance: Array2<f32>,
    limit: f32,
}

impl Aside {
    /// Relevance of the figure's shape. `question` and `account` as in [`Figure`].
    pub fn new(
        question: &'static str,
        relevance: ArrayView2<f32>,
        account: Option<Account>,
    ) -> Self {
        Aside {
            question,
            account,
            limit: limit(relevance),
            relevance: relevance.to_owned(),
        }
    }
}

/// What a network says of each frame of a recording, under its picture.
#[derive(Clone, Debug, Serialize)]
pub struct Strip {
    /// The classes, a row each.
    pub classes: Vec<String>,
    /// When each frame begins, in seconds.
    pub starts: Vec<f64>,
    /// How long one is, in seconds.
    pub step: f64,
    /// Frames of a window: where the next is numbered from 0 again.
    pub frames: usize,
    /// The frames of each window that were asked about, the last left out.
    pub asked: [usize; 2],
    /// Probabilities, [class, frame].
    #[serde(serialize_with = "base64")]
    pub values: Array2<f32>,
}

/// What a picture is worth: a test of it on its own input.
#[derive(Clone, Debug, Serialize)]
pub struct Worth {
    /// What was measured, in a sentence or two.
    verdict: String,
    /// How, in small type.
    about: String,
    /// What tests elsewhere say of such pictures, a paragraph each.
    tested: Vec<String>,
    /// An SVG element, its text escaped.
    svg: String,
}

impl Worth {
    /// A test whose outcome is this sentence and this chart; `about` says how it was done, `tested` what tests elsewhere say.
    pub fn new(verdict: String, about: String, tested: Vec<String>, chart: &Picture) -> Self {
        Worth {
            svg: chart.svg(&verdict),
            verdict,
            about,
            tested,
        }
    }
}

/// Something to play.
#[derive(Clone, Debug, Serialize)]
pub struct Sound {
    /// `heard`, `for`, ….
    pub name: String,
    /// What is heard.
    pub about: String,
    /// A WAV file.
    #[serde(serialize_with = "base64_bytes")]
    pub wav: Vec<u8>,
}

/// A table that opens on demand.
#[derive(Clone, Debug, Serialize)]
pub struct Fold {
    summary: String,
    /// Its text escaped.
    html: String,
}

impl Fold {
    /// The table under a line that opens it.
    ///
    /// # Errors
    /// [`crate::Error::Template`].
    pub fn new(summary: impl Into<String>, table: &Table) -> Result<Self> {
        Ok(Fold {
            summary: summary.into(),
            html: table.html()?,
        })
    }
}

impl Figure {
    /// An explanation without sound and tables. `times`: the first column's and the distance of two, in seconds.
    pub fn new(
        title: impl Into<String>,
        times: [f64; 2],
        frequencies: Vec<f64>,
        unit: impl Into<String>,
        levels: ArrayView2<f32>,
        relevance: ArrayView2<f32>,
    ) -> Self {
        Figure {
            title: title.into(),
            times,
            frequencies,
            unit: unit.into(),
            limit: limit(relevance),
            levels: levels.to_owned(),
            relevance: relevance.to_owned(),
            account: None,
            question: "",
            other: None,
            strip: None,
            worth: None,
            sounds: Vec::new(),
            tables: Vec::new(),
        }
    }
}

/// Little-endian f32, row by row.
fn base64<S: Serializer>(
    array: &Array2<f32>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
    base64_bytes(&bytes, serializer)
}

fn base64_bytes<S: Serializer>(
    bytes: &[u8],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// The page's script. It finds an [`Exhibit`] in the page, or is given one: `speechlens.show(exhibit)`.
pub static SCRIPT: &str = include_str!("../assets/exhibit/exhibit.js");

/// The page's style.
pub static STYLE: LazyLock<String> = LazyLock::new(|| {
    [
        include_str!("../assets/templates/page.css"),
        include_str!("../assets/exhibit/exhibit.css"),
    ]
    .concat()
});

/// The page as its template sees it.
#[derive(Serialize)]
struct View<'a> {
    title: &'a str,
    style: &'a str,
    script: &'a str,
    data: String,
}

impl Exhibit {
    /// The JSON text.
    ///
    /// # Errors
    /// [`crate::Error::Data`].
    pub fn json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(crate::Error::Data)
    }

    /// The whole page: one file that asks nothing of any other.
    ///
    /// # Errors
    /// [`crate::Error::Template`], [`crate::Error::Data`].
    pub fn html(&self) -> Result<String> {
        // No text may end the script that holds it.
        let data = self.json()?.replace('<', "\\u003c");
        let view = View {
            title: &self.title,
            style: &STYLE,
            script: SCRIPT,
            data,
        };
        render("exhibit.html", &view)
    }

    /// Writes the page, atomically.
    ///
    /// # Errors
    /// As [`Exhibit::html`], and [`crate::Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, self.html()?.as_bytes())
    }
}
