"""From noise to motion: samplers, their tables for graphs, and guidance."""
