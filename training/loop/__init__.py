"""What every training run shares: steps, devices, checkpoints, losses."""
