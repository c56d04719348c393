"""What speaks for or against a living person, cue by cue, and the one place where the cues become a decision."""
