"""How good are the face decisions on a labelled folder of pictures? Rates with intervals, and a report to hand on."""
