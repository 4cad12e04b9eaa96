//! A network as a graph of named nodes: ops, kernels, training, checkpoints.
