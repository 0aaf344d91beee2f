"""However a source is cut into runs, in whatever order and how often: the star schema is the same."""

import contextlib
import io

import pytest
from helpers import Warehouse, event, song
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TITLES, NAMES = ["Song", "Other", "Song ", None], ["Band", "X", None]

plays = st.builds(
    event,
    song=st.sampled_from(TITLES),
    artist=st.sampled_from(NAMES),
    length=st.sampled_from([100.0, 205.0, None]),
    page=st.sampled_from(["NextSong", "NextSong", "NextSong", "Home"]),
    level=st.sampled_from(["free", "paid"]),
    userId=st.sampled_from(["1", "2", ""]),
    ts=st.sampled_from([1541105830796 + n * 40_000_000 for n in range(4)]),
    sessionId=st.integers(1, 2),
    itemInSession=st.integers(0, 2),
    firstName=st.sampled_from(["Ada", "Ida"]),
)
songs = st.builds(
    song,
    song_id=st.sampled_from(["SO1", "SO2", "SO3"]),
    artist_id=st.sampled_from(["AR1", "AR2"]),
    title=st.sampled_from(["Song", "Other", "More"]),
    artist_name=st.sampled_from(["Band", "X", "Z"]),
    duration=st.sampled_from([99.0, 200.0, None]),
    year=st.sampled_from([0, 1999]),
    artist_location=st.sampled_from(["", "Portland"]),
    artist_latitude=st.sampled_from([None, 45.5]),
)


@st.composite
def sources(draw: st.DrawFn) -> tuple[list[dict], list[dict], list[tuple[list[dict], list[dict]]]]:
    """Events, songs, and runs of parts of them that together hold everything, some of it more than once."""
    events = draw(st.lists(plays, min_size=1, max_size=12))
    catalogue = draw(st.lists(songs, min_size=1, max_size=5))
    count = draw(st.integers(1, 3))
    runs = [([], []) for _ in range(count)]
    for part, items in enumerate((events, catalogue)):
        for item in items:
            for run in draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2)):
                runs[run][part].append(item)
    # a prefix with nothing under it fails: such a run has something that another has too
    return events, catalogue, [(part[0] or events[:1], part[1] or catalogue[:1]) for part in runs]


class InProcess:
    """A warehouse loaded by the scripts' own functions, without a process for each run."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def load(self, runs: list[tuple[list[dict], list[dict]]]) -> dict[str, list[tuple]]:
        """The star schema after these runs, from empty tables."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.warehouse.create_tables()
            for events, catalogue in runs:
                self.warehouse.write_log(events)
                self.warehouse.write_songs(catalogue)
                self.warehouse.load()
        return self.warehouse.star()


@pytest.fixture
def in_process(tables: Warehouse) -> InProcess:
    return InProcess(tables)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=sources())
def test_any_split_in_any_order_is_one_load_of_everything(in_process: InProcess, source: tuple) -> None:
    events, catalogue, runs = source
    assert in_process.load(runs) == in_process.load([(events, catalogue)])
