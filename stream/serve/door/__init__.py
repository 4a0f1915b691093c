"""The door: who may come in, how many, from where, and what browsers are answered."""
