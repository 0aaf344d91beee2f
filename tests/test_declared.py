"""The tables as they are declared, and the options of COPY: what a cluster makes of them is not seen in a result."""

import re

import pytest

import sql_queries

DECLARED = """
staging_events   DISTSTYLE EVEN
    artist               VARCHAR(1024)
    auth                 VARCHAR(64)
    first_name           VARCHAR(256)
    gender               VARCHAR(16)
    item_in_session      INTEGER NOT NULL
    last_name            VARCHAR(256)
    length               DOUBLE PRECISION
    level                VARCHAR(16)
    location             VARCHAR(1024)
    method               VARCHAR(16)
    page                 VARCHAR(64) NOT NULL
    registration         DOUBLE PRECISION
    session_id           INTEGER NOT NULL
    song                 VARCHAR(1024)
    status               INTEGER
    ts                   TIMESTAMP NOT NULL
    user_agent           VARCHAR(1024)
    user_id              INTEGER
staging_songs    DISTSTYLE EVEN
    num_songs            INTEGER
    artist_id            VARCHAR(64) NOT NULL
    artist_latitude      DOUBLE PRECISION
    artist_longitude     DOUBLE PRECISION
    artist_location      VARCHAR(1024)
    artist_name          VARCHAR(1024) NOT NULL
    song_id              VARCHAR(64) NOT NULL
    title                VARCHAR(1024) NOT NULL
    duration             DOUBLE PRECISION
    year                 INTEGER
songplays        DISTSTYLE EVEN  SORTKEY (start_time)
    songplay_id          BIGINT IDENTITY(0, 1)
    start_time           TIMESTAMP NOT NULL
    user_id              INTEGER
    level                VARCHAR(16)
    song_id              VARCHAR(64)
    artist_id            VARCHAR(64)
    session_id           INTEGER NOT NULL
    location             VARCHAR(1024)
    user_agent           VARCHAR(1024)
    item_in_session      INTEGER NOT NULL
    song_title           VARCHAR(1024)
    artist_name          VARCHAR(1024)
    song_length          DOUBLE PRECISION
    PRIMARY KEY (songplay_id)
users            DISTSTYLE ALL  SORTKEY (user_id)
    user_id              INTEGER NOT NULL
    first_name           VARCHAR(256)
    last_name            VARCHAR(256)
    gender               VARCHAR(16)
    level                VARCHAR(16)
    last_event_time      TIMESTAMP NOT NULL
    last_session_id      INTEGER
    last_item_in_session INTEGER
    PRIMARY KEY (user_id)
songs            DISTSTYLE ALL  SORTKEY (song_id)
    song_id              VARCHAR(64) NOT NULL
    title                VARCHAR(1024)
    artist_id            VARCHAR(64)
    year                 INTEGER
    duration             DOUBLE PRECISION
    artist_name          VARCHAR(1024)
    PRIMARY KEY (song_id)
artists          DISTSTYLE ALL  SORTKEY (artist_id)
    artist_id            VARCHAR(64) NOT NULL
    name                 VARCHAR(1024)
    location             VARCHAR(1024)
    latitude             DOUBLE PRECISION
    longitude            DOUBLE PRECISION
    PRIMARY KEY (artist_id)
time             DISTSTYLE ALL  SORTKEY (start_time)
    start_time           TIMESTAMP NOT NULL
    hour                 SMALLINT NOT NULL
    day                  SMALLINT NOT NULL
    week                 SMALLINT NOT NULL
    month                SMALLINT NOT NULL
    year                 SMALLINT NOT NULL
    weekday              VARCHAR(9) NOT NULL
    PRIMARY KEY (start_time)
loaded_files     DISTSTYLE EVEN  SORTKEY (source)
    source               VARCHAR(16) NOT NULL
    file                 VARCHAR(1280) NOT NULL
    version              VARCHAR(256) NOT NULL
    loaded_at            TIMESTAMP NOT NULL
"""

COPIES = {
    "staging_events_copy": [
        "COPY staging_events",
        "FROM %(log_data)s",
        "IAM_ROLE %(iam_role)s",
        "REGION %(region)s",
        "FORMAT AS JSON %(log_jsonpath)s",
        "TIMEFORMAT AS 'epochmillisecs'",
        "STATUPDATE ON",
    ],
    "staging_songs_copy": [
        "COPY staging_songs",
        "FROM %(song_data)s",
        "IAM_ROLE %(iam_role)s",
        "REGION %(region)s",
        "FORMAT AS JSON 'auto'",
        "STATUPDATE ON",
    ],
}
COPIES["new_files_copy"] = [
    "COPY new_files",
    "FROM %(files)s",
    "IAM_ROLE %(iam_role)s",
    "REGION %(region)s",
    "FORMAT AS JSON 'auto'",
    "GZIP",
]


def by_table(listing: str) -> dict[str, str]:
    """The part of the listing about each table, white space folded."""
    parts = re.findall(r"^(\w+) +(.*(?:\n .*)+)", listing, re.MULTILINE)
    return {name: " ".join(rest.split()) for name, rest in parts}


def listing_of(table: str) -> str:
    """The lines of DECLARED about the columns of a table."""
    return re.search(rf"^{table} .*\n((?: .*\n)+)", DECLARED, re.MULTILINE)[1]


def declared(create: str) -> tuple[str, str]:
    """The name of the table that a CREATE TABLE makes, and the rest as DECLARED has it."""
    found = re.fullmatch(
        r"\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*)\)\s*(DISTSTYLE \w+)\s*(SORTKEY \(\w+\))?\s*",
        create,
        re.DOTALL,
    )
    assert found, create
    columns = re.sub(r",\n", "\n", found[2])
    return found[1], " ".join(f"{found[3]} {found[4] or ''} {columns}".split())


@pytest.mark.parametrize("table", by_table(DECLARED))
def test_table_is_declared_as_listed(table: str) -> None:
    created = dict(map(declared, sql_queries.create_table_queries))
    assert created[table] == by_table(DECLARED)[table]


# what makes a temporary table, the table whose values it takes, and which columns of it
TEMPORARY = [
    ("new_files_create", "loaded_files", ["source", "file", "version"]),
]


@pytest.mark.parametrize(("create", "table", "columns"), TEMPORARY)
def test_temporary_table_has_room_for_what_the_table_holds(create: str, table: str, columns: list[str]) -> None:
    room = dict(re.findall(r"(\w+) (VARCHAR\(\d+\))", getattr(sql_queries, create)))
    needed = dict(re.findall(r"^ +(\w+) +([A-Z][^\n]*?)(?: NOT NULL)?$", listing_of(table), re.MULTILINE))
    assert room == {column: needed[column] for column in columns}


def test_temporary_tables_that_joins_are_made_with_are_on_all_nodes() -> None:
    # a table that is made of a query has a style of its own choice otherwise:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CTAS_usage_notes.html
    made = [query for name, query in vars(sql_queries).items() if name.endswith("_create") and " TEMP " in query]
    declared_so = re.compile(r"^CREATE TEMP TABLE \w+ DISTSTYLE ALL\b", re.MULTILINE)
    on_all = {query.split()[3] for query in made if declared_so.search(query)}
    assert on_all == {
        *("new_songs", "to_rematch", "new_artists", "plays_to_rematch", "play_songs", "new_users"),
        *("replaced_plays", "replaced_users"),
    }
    # what is not joined with a table of its own size
    alone = {"new_files", "kept_events", "staged_counts"}
    assert {query.split()[3] for query in made} - on_all == alone


def test_all_tables_are_listed_dropped_and_created() -> None:
    listed = list(by_table(DECLARED))
    assert [declared(query)[0] for query in sql_queries.create_table_queries] == listed
    assert sql_queries.drop_table_queries == [f"DROP TABLE IF EXISTS {table}" for table in listed]


@pytest.mark.parametrize("name", COPIES)
def test_copy_has_these_options(name: str) -> None:
    assert getattr(sql_queries, name).strip().splitlines() == COPIES[name]


@pytest.mark.parametrize("copy", sql_queries.copy_table_queries)
def test_copy_of_a_manifest_differs_only_in_what_it_reads(copy: sql_queries.Copy) -> None:
    lines = copy.of_manifest().with_options("GZIP").strip().splitlines()
    expected = ["FROM %(manifest)s" if line.startswith("FROM ") else line for line in COPIES[copy.name]]
    assert lines == [*expected, "MANIFEST", "GZIP"]
    assert copy.of_manifest().name == copy.name


def test_options_of_copy() -> None:
    assert sql_queries.packed_option == "GZIP"
    assert sql_queries.maxerror_option == "MAXERROR %(maxerror)s"
    assert sql_queries.check_option == "NOLOAD\nMAXERROR 100000"


def test_each_statement_has_the_name_of_its_constant() -> None:
    named = {name: value.name for name, value in vars(sql_queries).items() if isinstance(value, sql_queries.Statement)}
    assert len(named) > 80 and all(name == own for name, own in named.items())


def test_staging_is_locked_first_and_emptied_without_a_commit() -> None:
    assert sql_queries.staging_lock == "LOCK staging_events, staging_songs"
    assert sql_queries.clear_staging_queries == ["DELETE FROM staging_events", "DELETE FROM staging_songs"]
