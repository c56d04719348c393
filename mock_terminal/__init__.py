"""A terminal in software: it makes its own key, enrolls, stays connected, shows faces to a camera, and pays."""
