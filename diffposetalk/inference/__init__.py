"""The networks laid out once for speed, in one precision."""
