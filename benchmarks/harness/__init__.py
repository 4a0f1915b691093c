"""What every benchmark shares: processes, probes, settings, a virtual microphone."""
