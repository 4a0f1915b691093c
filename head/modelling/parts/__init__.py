"""The parts of the built-in head that need curves of their own."""
