"""From bytes to a face that is fit to be judged, and to the numbers that stand for it: one stage a file."""
