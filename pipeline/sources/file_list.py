"""Files of a source, of which there may be hundreds of thousands, in little memory."""

from array import array
from collections.abc import Iterator

from pipeline.sources.places import FoundFile, SourceFile


class FileList:
    """Names and sizes of files, one after the other: as tuples with their versions they took three times as much."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sizes = array("Q")

    def append(self, file: SourceFile | FoundFile) -> None:
        """Add a file at the end."""
        self._names.append(file.name)
        self._sizes.append(file.size)

    def sort(self) -> None:
        """Put the files in the order of their names."""
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        self._names = [self._names[n] for n in order]
        self._sizes = array("Q", (self._sizes[n] for n in order))

    @property
    def size(self) -> int:
        """The bytes in all of the files."""
        return sum(self._sizes)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[SourceFile]:
        for name, size in zip(self._names, self._sizes, strict=True):
            yield SourceFile(name, size)
