"""Addresses of S3 servers, as the environment has them."""

import re


def without_password(text: str) -> str:
    """Return the text without the user and password that a URL in it may have."""
    return re.sub(r"//[^/@\s]*@", "//", text)
