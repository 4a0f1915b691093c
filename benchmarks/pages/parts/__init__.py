"""The parts of the performance page, one for each file of figures."""
