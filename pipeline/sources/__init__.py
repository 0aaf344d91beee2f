"""With [S3] TEMP_DIR: which files of the source are new, and how they get to COPY: small ones packed, by a manifest."""
