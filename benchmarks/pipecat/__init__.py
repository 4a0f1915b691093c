"""A Pipecat pipeline in a browser: lips held against the sound, interruptions."""
