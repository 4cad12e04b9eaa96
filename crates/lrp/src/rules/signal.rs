use super::Named;
use crate::Rule;

pub(super) const NAMES: &[Named] = &[Named {
    name: "signal",
    takes: &["epsilon"],
    make: |given| Ok(Rule::signal(given.get_above_0("epsilon")?)),
}];

impl Rule {
    /// Of the product of a gate, or attention, and a value: all to the value, by ε with the gate held, and none to the gate (Arras et
    /// al. 2017, "Explaining recurrent neural network predictions in sentiment analysis", section 3.2; Ali et al. 2022). A gate is what
    /// lies between 0 and 1 whatever the input is, as behind a sigmoid or a softmax. Elsewhere, and where both factors are gates or
    /// neither is, the ε rule.
    pub fn signal(epsilon: f64) -> Self {
        Rule {
            name: format!("signal (ε = {epsilon})"),
            to_signal: true,
            ..Rule::epsilon(epsilon)
        }
    }
}
