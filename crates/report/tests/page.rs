//! The page stands on its own: nothing is fetched, everything is escaped, headings are in order.

use ndarray::Array2;
use speechlens_report::{
    Animation, Axes, Block, Headline, Opening, Page, Panel, Row, Section, Table,
};

fn page() -> Page {
    let level = Array2::from_shape_fn((8, 8), |(f, t)| (f * t) as f32);
    let panel = Panel::spectrogram(Axes::spectrogram(1.0, 4000.0), level.view(), "level (dB)");
    let picture = panel.expect("drawable").picture().expect("drawn");
    let table = Table {
        corner: String::new(),
        columns: vec!["a & b".into()],
        rows: vec![Row::measured("one", [1.0])],
    };
    Page {
        title: "<title>".into(),
        lead: "A `code` & more".into(),
        opening: Opening {
            headlines: vec![Headline {
                value: "12 %".into(),
                words: "of <b>all</b>".into(),
                beneath: "`theirs`: 10 %".into(),
            }],
            blocks: vec![Block::Note("under way".into())],
        },
        facts: vec![("seed".into(), "\"1\"".into())],
        sections: vec![
            Section {
                id: "first".into(),
                title: "First".into(),
                blocks: vec![
                    Block::Heading("Inside".into()),
                    Block::figure(picture.clone(), "a spectrogram", "caption"),
                    Block::Animation {
                        animation: Animation::new(&[picture.clone(), picture], 100).expect("made"),
                        alt: "a \"film\"".into(),
                        caption: "caption".into(),
                    },
                    Block::Fold {
                        summary: "more".into(),
                        blocks: vec![
                            Block::List(vec!["<i>item</i>".into()]),
                            Block::table(table, "in a fold"),
                        ],
                    },
                ],
            },
            Section {
                id: "second".into(),
                title: "Second".into(),
                blocks: vec![Block::Note("n".into()), Block::Warning("w".into())],
            },
        ],
    }
}

#[test]
fn nothing_is_fetched() {
    let html = page().html().expect("rendered");
    for needle in ["http:", "https:", "src=\"//", "<script", "@import", "url("] {
        assert!(!html.contains(needle), "{needle}");
    }
    for link in html.split("href=\"").skip(1) {
        assert!(
            link.starts_with('#') || link.starts_with("data:"),
            "{}",
            &link[..40.min(link.len())]
        );
    }
}

#[test]
fn text_is_escaped_and_backticks_are_code() {
    let html = page().html().expect("rendered");
    assert!(html.contains("<h1>&lt;title&gt;</h1>"));
    assert!(html.contains("A <code>code</code> &amp; more"));
    assert!(html.contains("<dd>&quot;1&quot;</dd>"));
    assert!(!html.contains("<i>item"));
    assert!(html.contains("a &amp; b"));
}

#[test]
fn the_first_glance_comes_before_facts_and_sections() {
    let html = page().html().expect("rendered");
    let headline = "<li><strong>12 %</strong><span>of &lt;b&gt;all&lt;&#x2f;b&gt;</span><small><code>theirs</code>: 10 %</small></li>";
    let places = [headline, "<p class=\"note\">under way</p>", "<dl", "<main>"];
    let places = places.map(|part| html.find(part).expect(part));
    assert!(places.is_sorted(), "{places:?}");
    assert!(
        !Page::default()
            .html()
            .expect("rendered")
            .contains("<ul class=\"headlines\">")
    );
}

#[test]
fn headings_are_in_order_and_contents_lead_to_them() {
    let html = page().html().expect("rendered");
    let levels: Vec<u32> = html
        .match_indices("<h")
        .filter_map(|(at, _)| html[at + 2..].chars().next()?.to_digit(10))
        .collect();
    // Title, contents, two sections of which the first has a heading inside.
    assert_eq!(levels, [1, 2, 2, 3, 2]);
    for id in ["first", "second"] {
        assert!(html.contains(&format!("<a href=\"#{id}\">")));
        assert!(html.contains(&format!("<section id=\"{id}\"")));
    }
    assert!(html.contains("role=\"img\" aria-label=\"a spectrogram\""));
    assert_eq!(
        html.matches("<section").count(),
        html.matches("</section>").count()
    );
    assert_eq!(html.matches("<div").count(), html.matches("</div>").count());
}
