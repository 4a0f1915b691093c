"""Whole hops of many streams at once, whose states lie in slots where the model runs."""
