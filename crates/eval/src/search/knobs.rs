//! What a search tries: a table of choices, each a piece of a composite's text.

use speechlens_lrp::{Composite, Error};

/// One thing about rules that can be chosen.
pub struct Knob {
    /// What it is about.
    pub name: &'static str,
    /// What can be chosen; the first is what `any-network` has.
    pub choices: &'static [Choice],
}

/// A piece of a composite's text.
pub struct Choice {
    /// What it is called.
    pub name: &'static str,
    /// A row for the layers that the knob is about; of none they have what a row below gives them.
    row: &'static str,
    /// An option of the sweep.
    option: &'static str,
}

const fn row(name: &'static str, row: &'static str) -> Choice {
    Choice {
        name,
        row,
        option: "",
    }
}

const fn option(name: &'static str, option: &'static str) -> Choice {
    Choice {
        name,
        row: "",
        option,
    }
}

/// Stands for the value of the input that is silence.
const SILENCE: &str = "SILENCE";

/// Every knob, in the order of the rows. What a network has nothing of needs no word here: a choice that changes no layer's rule is not
/// tried.
pub const KNOBS: &[Knob] = &[
    Knob {
        name: "gates",
        choices: &[
            row("half to each factor", ""),
            row(
                "all to the value",
                "kind = \"product\"\nrule = \"signal\"\nepsilon = 1e-6",
            ),
        ],
    },
    Knob {
        name: "softmax inside",
        choices: &[
            row("Taylor expansion", ""),
            row("held", "kind = \"softmax\"\nrule = \"detach\""),
        ],
    },
    Knob {
        name: "layers that read the input",
        choices: &[
            row("as others", ""),
            row(
                "ε = 1e-6",
                "first = true\nrule = \"epsilon\"\nepsilon = 1e-6",
            ),
            row("flat", "first = true\nrule = \"flat\""),
            row("w²", "first = true\nrule = \"w-square\""),
        ],
    },
    Knob {
        name: "convolutions, first third",
        choices: &[
            row("as others", ""),
            row(
                "ε = 1e-6",
                "kind = \"conv\"\nfirst-third = true\nrule = \"epsilon\"\nepsilon = 1e-6",
            ),
            row(
                "γ = 0.25",
                "kind = \"conv\"\nfirst-third = true\nrule = \"gamma-generalized\"\ngamma = 0.25",
            ),
            row(
                "γ = 1",
                "kind = \"conv\"\nfirst-third = true\nrule = \"gamma-generalized\"\ngamma = 1.0",
            ),
            row(
                "z⁺",
                "kind = \"conv\"\nfirst-third = true\nrule = \"z-plus\"",
            ),
        ],
    },
    Knob {
        name: "convolutions",
        choices: &[
            row(
                "γ = 10",
                "kind = \"conv\"\nrule = \"gamma-generalized\"\ngamma = 10.0",
            ),
            row("as the rest", ""),
            row(
                "γ = 0.25",
                "kind = \"conv\"\nrule = \"gamma-generalized\"\ngamma = 0.25",
            ),
            row(
                "γ = 1",
                "kind = \"conv\"\nrule = \"gamma-generalized\"\ngamma = 1.0",
            ),
            row("z⁺", "kind = \"conv\"\nrule = \"z-plus\""),
        ],
    },
    Knob {
        name: "recurrent layers",
        choices: &[
            row(
                "γ = 1",
                "kind = \"recurrent\"\nrule = \"gamma-generalized\"\ngamma = 1.0",
            ),
            row("LRP-0", ""),
            row(
                "γ = 0.25",
                "kind = \"recurrent\"\nrule = \"gamma-generalized\"\ngamma = 0.25",
            ),
            row(
                "γ = 10",
                "kind = \"recurrent\"\nrule = \"gamma-generalized\"\ngamma = 10.0",
            ),
            row("z⁺", "kind = \"recurrent\"\nrule = \"z-plus\""),
        ],
    },
    Knob {
        name: "dense layers",
        choices: &[
            row("as the rest", ""),
            row(
                "γ = 0.25",
                "kind = \"linear\"\nrule = \"gamma-generalized\"\ngamma = 0.25",
            ),
            row(
                "γ = 1",
                "kind = \"linear\"\nrule = \"gamma-generalized\"\ngamma = 1.0",
            ),
            row(
                "γ = 10",
                "kind = \"linear\"\nrule = \"gamma-generalized\"\ngamma = 10.0",
            ),
        ],
    },
    Knob {
        name: "the rest",
        choices: &[
            row("ε = 1e-6", "rule = \"epsilon\"\nepsilon = 1e-6"),
            row("ε = 0.01", "rule = \"epsilon\"\nepsilon = 0.01"),
            row("ε = 0.1", "rule = \"epsilon\"\nepsilon = 0.1"),
        ],
    },
    Knob {
        name: "batch normalization",
        choices: &[
            option("merged", ""),
            option("a layer of its own", "batchnorm = \"ratio\""),
        ],
    },
    Knob {
        name: "reference",
        choices: &[option("0", ""), option("silence", "reference = SILENCE")],
    },
];

/// Which choice of every knob is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices([usize; KNOBS.len()]);

impl Choices {
    /// Those of `any-network`.
    pub fn start() -> Self {
        Choices([0; KNOBS.len()])
    }

    /// The same but for one knob.
    pub fn with(&self, knob: usize, choice: usize) -> Self {
        let mut all = self.0;
        all[knob] = choice;
        Choices(all)
    }

    /// Which choice of a knob is taken.
    pub fn of(&self, knob: usize) -> usize {
        self.0[knob]
    }

    /// The composite's text, for inputs with such a silence.
    pub fn text(&self, silence: f64) -> String {
        let taken = || {
            KNOBS
                .iter()
                .zip(self.0)
                .map(|(knob, choice)| &knob.choices[choice])
        };
        let rows = taken()
            .map(|choice| choice.row)
            .filter(|row| !row.is_empty());
        let rows: Vec<String> = rows.map(|row| format!("[[rule]]\n{row}\n")).collect();
        let options: Vec<&str> = taken()
            .map(|choice| choice.option)
            .filter(|option| !option.is_empty())
            .collect();
        let mut text = rows.join("\n");
        if !options.is_empty() {
            text += &format!("\n[options]\n{}\n", options.join("\n"));
        }
        text.replace(SILENCE, &format!("{silence:?}"))
    }

    /// The composite.
    ///
    /// # Errors
    /// Never, unless the table is wrong.
    pub fn composite(&self, silence: f64) -> Result<Composite, Error> {
        Composite::parse(&self.text(silence), "searched".as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use speechlens_lrp::PRESETS;

    #[test]
    fn a_search_starts_at_the_default() {
        let default = PRESETS.iter().find(|(name, _)| *name == "any-network");
        let parsed = |text: &str| text.parse::<toml::Table>().unwrap();
        assert_eq!(
            parsed(&Choices::start().text(-80.0)),
            parsed(default.unwrap().1)
        );
    }

    #[test]
    fn every_choice_is_a_composite_of_its_own() {
        let mut texts = Vec::new();
        for (knob, own) in KNOBS.iter().enumerate() {
            for choice in usize::from(knob > 0)..own.choices.len() {
                let choices = Choices::start().with(knob, choice);
                choices.composite(-80.0).unwrap();
                texts.push(choices.text(-80.0));
            }
        }
        let count = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), count);
        let last = Choices::start().with(KNOBS.len() - 1, 1);
        let options = *last.composite(-80.0).unwrap().options();
        assert_eq!(options.reference, -80.0);
    }
}
