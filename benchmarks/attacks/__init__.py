"""Everything that was thought of to hurt a server, run against one beside a well-behaved viewer."""
