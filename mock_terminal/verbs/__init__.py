"""What a terminal can be told to do, a module for each group of verbs."""
