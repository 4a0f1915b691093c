"""Films of the face: how they look, judged beforehand, and the files that they become."""
