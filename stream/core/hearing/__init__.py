"""How loud speech is, and what brings it to one level before a model hears it."""
