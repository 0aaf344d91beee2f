"""File helpers shared by the pipeline and the stand-in."""
