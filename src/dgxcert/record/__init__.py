"""What happened, on disk: one line per event, and the run that is rebuilt from those lines."""
