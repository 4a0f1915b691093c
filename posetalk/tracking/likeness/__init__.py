"""Whether somebody speaks as they do in their film: measured, brought about, and judged."""
