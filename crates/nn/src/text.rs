//! An architecture as text: JSON, a node a line.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::graph::{Architecture, NodeId};
use crate::ops::Registry;
use crate::{Attributes, Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    input: Vec<usize>,
    nodes: Vec<NodeText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    name: String,
    op: String,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
    inputs: Vec<String>,
}

impl Architecture {
    /// The architecture as JSON: the shape of one `input`, the batch left out, and the `nodes`, each after those it reads, with its
    /// `name`, its `op` with its `attributes`, and by their names the nodes that are its `inputs`; `input` is the network's own.
    /// [`Architecture::parse`] reads it back.
    ///
    /// ```
    /// use speechlens_nn::{Architecture, ops::{Linear, Registry, Relu}};
    ///
    /// let mut net = Architecture::new([3]);
    /// let x = net.add("dense", Linear::new(3, 2), [net.input()])?;
    /// net.add("relu", Relu, [x])?;
    /// let text = r#"{"input":[3],"nodes":[
    /// {"name":"dense","op":"linear","attributes":{"bias":true,"inputs":3,"outputs":2},"inputs":["input"]},
    /// {"name":"relu","op":"relu","inputs":["dense"]}
    /// ]}"#;
    /// assert_eq!(net.to_json(), text);
    /// assert_eq!(Architecture::parse(text, &Registry::default())?.to_json(), text);
    /// # Ok::<(), speechlens_nn::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let mut text = format!("{{\"input\":{:?},\"nodes\":[", self.input_shape()).replace(' ', "");
        for (place, node) in self.nodes().iter().enumerate().skip(1) {
            let inputs = node.inputs.iter();
            let line = NodeText {
                name: node.name.clone(),
                op: node.op.name().to_owned(),
                attributes: node.op.attributes(),
                inputs: inputs
                    .map(|read| self.nodes()[read.index()].name.clone())
                    .collect(),
            };
            let comma = if place == 1 { "" } else { "," };
            // Strings, numbers and lists of them: neither serde nor a string refuses them.
            let line = serde_json::to_string(&line).unwrap_or_default();
            let _ = write!(text, "{comma}\n{line}");
        }
        text + "\n]}"
    }

    /// The architecture of a text that [`Architecture::to_json`] wrote, or somebody by hand, of the ops that there are.
    ///
    /// # Errors
    /// If it is no such text; a node that is not right is named: its op is unknown, or an attribute is, or what it reads is not
    /// there before it.
    pub fn parse(text: &str, ops: &Registry) -> Result<Self> {
        let text: Text =
            serde_json::from_str(text).map_err(|error| Error::Text(error.to_string()))?;
        let mut net = Architecture::new(text.input);
        for node in text.nodes {
            let place = |read: &String| {
                let place = net.nodes().iter().position(|known| known.name == *read);
                place
                    .map(NodeId::new)
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
        Ok(net)
    }
}
