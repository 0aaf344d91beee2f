"""Files, for the pipeline and the stand-in."""
