use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use speechlens_nn::{Graph, Kind};

use crate::plan::{By, layers, moved_input, placed_input};
use crate::{Error, Result, Rule, rules};

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../presets/", $name, ".toml")))),*]
    };
}

/// The composites that come with the crate, by name; each is a file in `presets/`.
pub const PRESETS: &[(&str, &str)] = presets![
    "lrp-0",
    "thesis-gender",
    "gender-silence",
    "thesis-speaker-zero",
    "thesis-speaker-epsilon",
    "thesis-speaker-epsilon-gamma",
    "epsilon-plus",
    "epsilon-plus-silence",
    "epsilon-plus-flat",
    "epsilon-gamma-silence",
    "epsilon-gamma1-silence",
    "epsilon-gamma-box",
    "epsilon-alpha2-beta1",
    "epsilon-alpha2-beta1-flat",
    "any-network",
];

/// What batch normalization is to the sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormalization {
    /// Part of the dense layer or convolution that it alone reads; a layer of its own behind anything else.
    #[default]
    Merge,
    /// A layer of its own, with a rule of its own: under ε `x·s·R / (z + ε s(z))` with `s = γ/√(σ² + ε)` and z what it gave.
    Ratio,
}

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
    /// See [`BatchNormalization`].
    pub batchnorm: BatchNormalization,
    /// See [`Bias`].
    pub bias: Bias,
    /// See [`Start`].
    pub start: Start,
    /// The input value that stands for "nothing here": relevance tells how much an input matters against it. The layer that
    /// reads the input takes `a − reference` for its input and `b + Σ reference · w` for its bias.
    pub reference: f64,
    /// The lowest and the highest value that the input can have, for the rule `z-box`.
    pub bounds: Option<[f64; 2]>,
}

/// Which layers get a rule: all that match every condition given.
///
/// A row without a kind matches what is linear in its input and its rule can run on: layers, and products in each factor. Rules that
/// map weights (all but `epsilon` and `lrp-0`) pass over layers without weights of their own, such as layer normalization; in a row
/// that names their kind they are an error. Sums of branches need no rule: each branch takes its part in proportion to its value,
/// stabilized by 1e-6, or exactly where the modified gradient comes to it ([`Rule::epsilon`] of 0). A row with the kind `sum` gives them another ε. What recurrent layers write goes by LRP-0, unless a row with the
/// kind `recurrent` gives it another rule; their gates take none.
///
/// A product of two values gives half to each (Achtibat et al. 2024, "AttnLRP", Eq. 14 and 15), under the rule `signal` all to the value
/// and none to its gate or to attention ([`Rule::signal`]); a constant factor takes none. A softmax inside the network goes by its Taylor
/// expansion (Eq. 13 there), unless a row with the kind `softmax` says `detach` ([`Rule::detach`]): then nothing goes through it.
#[derive(Clone, Debug)]
pub struct Row {
    kinds: Option<Vec<Kind>>,
    name: Option<GlobMatcher>,
    depth: Option<Depth>,
    rule: Rule,
}

/// How near the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// The layers that read the input.
    First,
    /// The third of the layers nearest the input.
    FirstThird,
}

impl Row {
    /// The rule for all layers.
    pub fn new(rule: Rule) -> Self {
        Row {
            kinds: None,
            name: None,
            depth: None,
            rule,
        }
    }

    /// For layers of this kind alone.
    pub fn of_kind(self, kind: Kind) -> Self {
        Row {
            kinds: Some(vec![kind]),
            ..self
        }
    }

    /// For layers whose name matches a glob alone, such as `layer1.*`.
    pub fn named(self, glob: &str) -> Result<Self, globset::Error> {
        Ok(Row {
            name: Some(Glob::new(glob)?.compile_matcher()),
            ..self
        })
    }

    /// For the layers that read the input alone.
    pub fn first(self) -> Self {
        Row {
            depth: Some(Depth::First),
            ..self
        }
    }

    /// For the third of the layers nearest the input alone: of the dense layers and convolutions in the graph's order, the
    /// first third, rounded up, and all that stands before the next one.
    pub fn first_third(self) -> Self {
        Row {
            depth: Some(Depth::FirstThird),
            ..self
        }
    }
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
#[serde(rename_all = "kebab-case")]
struct RawRow {
    kind: Option<String>,
    name: Option<String>,
    #[serde(default)]
    first: bool,
    #[serde(default)]
    first_third: bool,
    rule: String,
    /// The rule's parameters.
    #[serde(flatten)]
    parameters: BTreeMap<String, toml::Value>,
}

impl RawRow {
    fn rule(&self) -> Result<Rule, String> {
        let number = |(name, value): (&String, &toml::Value)| {
            let number = match value {
                toml::Value::Float(number) => *number,
                toml::Value::Integer(number) => *number as f64,
                _ => {
                    return Err(format!(
                        "`{name}` is unknown: a row has kind, name, first, first-third, rule, and the rule's numbers"
                    ));
                }
            };
            Ok((name.clone(), number))
        };
        let parameters = self.parameters.iter().map(number);
        rules::named(&self.rule, &parameters.collect::<Result<_, String>>()?)
    }

    fn row(&self) -> Result<Row, String> {
        let mut row = Row::new(self.rule()?);
        row.kinds = self.kind.as_deref().map(kinds).transpose()?;
        if let Some(glob) = &self.name {
            row = row.named(glob).map_err(|e| e.to_string())?;
        }
        Ok(match (self.first, self.first_third) {
            (true, true) => return Err("say `first` or `first-third`, not both".into()),
            (true, false) => row.first(),
            (false, true) => row.first_third(),
            (false, false) => row,
        })
    }
}

/// The kinds that a composite file means; `batchnorm` is that of one and of two dimensions.
fn kinds(name: &str) -> Result<Vec<Kind>, String> {
    match name {
        "batchnorm" => Ok(vec![Kind::BatchNorm1d, Kind::BatchNorm2d]),
        name => Ok(vec![name.parse()?]),
    }
}

impl Composite {
    /// A composite of these rows.
    pub fn new(name: impl Into<PathBuf>, rows: impl Into<Vec<Row>>, options: Options) -> Self {
        Composite {
            name: name.into(),
            rows: rows.into(),
            options,
        }
    }

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
        if let Some([low, high]) = file.options.bounds
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            return Err(wrong(
                "`bounds` must be two finite numbers, the lower first".into(),
            ));
        }
        let row = |(index, row): (usize, &RawRow)| {
            row.row()
                .map_err(|problem| wrong(format!("row {}: {problem}", index + 1)))
        };
        let rows = file.rule.iter().enumerate().map(row);
        Ok(Composite::new(
            path,
            rows.collect::<Result<Vec<_>>>()?,
            file.options,
        ))
    }

    /// The preset's name, or the file's path.
    pub fn name(&self) -> String {
        self.name.display().to_string()
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The same composite where the input lies between these bounds, unless it says so itself.
    pub fn with_bounds(mut self, bounds: [f64; 2]) -> Self {
        self.options.bounds.get_or_insert(bounds);
        self
    }

    /// The same rules with relevance measured against another value of the input.
    pub fn with_reference(mut self, reference: f64) -> Self {
        self.options.reference = reference;
        self
    }

    /// For every node of the graph, the rule of the first row that matches it.
    pub(crate) fn assign(&self, graph: &Graph) -> Vec<Option<&Rule>> {
        let is_weighted = |kind| matches!(kind, Kind::Linear | Kind::Conv);
        let weighted = graph
            .nodes()
            .filter(|(_, node)| is_weighted(node.op.kind()));
        let third = weighted.count().div_ceil(3);
        let mut passed = 0;
        // Bounds are those of the input alone, and not of what lies around it.
        let [is_input, is_bounded] = [placed_input(graph), moved_input(graph)];
        let assigned = graph.nodes().map(|(_, node)| {
            let kind = node.op.kind();
            passed += usize::from(is_weighted(kind));
            let reads = |of: &[bool]| node.inputs.iter().any(|read| of[read.index()]);
            let matches = |row: &&Row| {
                let by_kind = match &row.kinds {
                    Some(kinds) => kinds.contains(&kind),
                    None => By::of(node) == By::Rule && layers(node).all(|op| row.rule.runs_on(op)),
                };
                let by_name = row
                    .name
                    .as_ref()
                    .is_none_or(|glob| glob.is_match(&node.name));
                by_kind
                    && by_name
                    && match row.depth {
                        None => true,
                        Some(Depth::First) if row.rule.needs_bounds() => reads(&is_bounded),
                        Some(Depth::First) => reads(&is_input),
                        Some(Depth::FirstThird) => passed <= third,
                    }
            };
            self.rows.iter().find(matches).map(|row| &row.rule)
        });
        assigned.collect()
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
            ("[[rule]]\nrule = \"epsilon\"\nepsilon = -1", "0 or above"),
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
            (
                "[[rule]]\nrule = \"lrp-0\"\nepsilonn = 1",
                "takes no `epsilonn`",
            ),
            (
                "[[rule]]\nrule = \"lrp-0\"\nkinds = \"conv\"",
                "`kinds` is unknown",
            ),
            (
                "[[rule]]\nrule = \"lrp-0\"\nfirst = true\nfirst-third = true",
                "not both",
            ),
            ("[options]\nbounds = [0.0, -80.0]", "the lower first"),
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
