"""What measures: each module times one promise of the design beside its yardstick, both in the same run."""
