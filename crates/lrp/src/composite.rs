use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use speechlens_nn::{Kind, Node};

use crate::{Error, Result, Rule};

/// The composites that come with the crate, by name; each is a file in `presets/`.
pub const PRESETS: &[(&str, &str)] = &[
    ("lrp-0", include_str!("../presets/lrp-0.toml")),
    (
        "thesis-gender",
        include_str!("../presets/thesis-gender.toml"),
    ),
    (
        "gender-silence",
        include_str!("../presets/gender-silence.toml"),
    ),
    ("epsilon-plus", include_str!("../presets/epsilon-plus.toml")),
    (
        "epsilon-alpha2-beta1",
        include_str!("../presets/epsilon-alpha2-beta1.toml"),
    ),
];

/// What happens to the share of relevance that falls to a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bias {
    /// The bias takes its share and keeps it.
    #[default]
    Absorb,
    /// The bias is left out of the denominator.
    Zero,
}

/// Where the sweep starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the target's logit.
    #[default]
    Logit,
    /// At 1.
    One,
}

/// What holds for the whole sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// See [`Bias`].
    pub bias: Bias,
    /// See [`Start`].
    pub start: Start,
    /// The input value that stands for "nothing here": relevance tells how much an input matters against it. The layer that
    /// reads the input takes `a − reference` for its input and `b + Σ reference · w` for its bias.
    pub reference: f64,
}

/// A row of a composite: which nodes it matches, and their rule.
#[derive(Clone, Debug)]
struct Row {
    kind: Option<Kind>,
    name: Option<GlobMatcher>,
    rule: Rule,
}

/// Which rule each layer gets (the first row that matches a node wins), and options for the sweep.
#[derive(Clone, Debug)]
pub struct Composite {
    /// The preset's name, or the file's path.
    name: PathBuf,
    rows: Vec<Row>,
    options: Options,
}

/// A composite file as it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<RawRow>,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    kind: Option<String>,
    name: Option<String>,
    rule: String,
    epsilon: Option<f64>,
    alpha: Option<f64>,
    beta: Option<f64>,
}

impl RawRow {
    fn rule(&self) -> Result<Rule, String> {
        let only = |allowed: &[&str]| {
            let given = [
                ("epsilon", self.epsilon),
                ("alpha", self.alpha),
                ("beta", self.beta),
            ];
            match given
                .iter()
                .find(|(name, value)| value.is_some() && !allowed.contains(name))
            {
                Some((name, _)) => Err(format!("the rule `{}` takes no `{name}`", self.rule)),
                None => Ok(()),
            }
        };
        let needed = |name: &str, value: Option<f64>| {
            value
                .filter(|v| v.is_finite())
                .ok_or_else(|| format!("the rule `{}` needs a number `{name}`", self.rule))
        };
        match self.rule.as_str() {
            "epsilon" => only(&["epsilon"]).and_then(|()| match needed("epsilon", self.epsilon)? {
                epsilon if epsilon > 0.0 => Ok(Rule::epsilon(epsilon)),
                epsilon => Err(format!("`epsilon` must be above 0, not {epsilon}")),
            }),
            "lrp-0" => only(&[]).map(|()| Rule::zero()),
            "z-plus" => only(&[]).map(|()| Rule::alpha_beta(1.0, 0.0)),
            "alpha-beta" => only(&["alpha", "beta"]).and_then(|()| {
                let (alpha, beta) = (needed("alpha", self.alpha)?, needed("beta", self.beta)?);
                match (alpha - beta - 1.0).abs() < 1e-9 && beta >= 0.0 {
                    true => Ok(Rule::alpha_beta(alpha, beta)),
                    false => Err(format!(
                        "`alpha` − `beta` must be 1 and `beta` at least 0, not {alpha} and {beta}"
                    )),
                }
            }),
            other => Err(format!(
                "there is no rule `{other}`; there are epsilon, lrp-0, z-plus, alpha-beta"
            )),
        }
    }

    fn row(&self) -> Result<Row, String> {
        let glob = |name: &String| {
            Glob::new(name)
                .map(|glob| glob.compile_matcher())
                .map_err(|e| e.to_string())
        };
        Ok(Row {
            kind: self.kind.as_ref().map(|kind| kind.parse()).transpose()?,
            name: self.name.as_ref().map(glob).transpose()?,
            rule: self.rule()?,
        })
    }
}

impl Composite {
    /// A preset by name, or else a TOML file.
    pub fn load(name: &str) -> Result<Self> {
        if PRESETS.iter().any(|(preset, _)| *preset == name) {
            return Self::preset(name);
        }
        match std::fs::read_to_string(name) {
            Ok(text) => Self::parse(&text, Path::new(name)),
            Err(source) => Err(Error::NoComposite {
                name: name.to_owned(),
                presets: preset_names(),
                source,
            }),
        }
    }

    /// One of [`PRESETS`].
    pub fn preset(name: &str) -> Result<Self> {
        match PRESETS.iter().find(|(preset, _)| *preset == name) {
            Some((name, text)) => Self::parse(text, Path::new(name)),
            None => Err(Error::Composite {
                path: name.into(),
                problem: format!("is no preset; there are {}", preset_names()),
            }),
        }
    }

    /// A composite from the text of a TOML file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |problem| Error::Composite {
            path: path.to_owned(),
            problem,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(String::new(), |before| {
                format!("line {}: ", before.matches('\n').count() + 1)
            });
            wrong(format!("{line}{}", error.message()))
        })?;
        if !file.options.reference.is_finite() {
            return Err(wrong("`reference` must be a finite number".into()));
        }
        let row = |(index, row): (usize, &RawRow)| {
            row.row()
                .map_err(|problem| wrong(format!("row {}: {problem}", index + 1)))
        };
        let rows = file
            .rule
            .iter()
            .enumerate()
            .map(row)
            .collect::<Result<_>>()?;
        Ok(Composite {
            name: path.to_owned(),
            rows,
            options: file.options,
        })
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The rule of the first row that matches the node.
    pub fn rule(&self, node: &Node) -> Option<&Rule> {
        let matches = |row: &&Row| {
            row.kind.is_none_or(|kind| kind == node.op.kind())
                && row
                    .name
                    .as_ref()
                    .is_none_or(|glob| glob.is_match(&node.name))
        };
        self.rows.iter().find(matches).map(|row| &row.rule)
    }
}

impl Display for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.display().fmt(f)
    }
}

fn preset_names() -> String {
    PRESETS
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_parses() {
        for (name, _) in PRESETS {
            Composite::preset(name).unwrap();
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("[[rule]]\nrule = \"epsilon\"", "needs a number `epsilon`"),
            ("[[rule]]\nrule = \"epsilon\"\nepsilon = 0.0", "above 0"),
            (
                "[[rule]]\nrule = \"lrp-0\"\nepsilon = 0.1",
                "takes no `epsilon`",
            ),
            (
                "[[rule]]\nrule = \"alpha-beta\"\nalpha = 2.0\nbeta = 2.0",
                "must be 1",
            ),
            ("[[rule]]\nrule = \"magic\"", "no rule `magic`"),
            (
                "[[rule]]\nkind = \"cnv\"\nrule = \"lrp-0\"",
                "no kind of layer",
            ),
            ("[[rule]]\nrule = \"lrp-0\"\nepsilonn = 1", "unknown field"),
            ("[options]\nreference = nan", "finite"),
            ("[options]\nbias = \"keep\"", "unknown variant"),
        ] {
            let error = Composite::parse(text, Path::new("mine.toml"))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("mine.toml: ") && error.contains(named),
                "{text}\n{error}"
            );
        }
    }
}
