"""Training of the starter bundle: speech with phone times in, motion labels and weights out."""
