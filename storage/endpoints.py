"""Remove user and password from S3 endpoint URLs."""

import re


def without_password(text: str) -> str:
    """Return the text with user and password removed from URLs."""
    return re.sub(r"//[^/@\s]*@", "//", text)
