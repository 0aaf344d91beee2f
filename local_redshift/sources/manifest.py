"""Find the objects that a COPY reads: all under a prefix, or a manifest's entries.

https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html
"""

import json

from local_redshift import messages
from local_redshift.errors import NoSuchObject, SourceError
from local_redshift.sources.stores import SourceObject, Store, read_object


def objects_to_load(source: str, store: Store, is_manifest: bool) -> list[SourceObject]:
    """Return the objects in loading order. Raise SourceError if there are none."""
    if is_manifest:
        return _listed(source, store)
    found = store.find(source)
    if not found:
        raise store.missing(source)
    return found


def _listed(path: str, store: Store) -> list[SourceObject]:
    found: list[SourceObject] = []
    for url, mandatory in _entries(path, store):
        if store.holds(url):
            found.append(SourceObject(url))  # an object listed twice is loaded twice
        elif mandatory:
            raise store.missing(url)
    if not found:
        raise SourceError(messages.MANIFEST_NOTHING.format(path=path))
    return found


def _entries(path: str, store: Store) -> list[tuple[str, bool]]:
    """Return the URL and the mandatory flag of each entry in the manifest."""
    try:
        document = json.loads(_read(path, store))
    except ValueError as error:
        raise _invalid(path, str(error)) from error
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _invalid(path, 'it is not {"entries": [...]}')
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            raise _invalid(path, f'{json.dumps(entry)} has no "url"')
        if not isinstance(entry.get("mandatory", False), bool):
            raise _invalid(path, f'"mandatory" of {entry["url"]} is neither true nor false')
    return [(entry["url"], entry.get("mandatory", False)) for entry in entries]


def _read(path: str, store: Store) -> bytes:
    try:
        return read_object(store, path)
    except NoSuchObject as error:
        if store.find(path):
            raise SourceError(messages.MANIFEST_PATH) from error
        raise SourceError(messages.MANIFEST_MISSING.format(cause=error.message)) from error


def _invalid(path: str, problem: str) -> SourceError:
    return SourceError(messages.MANIFEST_INVALID.format(path=path, problem=problem))
