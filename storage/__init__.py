"""Files that the pipeline and the stand-in both read."""
