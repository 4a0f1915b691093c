"""What is laid over the model's motion before it is shown: poise, eyes, blinks, breath."""
