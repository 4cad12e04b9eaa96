//! The report as one HTML file: pictures inside, no request to anywhere, readable from a disk.

use crate::animation::Animation;
use crate::picture::Picture;
use crate::table::{Table, View};
use crate::{Result, atomic};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::LazyLock;

/// A page: what it is, the facts of its run, and sections.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// A sentence or two under it.
    pub lead: String,
    /// What is seen at the first glance: numbers in large type, and what stands under them.
    pub opening: Opening,
    /// Name and value of what a reader must know to repeat it: seed, profile, device …
    pub facts: Vec<(String, String)>,
    /// The sections, in order.
    pub sections: Vec<Section>,
}

/// What a page says at the first glance; may be empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Opening {
    /// The numbers, three at best.
    pub headlines: Vec<Headline>,
    /// A picture, say.
    pub blocks: Vec<Block>,
}

/// A number in large type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Headline {
    /// The number with its unit.
    pub value: String,
    /// Of what it is.
    pub words: String,
    /// Somebody else's of the same kind, in small type.
    pub beneath: String,
}

/// One section: an experiment, say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Section {
    /// The anchor, `table-6.1`; unique in the page.
    pub id: String,
    /// The heading.
    pub title: String,
    /// What stands under it.
    pub blocks: Vec<Block>,
}

/// A part of a section. Text is plain; a part between backticks is set as code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A heading inside the section.
    Heading(String),
    /// Pictures beside each other where there is room, each with its own words for those who cannot see it.
    Figure {
        /// The pictures and their descriptions.
        pictures: Vec<(Picture, String)>,
        /// What is to be seen.
        caption: String,
    },
    /// Pictures one after another.
    Animation {
        /// The pictures.
        animation: Animation,
        /// What it shows, for those who cannot see it.
        alt: String,
        /// What is to be seen.
        caption: String,
    },
    /// A table.
    Table {
        /// The table.
        table: Table,
        /// What it says.
        caption: String,
    },
    /// Pictures in files beside the page, each of which leads to a page of its own.
    Thumbnails(Vec<Thumbnail>),
    /// Points.
    List(Vec<String>),
    /// Something to know before the rest is believed.
    Note(String),
    /// Something that makes the results worth less than they look.
    Warning(String),
    /// Blocks that open on demand: a long list.
    Fold {
        /// The line that opens them.
        summary: String,
        /// The blocks.
        blocks: Vec<Block>,
    },
}

/// A small picture that leads to a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Thumbnail {
    /// Where the page is, relative to this one.
    pub page: String,
    /// Where the picture is.
    pub picture: String,
    /// What it is of.
    pub name: String,
    /// What is to be seen.
    pub caption: String,
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A figure of one picture.
    pub fn figure(picture: Picture, alt: impl Into<String>, caption: impl Into<String>) -> Self {
        Self::Figure {
            pictures: vec![(picture, alt.into())],
            caption: caption.into(),
        }
    }

    /// A table.
    pub fn table(table: Table, caption: impl Into<String>) -> Self {
        Self::Table {
            table,
            caption: caption.into(),
        }
    }
}

impl Page {
    /// The whole file.
    ///
    /// # Errors
    /// [`crate::Error::Template`].
    pub fn html(&self) -> Result<String> {
        let sections = self.sections.iter().map(|section| SectionView {
            id: &section.id,
            title: &section.title,
            blocks: views(&section.blocks),
        });
        let page = PageView {
            title: &self.title,
            lead: &self.lead,
            headlines: &self.opening.headlines,
            opening: views(&self.opening.blocks),
            facts: &self.facts,
            sections: sections.collect(),
        };
        render("page.html", &page)
    }

    /// Writes the file, atomically.
    ///
    /// # Errors
    /// [`crate::Error::Template`], [`crate::Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, self.html()?.as_bytes())
    }
}

/// A page as the template sees it.
#[derive(Serialize)]
struct PageView<'a> {
    title: &'a str,
    lead: &'a str,
    headlines: &'a [Headline],
    opening: Vec<BlockView<'a>>,
    facts: &'a [(String, String)],
    sections: Vec<SectionView<'a>>,
}

#[derive(Serialize)]
struct SectionView<'a> {
    id: &'a str,
    title: &'a str,
    blocks: Vec<BlockView<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum BlockView<'a> {
    Text {
        text: &'a str,
    },
    Heading {
        text: &'a str,
    },
    Figure {
        pictures: Vec<PictureView>,
        caption: &'a str,
    },
    Animation {
        data: String,
        width: u32,
        alt: &'a str,
        caption: &'a str,
    },
    Table {
        table: View,
        caption: &'a str,
    },
    Thumbnails {
        thumbnails: &'a [Thumbnail],
    },
    List {
        items: &'a [String],
    },
    Note {
        text: &'a str,
    },
    Warning {
        text: &'a str,
    },
    Fold {
        summary: &'a str,
        blocks: Vec<BlockView<'a>>,
    },
}

#[derive(Serialize)]
struct PictureView {
    svg: String,
    width: u32,
}

fn views(blocks: &[Block]) -> Vec<BlockView<'_>> {
    blocks.iter().map(view).collect()
}

fn view(block: &Block) -> BlockView<'_> {
    match block {
        Block::Text(text) => BlockView::Text { text },
        Block::Heading(text) => BlockView::Heading { text },
        Block::Figure { pictures, caption } => BlockView::Figure {
            pictures: pictures
                .iter()
                .map(|(picture, alt)| PictureView {
                    svg: picture.svg(alt),
                    width: picture.size().0,
                })
                .collect(),
            caption,
        },
        Block::Animation {
            animation,
            alt,
            caption,
        } => BlockView::Animation {
            data: STANDARD.encode(animation.png()),
            width: animation.size().0,
            alt,
            caption,
        },
        Block::Table { table, caption } => BlockView::Table {
            table: table.view(),
            caption,
        },
        Block::Thumbnails(thumbnails) => BlockView::Thumbnails { thumbnails },
        Block::List(items) => BlockView::List { items },
        Block::Note(text) => BlockView::Note { text },
        Block::Warning(text) => BlockView::Warning { text },
        Block::Fold { summary, blocks } => BlockView::Fold {
            summary,
            blocks: views(blocks),
        },
    }
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    // What a template whose name ends in .html prints is escaped.
    let mut templates = Environment::new();
    for (name, source) in [
        ("page.html", include_str!("../assets/templates/page.html")),
        (
            "blocks.html",
            include_str!("../assets/templates/blocks.html"),
        ),
        (
            "exhibit.html",
            include_str!("../assets/exhibit/exhibit.html"),
        ),
        ("table.html", include_str!("../assets/templates/table.html")),
    ] {
        templates
            .add_template(name, source)
            .expect("assets/templates holds valid templates");
    }
    templates.add_filter("prose", prose);
    templates.add_global("style", include_str!("../assets/templates/page.css"));
    templates
});

/// Fills a template of `assets/templates`.
pub(crate) fn render(name: &str, context: &impl Serialize) -> Result<String> {
    let template = TEMPLATES.get_template(name)?;
    Ok(template.render(Value::from(Serde(context)))?)
}

/// Escapes a text and sets what stands between backticks as code.
fn prose(text: &str) -> Value {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let escaped = minijinja::HtmlEscape(part);
        match index % 2 {
            0 => html.push_str(&escaped.to_string()),
            _ => html.push_str(&format!("<code>{escaped}</code>")),
        }
    }
    Value::from_safe_string(html)
}
