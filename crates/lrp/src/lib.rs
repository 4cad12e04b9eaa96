//! Layer-wise relevance propagation: rules as data, composites, one sweep over any graph.
