"""The paper's table 1: its figures, what is measured, and the table."""
