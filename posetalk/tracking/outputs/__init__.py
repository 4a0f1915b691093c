"""What is made of films: motion, styles, recordings to train on, and films to compare by eye."""
