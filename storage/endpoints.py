"""S3 endpoints, as the environment names them."""

import re


def without_password(text: str) -> str:
    """Return the text with user and password removed from URLs."""
    return re.sub(r"//[^/@\s]*@", "//", text)
