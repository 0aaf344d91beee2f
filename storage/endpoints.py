"""URLs of S3 endpoints, without their passwords."""

import re


def without_password(text: str) -> str:
    """Return the text with user and password removed from URLs."""
    return re.sub(r"//[^/@\s]*@", "//", text)
