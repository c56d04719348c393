"""The main job as a story: real processes on this machine, from an empty folder to a settled bill and closed books."""
