//! A file, checked before any of it is used.

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::{Error, Result, proto};

/// The versions of ONNX's own ops that are known.
pub const OPSETS: std::ops::RangeInclusive<i64> = 9..=23;

/// The network of a file, and the version of the ops it is told by.
pub(crate) struct File {
    pub graph: proto::Graph,
    pub opset: i64,
    pub producer: String,
}

impl File {
    pub fn read(path: &Path) -> Result<Self> {
        let told = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        // A device or a pipe could go on for ever.
        if !std::fs::metadata(path).map_err(told)?.is_file() {
            return Err(Error::Format {
                path: path.to_owned(),
                problem: "is no file: give an ONNX file".into(),
            });
        }
        Self::parse(std::fs::read(path).map_err(told)?.into(), path)
    }

    /// `path` is for messages.
    pub fn parse(bytes: Bytes, path: &Path) -> Result<Self> {
        let wrong = |problem: String| Error::Format {
            path: path.to_owned(),
            problem,
        };
        let model = proto::Model::decode(bytes).map_err(|error| {
            wrong(format!(
                "is no whole ONNX file ({error}): export it again, or copy it again if it was cut off"
            ))
        })?;
        let Some(graph) = model.graph.filter(|graph| !graph.nodes.is_empty()) else {
            return Err(wrong("is no ONNX file: it holds no network".into()));
        };
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let opset = model.opsets.iter().find(|opset| own(&opset.domain));
        let Some(opset) = opset.map(|opset| opset.version) else {
            return Err(wrong(
                "says no version of ONNX's ops: export it again".into(),
            ));
        };
        if !OPSETS.contains(&opset) {
            return Err(wrong(format!(
                "is told by version {opset} of ONNX's ops, and {} to {} are read: export it again with one of these \
                 (opset_version=17)",
                OPSETS.start(),
                OPSETS.end()
            )));
        }
        if let Some(function) = model.functions.first() {
            return Err(wrong(format!(
                "tells ops of its own by functions, `{}` first: export it with functions inlined (onnx.inliner.inline_local_functions)",
                function.name
            )));
        }
        let producer = format!("{} {}", model.producer, model.producer_version);
        Ok(File {
            graph,
            opset,
            producer: producer.trim().to_owned(),
        })
    }
}
