"""Files from elsewhere, read as data: regular files only, and limits before memory is taken."""
