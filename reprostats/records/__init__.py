"""What a trial or a training leaves on disk: its record, its tensors, its environment."""
