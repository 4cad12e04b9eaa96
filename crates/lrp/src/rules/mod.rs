//! The rules: one file a family. Each says what it is made of, and how a composite file names it.

use std::collections::BTreeMap;

use crate::Rule;

mod alpha_beta;
mod detach;
mod epsilon;
mod flat;
mod gamma;
mod signal;
mod w_square;
mod z_box;

/// Every rule that a composite file can name.
const ALL: [&[Named]; 8] = [
    epsilon::NAMES,
    gamma::NAMES,
    alpha_beta::NAMES,
    z_box::NAMES,
    w_square::NAMES,
    flat::NAMES,
    signal::NAMES,
    detach::NAMES,
];

/// A rule as a composite file names it.
struct Named {
    name: &'static str,
    /// The parameters it takes.
    takes: &'static [&'static str],
    make: fn(&Parameters) -> Result<Rule, String>,
}

/// The parameters that a row of a composite file gives its rule.
struct Parameters<'a> {
    rule: &'static str,
    values: &'a BTreeMap<String, f64>,
}

impl Parameters<'_> {
    fn get(&self, name: &str) -> Result<f64, String> {
        let value = self.values.get(name).copied();
        value
            .filter(|value| value.is_finite())
            .ok_or_else(|| format!("the rule `{}` needs a number `{name}`", self.rule))
    }

    fn get_not_below_0(&self, name: &str) -> Result<f64, String> {
        match self.get(name)? {
            value if value >= 0.0 => Ok(value),
            value => Err(format!("`{name}` must be 0 or above, not {value}")),
        }
    }

    fn get_above_0(&self, name: &str) -> Result<f64, String> {
        match self.get(name)? {
            value if value > 0.0 => Ok(value),
            value => Err(format!("`{name}` must be above 0, not {value}")),
        }
    }
}

/// The rule of this name with these parameters.
pub(crate) fn named(name: &str, values: &BTreeMap<String, f64>) -> Result<Rule, String> {
    let all = || ALL.into_iter().flatten();
    let Some(rule) = all().find(|rule| rule.name == name) else {
        let names: Vec<_> = all().map(|rule| rule.name).collect();
        return Err(format!(
            "there is no rule `{name}`; there are {}",
            names.join(", ")
        ));
    };
    let taken = |name: &&String| !rule.takes.contains(&name.as_str());
    if let Some(surplus) = values.keys().find(taken) {
        let takes = match rule.takes {
            [] => "it takes nothing".to_owned(),
            takes => format!("it takes {}", takes.join(", ")),
        };
        return Err(format!("the rule `{name}` takes no `{surplus}`; {takes}"));
    }
    (rule.make)(&Parameters {
        rule: rule.name,
        values,
    })
}
