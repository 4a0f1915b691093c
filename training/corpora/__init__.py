"""Speech with phone times: corpora, synthetic voices, and what is said and when in a recording."""
