use super::Named;
use crate::Rule;

pub(super) const NAMES: &[Named] = &[Named {
    name: "detach",
    takes: &[],
    make: |_| Ok(Rule::detach()),
}];

impl Rule {
    /// Nothing is passed on. Of a softmax: attention is held as it was, and all relevance goes by the values (Ali et al. 2022, "XAI for
    /// transformers: better explanations through conservative propagation", Eq. 7).
    pub fn detach() -> Self {
        Rule::new("detach", [])
    }
}
