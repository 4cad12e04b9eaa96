//! `speechlens inspect`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::Device;
use serde_json::{Value, json};
use speechlens_models::{Model, onnx};
use speechlens_nn::Node;
use speechlens_onnx::{Axes, Onnx};

/// Tell what a network is made of.
///
/// Of a model that SpeechLens wrote: what it is given and gives, its ops, its front end (TOML, to edit and give to `import --frontend`) and its task. Of an ONNX
/// file, before any work: what it is given and gives, its ops, what front end its input's shape suggests, and every node that is not
/// supported, with the reason.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote, or an ONNX file.
    #[arg(value_name = "MODEL|FILE.onnx")]
    file: PathBuf,
    /// One JSON object, with every node by its name.
    #[arg(long)]
    json: bool,
}

/// What is told of a network.
struct Told {
    written_by: String,
    inputs: Vec<Axes>,
    outputs: Vec<Axes>,
    ops: BTreeMap<String, usize>,
    /// By name, with their ops.
    nodes: Vec<(String, String)>,
    parameters: u64,
    unsupported: Vec<speechlens_onnx::Problem>,
    /// The front end as TOML; of an ONNX file a guess, if its input suggests one.
    front_end: Option<String>,
    /// Why that is the guess, or what to do without one; none of models.
    guess: Option<String>,
    /// The task; of models.
    task: Option<Value>,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.file;
    let is_onnx = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    let told = match is_onnx {
        true => of_onnx(path)?,
        false => of_model(path)?,
    };
    match arguments.json {
        true => println!("{}", told.json(path)),
        false => print!("{}", told.text(path)),
    }
    Ok(())
}

fn of_onnx(path: &Path) -> Result<Told> {
    let network = Onnx::open(path)?;
    let inputs = network.inputs();
    let (front_end, guess) = match inputs.first().map(onnx::guess) {
        Some(Ok((front_end, why))) => (Some(front_end.to_toml()?), Some(format!("a guess: {why}"))),
        Some(Err(problem)) => (None, Some(format!("none is guessed: {problem}"))),
        None => (None, None),
    };
    Ok(Told {
        written_by: match network.producer() {
            "" => format!("ONNX, opset {}", network.opset()),
            producer => format!("ONNX, opset {}, written by {producer}", network.opset()),
        },
        inputs,
        outputs: network.outputs(),
        ops: network.ops(),
        nodes: network.nodes(),
        parameters: network.parameters(),
        unsupported: network.problems()?,
        front_end,
        guess,
        task: None,
    })
}

fn of_model(path: &Path) -> Result<Told> {
    let model = Model::load(path, &Device::Cpu)?;
    let net = model.graph.architecture();
    let mut ops = BTreeMap::new();
    for node in net.nodes() {
        *ops.entry(node.op.name().to_owned()).or_default() += 1;
    }
    let named = |node: &Node| (node.name.clone(), node.op.name().to_owned());
    let nodes = net.nodes().iter().map(named).collect();
    let inputs = net.nodes().iter().filter_map(|node| {
        let shape = &node.op.as_input()?.shape;
        Some(Axes {
            name: node.name.clone(),
            shape: shape
                .iter()
                .map(|axis| axis.ok_or_else(|| "any".to_owned()))
                .collect(),
            is_real: true,
        })
    });
    // What it gives has a shape once something is given.
    let outputs = net.outputs().into_iter().map(|output| Axes {
        name: net.nodes()[output.index()].name.clone(),
        shape: Vec::new(),
        is_real: true,
    });
    let values = model
        .graph
        .weights()
        .into_values()
        .map(|tensor| tensor.elem_count() as u64);
    Ok(Told {
        written_by: match model.arch() {
            Some(arch) => format!("SpeechLens model, {arch}"),
            None => "SpeechLens model".into(),
        },
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        parameters: values.sum(),
        ops,
        nodes,
        unsupported: Vec::new(),
        front_end: Some(model.front_end.to_toml()?),
        guess: None,
        task: Some(serde_json::to_value(&model.task)?),
    })
}

/// A name with its axes.
fn shaped(axes: &Axes) -> String {
    let axis = |axis: &Result<usize, String>| match axis {
        Ok(length) => length.to_string(),
        Err(name) => name.clone(),
    };
    let all: Vec<String> = axes.shape.iter().map(axis).collect();
    let text = match all.is_empty() {
        true => axes.name.clone(),
        false => format!("{} [{}]", axes.name, all.join(", ")),
    };
    // Names come from the file, and may hold what a terminal would obey.
    text.escape_debug().to_string()
}

impl Told {
    fn text(&self, path: &Path) -> String {
        let list = |all: &[Axes]| all.iter().map(shaped).collect::<Vec<_>>().join(", ");
        let mut ops: Vec<(&String, &usize)> = self.ops.iter().collect();
        ops.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let ops: Vec<String> = ops
            .into_iter()
            .map(|(op, count)| format!("{op} {count}"))
            .collect();
        let mut text = format!(
            "{}: {}\n\nreads       {}\ngives       {}\nops         {}\nparameters  {}\n",
            path.display(),
            self.written_by,
            list(&self.inputs),
            list(&self.outputs),
            ops.join(", "),
            self.parameters
        );
        if let Some(task) = &self.task {
            text += &format!("task        {task}\n");
        }
        match &self.guess {
            Some(guess) => text += &format!("\nfront end, {}\n", guess.escape_debug()),
            None => text += "\nfront end\n",
        }
        if let Some(front_end) = &self.front_end {
            text += &format!("\n{front_end}");
        }
        match (&self.task, self.unsupported.as_slice()) {
            (Some(_), _) => {}
            (None, []) => text += "\nEvery node is supported.\n",
            (None, problems) => {
                let count = problems.len();
                let nodes = if count == 1 { "node is" } else { "nodes are" };
                text += &format!("\n{count} {nodes} not supported:\n");
                for problem in problems {
                    text += &format!("  {problem}\n");
                }
            }
        }
        text
    }

    fn json(&self, path: &Path) -> Value {
        let list = |all: &[Axes]| -> Vec<Value> {
            let axis = |axis: &Result<usize, String>| match axis {
                Ok(length) => json!(length),
                Err(name) => json!(name),
            };
            let one = |axes: &Axes| {
                let shape: Vec<Value> = axes.shape.iter().map(axis).collect();
                json!({ "name": axes.name, "shape": shape })
            };
            all.iter().map(one).collect()
        };
        let node = |(name, op): &(String, String)| json!({ "name": name, "op": op });
        let nodes: Vec<Value> = self.nodes.iter().map(node).collect();
        let problem = |problem: &speechlens_onnx::Problem| json!({ "node": problem.node, "op": problem.op, "problem": problem.problem });
        let unsupported: Vec<Value> = self.unsupported.iter().map(problem).collect();
        let mut told = json!({
            "file": path.display().to_string(), "written_by": self.written_by, "inputs": list(&self.inputs),
            "outputs": list(&self.outputs), "ops": self.ops, "nodes": nodes, "parameters": self.parameters, "unsupported": unsupported,
        });
        if let Some(front_end) = &self.front_end {
            told["frontend"] = json!(front_end);
        }
        if let Some(guess) = &self.guess {
            told["frontend_guess"] = json!(guess);
        }
        if let Some(task) = &self.task {
            told["task"] = task.clone();
        }
        told
    }
}
