//! Heatmaps, curves, tables and the self-contained HTML report.
