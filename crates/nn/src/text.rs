//! An architecture as text: JSON, a node a line.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::graph::Architecture;
use crate::ops::Registry;
use crate::{Attributes, Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    nodes: Vec<NodeText>,
    outputs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    name: String,
    op: String,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
}

impl Architecture {
    /// The architecture as JSON: the `nodes`, each after those it reads, with its `name`, its `op` with its `attributes`, and by their
    /// names the nodes that are its `inputs`; and the names of the `outputs`. What is given from outside is a node of the op `input`
    /// ([`Input`](crate::ops::Input)); null is an axis of any length. [`Architecture::parse`] reads it back.
    ///
    /// ```
    /// use speechlens_nn::{Architecture, ops::{Linear, Registry, Relu}};
    ///
    /// let mut net = Architecture::new([3]);
    /// let x = net.add("dense", Linear::new(3, 2), [net.input()])?;
    /// net.add("relu", Relu, [x])?;
    /// let text = r#"{"nodes":[
    /// {"name":"input","op":"input","attributes":{"shape":[null,3],"state":false}},
    /// {"name":"dense","op":"linear","attributes":{"bias":true,"inputs":3,"outputs":2},"inputs":["input"]},
    /// {"name":"relu","op":"relu","inputs":["dense"]}
    /// ],"outputs":["relu"]}"#;
    /// assert_eq!(net.to_json(), text);
    /// assert_eq!(Architecture::parse(text, &Registry::default())?.to_json(), text);
    /// # Ok::<(), speechlens_nn::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let mut text = "{\"nodes\":[".to_owned();
        for (place, node) in self.nodes().iter().enumerate() {
            let inputs = node.inputs.iter();
            let line = NodeText {
                name: node.name.clone(),
                op: node.op.name().to_owned(),
                attributes: node.op.attributes(),
                inputs: inputs
                    .map(|read| self.nodes()[read.index()].name.clone())
                    .collect(),
            };
            let comma = if place == 0 { "" } else { "," };
            // Strings, numbers and lists of them: neither serde nor a string refuses them.
            let line = serde_json::to_string(&line).unwrap_or_default();
            let _ = write!(text, "{comma}\n{line}");
        }
        let outputs = self.outputs().into_iter();
        let outputs: Vec<&str> = outputs
            .map(|output| self.nodes()[output.index()].name.as_str())
            .collect();
        let outputs = serde_json::to_string(&outputs).unwrap_or_default();
        text + "\n],\"outputs\":" + &outputs + "}"
    }

    /// The architecture of a text that [`Architecture::to_json`] wrote, or somebody by hand, of the ops that there are.
    ///
    /// # Errors
    /// If it is no such text, its first node is no `input`, or an output is not there; a node that is not right is named: its op is
    /// unknown, or an attribute is, it reads too many or too few, what it reads is not there before it, or its name is taken.
    pub fn parse(text: &str, ops: &Registry) -> Result<Self> {
        let text: Text = serde_json::from_str(text)
            .map_err(|error| Error::Text(format!("is no JSON of nodes and outputs ({error})")))?;
        let mut net = Architecture::from_parts(Vec::new(), Vec::new());
        for node in text.nodes {
            let place = |read: &String| {
                net.node(read)
                    .ok_or_else(|| format!("reads `{read}`, which is not there before it"))
            };
            let inputs = node.inputs.iter().map(place).collect::<Result<Vec<_>, _>>();
            let made = ops.make(&node.op, node.attributes);
            match (made, inputs) {
                (Ok(op), Ok(inputs)) => net.add_node(node.name, op, inputs)?,
                (Err(problem), _) | (_, Err(problem)) => {
                    return Err(Error::Graph {
                        node: node.name,
                        problem,
                    });
                }
            };
        }
        let first = net.nodes().first();
        if first.is_none_or(|node| node.op.as_input().is_none()) {
            return Err(Error::Text("the first node is no `input`".into()));
        }
        let output = |name: &String| {
            let problem = || Error::Text(format!("there is no node `{name}` to be an output"));
            net.node(name).ok_or_else(problem)
        };
        let outputs = text
            .outputs
            .iter()
            .map(output)
            .collect::<Result<Vec<_>>>()?;
        net.with_outputs(outputs)
    }
}
