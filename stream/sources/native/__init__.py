"""C code beneath the sources: what it prints, and what it keeps waiting."""
