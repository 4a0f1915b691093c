"""The settings of a run, as plain dataclasses: what commands read, and what programs may build."""
