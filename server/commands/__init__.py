"""The verbs of the `shualian` command, one file for each noun."""
