"""Motion of a person in a film: faces found, landmarks followed, the head's own shapes fitted."""
