"""Every SQL statement of the pipeline.

The scripts run the lists of statements at the end of this file. The dialect is Redshift's; "the stand-in" is
local_redshift, which runs the same statements on this machine. Values are psycopg2 parameters: %(log_data)s,
%(log_jsonpath)s, %(song_data)s, %(iam_role)s, %(region)s and %(maxerror)s come from dwh.cfg, the others from the
scripts.
"""


class Statement(str):
    """The text of an SQL statement. `name` is the constant it is assigned to, if any."""

    name = ""


class Copy(Statement):
    """A COPY into `table`. `reads` lists the [S3] keys that it uses, in lower case, source first."""

    table: str
    reads: "tuple[str, ...]"

    def __new__(cls, text: str, table: str, reads: "tuple[str, ...]") -> "Copy":
        made = super().__new__(cls, text)
        made.table, made.reads = table, reads
        return made

    @property
    def source(self) -> str:
        """The [S3] key in dwh.cfg that sets this COPY's prefix."""
        return self.reads[0]

    def with_options(self, options: str) -> "Copy":
        """Return this COPY with more options."""
        return self._changed(f"{self}\n{options}")

    def of_manifest(self) -> "Copy":
        """Return this COPY with %(manifest)s in place of its prefix."""
        return self._changed(self.replace(f"%({self.source})s", "%(manifest)s") + "\nMANIFEST")

    def _changed(self, text: str) -> "Copy":
        made = Copy(text, self.table, self.reads)
        made.name = self.name
        return made


# DROP TABLES ----------------------------------------------------------------------------------------------------------

staging_events_table_drop = Statement("DROP TABLE IF EXISTS staging_events")
staging_songs_table_drop = Statement("DROP TABLE IF EXISTS staging_songs")
songplays_table_drop = Statement("DROP TABLE IF EXISTS songplays")
users_table_drop = Statement("DROP TABLE IF EXISTS users")
songs_table_drop = Statement("DROP TABLE IF EXISTS songs")
artists_table_drop = Statement("DROP TABLE IF EXISTS artists")
time_table_drop = Statement("DROP TABLE IF EXISTS time")
loaded_files_table_drop = Statement("DROP TABLE IF EXISTS loaded_files")

# CREATE TABLES --------------------------------------------------------------------------------------------------------

# One row per log line; the columns are in the order of the JSONPaths file. NOT NULL makes COPY reject a line that is
# not an event or lacks part of its key (ts, session_id, item_in_session), and report the file and line number. Lengths
# are in bytes.
staging_events_table_create = Statement("""
CREATE TABLE staging_events (
    artist          VARCHAR(1024),
    auth            VARCHAR(64),
    first_name      VARCHAR(256),
    gender          VARCHAR(16),
    item_in_session INTEGER           NOT NULL,
    last_name       VARCHAR(256),
    length          DOUBLE PRECISION,
    level           VARCHAR(16),
    location        VARCHAR(1024),
    method          VARCHAR(16),
    page            VARCHAR(64)       NOT NULL,
    registration    DOUBLE PRECISION,
    session_id      INTEGER           NOT NULL,
    song            VARCHAR(1024),
    status          INTEGER,
    ts              TIMESTAMP         NOT NULL,
    user_agent      VARCHAR(1024),
    user_id         INTEGER
) DISTSTYLE EVEN""")

# One row per song file. With 'auto', COPY maps JSON keys to columns by name. Numbers with a fraction are DOUBLE
# PRECISION: a DECIMAL would cut off digits beyond its scale.
staging_songs_table_create = Statement("""
CREATE TABLE staging_songs (
    num_songs        INTEGER,
    artist_id        VARCHAR(64)       NOT NULL,
    artist_latitude  DOUBLE PRECISION,
    artist_longitude DOUBLE PRECISION,
    artist_location  VARCHAR(1024),
    artist_name      VARCHAR(1024)     NOT NULL,
    song_id          VARCHAR(64)       NOT NULL,
    title            VARCHAR(1024)     NOT NULL,
    duration         DOUBLE PRECISION,
    year             INTEGER
) DISTSTYLE EVEN""")

# The fact table: one row per NextSong event. Its natural key is start_time, session_id and item_in_session. The last
# three columns are the event's own title, artist name and length: if the song is added to the catalogue later, they are
# used to match the play.
songplays_table_create = Statement("""
CREATE TABLE songplays (
    songplay_id     BIGINT IDENTITY(0, 1),
    start_time      TIMESTAMP         NOT NULL,
    user_id         INTEGER,
    level           VARCHAR(16),
    song_id         VARCHAR(64),
    artist_id       VARCHAR(64),
    session_id      INTEGER           NOT NULL,
    location        VARCHAR(1024),
    user_agent      VARCHAR(1024),
    item_in_session INTEGER           NOT NULL,
    song_title      VARCHAR(1024),
    artist_name     VARCHAR(1024),
    song_length     DOUBLE PRECISION,
    PRIMARY KEY (songplay_id)
) DISTSTYLE EVEN SORTKEY (start_time)""")

# One row per user, from the user's latest event. The last three columns identify that event, so that loading an older
# log later does not bring back an old level.
users_table_create = Statement("""
CREATE TABLE users (
    user_id              INTEGER      NOT NULL,
    first_name           VARCHAR(256),
    last_name            VARCHAR(256),
    gender               VARCHAR(16),
    level                VARCHAR(16),
    last_event_time      TIMESTAMP    NOT NULL,
    last_session_id      INTEGER,
    last_item_in_session INTEGER,
    PRIMARY KEY (user_id)
) DISTSTYLE ALL SORTKEY (user_id)""")

# One row per song in the catalogue, and one per played song that is missing from it; the ids of missing songs start
# with EV. Plays are matched by this artist_name: an artist's name may differ from song to song, and the artists table
# keeps only one.
songs_table_create = Statement("""
CREATE TABLE songs (
    song_id     VARCHAR(64)       NOT NULL,
    title       VARCHAR(1024),
    artist_id   VARCHAR(64),
    year        INTEGER,
    duration    DOUBLE PRECISION,
    artist_name VARCHAR(1024),
    PRIMARY KEY (song_id)
) DISTSTYLE ALL SORTKEY (song_id)""")

# One row per artist in the catalogue, and one per played artist missing from it; the ids of missing artists start with
# EV.
artists_table_create = Statement("""
CREATE TABLE artists (
    artist_id VARCHAR(64)       NOT NULL,
    name      VARCHAR(1024),
    location  VARCHAR(1024),
    latitude  DOUBLE PRECISION,
    longitude DOUBLE PRECISION,
    PRIMARY KEY (artist_id)
) DISTSTYLE ALL SORTKEY (artist_id)""")

# One row per timestamp at which a play started; week is the ISO 8601 week, and weekday is the day's English name.
time_table_create = Statement("""
CREATE TABLE time (
    start_time TIMESTAMP  NOT NULL,
    hour       SMALLINT   NOT NULL,
    day        SMALLINT   NOT NULL,
    week       SMALLINT   NOT NULL,
    month      SMALLINT   NOT NULL,
    year       SMALLINT   NOT NULL,
    weekday    VARCHAR(9) NOT NULL,
    PRIMARY KEY (start_time)
) DISTSTYLE ALL SORTKEY (start_time)""")

# One row per loaded file, written only if TEMP_DIR is set. version is the ETag of an object, or the size and
# modification time of a local file. The table is only an optimisation, because loading a file twice changes nothing.
# Each load with TEMP_DIR runs this statement in case the table is missing, hence IF NOT EXISTS.
loaded_files_table_create = Statement("""
CREATE TABLE IF NOT EXISTS loaded_files (
    source    VARCHAR(16)   NOT NULL,
    file      VARCHAR(1280) NOT NULL,
    version   VARCHAR(256)  NOT NULL,
    loaded_at TIMESTAMP     NOT NULL
) DISTSTYLE EVEN SORTKEY (source)""")

# COPY INTO STAGING ----------------------------------------------------------------------------------------------------

# Loads queue up at this lock; nothing else uses the staging tables. The tables are cleared with DELETE, because
# TRUNCATE would commit and release the lock.
staging_lock = Statement("LOCK staging_events, staging_songs")
staging_events_clear = Statement("DELETE FROM staging_events")
staging_songs_clear = Statement("DELETE FROM staging_songs")

# Random mark of the last load, committed with it. If the connection drops during a commit, the mark shows whether the
# commit succeeded.
staging_mark = Statement("COMMENT ON TABLE staging_events IS %(mark)s")
staging_marked = Statement("SELECT obj_description('staging_events'::regclass)")

# STATUPDATE ON, so that the following statements are planned with current statistics.
staging_events_copy = Copy(
    """
COPY staging_events
FROM %(log_data)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON %(log_jsonpath)s
TIMEFORMAT AS 'epochmillisecs'
STATUPDATE ON""",
    table="staging_events",
    reads=("log_data", "log_jsonpath"),
)

staging_songs_copy = Copy(
    """
COPY staging_songs
FROM %(song_data)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON 'auto'
STATUPDATE ON""",
    table="staging_songs",
    reads=("song_data",),
)

# Options that a run adds to these COPYs: GZIP for packed objects; MAXERROR to skip bad records; with --check, NOLOAD to
# parse everything and load nothing, and MAXERROR 100000 to report as many errors as COPY allows.
packed_option = "GZIP"
maxerror_option = "MAXERROR %(maxerror)s"
check_option = "NOLOAD\nMAXERROR 100000"

# With TEMP_DIR, the run writes a list of the new files to that folder and copies the list into new_files. The rows of
# new_files replace the rows of older file versions in loaded_files.
new_files_create = Statement(
    "CREATE TEMP TABLE new_files (source VARCHAR(16), file VARCHAR(1280), version VARCHAR(256))"
)

new_files_copy = Copy(
    """
COPY new_files
FROM %(files)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON 'auto'
GZIP""",
    table="new_files",
    reads=("temp_dir",),
)

loaded_files_delete = Statement("""
DELETE FROM loaded_files
USING new_files
WHERE loaded_files.source = new_files.source AND loaded_files.file = new_files.file""")

loaded_files_insert = Statement("""
INSERT INTO loaded_files (source, file, version, loaded_at)
SELECT source, file, version, GETDATE()
FROM new_files""")

# Hashes, because the names of hundreds of thousands of files would take too much memory.
known_files = Statement("SELECT MD5(file || '|' || version) FROM loaded_files WHERE source = %(source)s")

# Random id of this warehouse, kept as a comment on loaded_files. A load uses it to delete only its own warehouse's
# leftovers from TEMP_DIR.
loaded_files_mark = Statement("COMMENT ON TABLE loaded_files IS %(mark)s")
loaded_files_marked = Statement("SELECT obj_description('loaded_files'::regclass)")

# STAGED RECORDS -------------------------------------------------------------------------------------------------------

# Event columns kept in songplays: their names in staging_events, mapped to those in songplays.
PLAY_COLUMNS = {
    "user_id": "user_id",
    "level": "level",
    "location": "location",
    "user_agent": "user_agent",
    "song": "song_title",
    "artist": "artist_name",
    "length": "song_length",
}

# Staged columns of plays, with their JSON paths. A load of 20 or more plays fails if one of these columns is empty in
# every play. An empty column in OTHER_EVENT_FIELDS or SONG_FIELDS only causes a warning.
PLAY_FIELDS = {
    "user_id": "$.userId",
    "level": "$.level",
    "song": "$.song",
    "artist": "$.artist",
    "length": "$.length",
    "location": "$.location",
    "user_agent": "$.userAgent",
}
OTHER_EVENT_FIELDS = ("auth", "first_name", "gender", "last_name", "method", "registration", "status")
SONG_FIELDS = ("num_songs", "artist_latitude", "artist_longitude", "artist_location", "duration", "year")

# With --replace, keep one staged event per key. There is no way to tell which version is newer, so a play (page
# NextSong) wins over other events, and ties are broken by comparing the values that the star schema keeps.
kept_events_create = Statement(f"""
CREATE TEMP TABLE kept_events AS
SELECT *
FROM staging_events AS events
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY ts, session_id, item_in_session
    ORDER BY
        CASE WHEN page = 'NextSong' THEN 0 ELSE 1 END,
        page, {", ".join(PLAY_COLUMNS)}, first_name, last_name, gender
) = 1""")

staged_count = Statement("SELECT COUNT(*) FROM staging_events")
kept_events_insert = Statement("INSERT INTO staging_events SELECT * FROM kept_events")

# One row: counts of staged events, plays and songs; first and last timestamps of events and of plays; and the number of
# non-NULL values in each column. PLAY_FIELDS are counted in plays only.
staged_counts_create = Statement(f"""
CREATE TEMP TABLE staged_counts AS
SELECT *
FROM (
    SELECT
        COUNT(*) AS events,
        MIN(ts) AS first_event,
        MAX(ts) AS last_event,
        COUNT(CASE WHEN page = 'NextSong' THEN ts END) AS plays,
        MIN(CASE WHEN page = 'NextSong' THEN ts END) AS first_play,
        MAX(CASE WHEN page = 'NextSong' THEN ts END) AS last_play,
        {", ".join(f"COUNT(CASE WHEN page = 'NextSong' THEN {name} END) AS {name}" for name in PLAY_FIELDS)},
        {", ".join(f"COUNT({name}) AS {name}" for name in OTHER_EVENT_FIELDS)}
    FROM staging_events
) AS of_events
CROSS JOIN (
    SELECT COUNT(*) AS songs, {", ".join(f"COUNT({name}) AS {name}" for name in SONG_FIELDS)}
    FROM staging_songs
) AS of_songs""")

# Counts of staged records, and the time window of the load: the first and last timestamp of the staged plays, or with
# --replace of all staged events. A run reads songplays and time only between these timestamps, %(first)s and %(last)s.
# If no such records are staged, both are NULL, and no rows are read. The timestamps are passed as literals, because
# only then does a cluster skip blocks outside the window, and returned as text, because Python's dates end with the
# year 9999.
# https://docs.aws.amazon.com/redshift/latest/dg/c_designing-queries-best-practices.html
# In a statement with two such tables, the condition is written after a table name: songplays.{_WINDOW}.
staged_summary = Statement("""
SELECT
    events, plays, songs,
    CAST(first_play AS VARCHAR) AS first_play, CAST(last_play AS VARCHAR) AS last_play,
    CAST(first_event AS VARCHAR) AS first_event, CAST(last_event AS VARCHAR) AS last_event
FROM staged_counts""")
_WINDOW = "start_time BETWEEN %(first)s AND %(last)s"

# CHANGES TO THE CATALOGUE ---------------------------------------------------------------------------------------------

# Songs, artists and users are upserted in three steps: new and changed rows go into a temporary table, their old
# versions are deleted, and the new ones are inserted. Columns are always listed, because ALTER TABLE may have put
# them in another order. If several versions share a key, a total order picks the winner, so that the order of loads
# does not matter; a version does not win by being newer. Ids that start with EV belong to inferred songs and artists,
# which were played but are not in the catalogue.

# One row per song id that is new or has changed: the most complete version; ties are broken by comparing the values.
new_songs_create = Statement("""
CREATE TEMP TABLE new_songs DISTSTYLE ALL AS
SELECT versions.*
FROM (
    SELECT song_id, title, artist_id, year, duration, artist_name FROM staging_songs
    UNION ALL
    SELECT song_id, title, artist_id, year, duration, artist_name FROM songs
) AS versions
WHERE song_id IN (SELECT song_id FROM staging_songs)
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY song_id
    ORDER BY
        CASE WHEN year > 0 THEN 1 ELSE 0 END + CASE WHEN duration > 0 THEN 1 ELSE 0 END DESC,
        title, artist_name, artist_id, year, duration
) = 1
EXCEPT
SELECT song_id, title, artist_id, year, duration, artist_name FROM songs""")

# One row per artist id that is new or has changed: the most complete version; ties are broken by comparing the values.
new_artists_create = Statement("""
CREATE TEMP TABLE new_artists DISTSTYLE ALL AS
SELECT versions.*
FROM (
    SELECT
        artist_id, artist_name AS name, artist_location AS location,
        artist_latitude AS latitude, artist_longitude AS longitude
    FROM staging_songs
    UNION ALL
    SELECT artist_id, name, location, latitude, longitude FROM artists
) AS versions
WHERE artist_id IN (SELECT artist_id FROM staging_songs)
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY artist_id
    ORDER BY
        CASE WHEN location <> '' THEN 1 ELSE 0 END
            + CASE WHEN latitude IS NOT NULL THEN 1 ELSE 0 END
            + CASE WHEN longitude IS NOT NULL THEN 1 ELSE 0 END DESC,
        name, location, latitude, longitude
) = 1
EXCEPT
SELECT artist_id, name, location, latitude, longitude FROM artists""")

# Songs and artists whose earlier plays may now match a different song or artist; each row has a song_id or an
# artist_id, or with --replace both. Songs: those with the title and artist name of a version that this run adds or
# removes. Artists: those whose artist_id is no longer the lowest for their name. Their plays may change, because a
# play whose song is not in the catalogue gets the lowest artist_id for the artist's name, or an inferred one if the
# catalogue lacks the name.
to_rematch_create = Statement("""
CREATE TEMP TABLE to_rematch DISTSTYLE ALL AS
WITH before AS (
    SELECT song_id, RTRIM(title) AS song_key, artist_id, duration, RTRIM(artist_name) AS artist_key
    FROM songs
    WHERE song_id IN (SELECT song_id FROM new_songs)
),
after AS (
    SELECT song_id, RTRIM(title) AS song_key, artist_id, duration, RTRIM(artist_name) AS artist_key
    FROM new_songs
),
changed AS (
    SELECT song_key, artist_key
    FROM (
        (SELECT * FROM before EXCEPT SELECT * FROM after) UNION ALL (SELECT * FROM after EXCEPT SELECT * FROM before)
    ) AS versions
),
catalogue AS (
    SELECT
        RTRIM(songs.artist_name) AS artist_key,
        songs.artist_id AS id_before,
        CASE WHEN new_songs.song_id IS NULL THEN songs.artist_id END AS id_after
    FROM songs
    LEFT JOIN new_songs ON new_songs.song_id = songs.song_id
    WHERE LEFT(songs.song_id, 2) <> 'EV'
    UNION ALL
    SELECT RTRIM(artist_name), CAST(NULL AS VARCHAR(64)), artist_id
    FROM new_songs
),
namesakes AS (
    SELECT
        NVL(MIN(id_before), 'EV' || MD5(artist_key)) AS id_before,
        NVL(MIN(id_after), 'EV' || MD5(artist_key)) AS id_after
    FROM catalogue
    WHERE artist_key IN (SELECT artist_key FROM changed)
    GROUP BY artist_key
)
SELECT songs.song_id, CAST(NULL AS VARCHAR(64)) AS artist_id
FROM songs
JOIN changed ON changed.song_key = RTRIM(songs.title) AND changed.artist_key = RTRIM(songs.artist_name)
UNION
SELECT CAST(NULL AS VARCHAR(64)), artists.artist_id
FROM artists
JOIN namesakes ON namesakes.id_before = artists.artist_id AND namesakes.id_before <> namesakes.id_after""")

to_rematch_count = Statement("SELECT COUNT(*) FROM to_rematch")

# Earlier plays to match again: their distinct titles, artist names and lengths, with the song and artist that they have
# had so far. Filling this table reads all plays, so it is filled only if to_rematch has rows.
plays_to_rematch_create = Statement("""
CREATE TEMP TABLE plays_to_rematch DISTSTYLE ALL AS
SELECT song_title, artist_name, song_length, song_id, artist_id FROM songplays WHERE 1 = 0""")

plays_to_rematch_insert = Statement("""
INSERT INTO plays_to_rematch (song_title, artist_name, song_length, song_id, artist_id)
SELECT DISTINCT song_title, artist_name, song_length, song_id, artist_id
FROM songplays
WHERE song_id IN (SELECT song_id FROM to_rematch) OR artist_id IN (SELECT artist_id FROM to_rematch)""")

# WITH --replace: DELETE THE OLD VERSIONS ------------------------------------------------------------------------------

# The key of a play, and the join condition for the event with the same key.
_KEY = "start_time, session_id, item_in_session"
_SAME_EVENT = (
    "events.ts = songplays.start_time"
    " AND events.session_id = songplays.session_id"
    " AND events.item_in_session = songplays.item_in_session"
)

# One row per staged event that has the key of a stored play, with a code for each of PLAY_COLUMNS: 0 if the values are
# the same or both missing, 1 if they differ, 2 if the event lacks a value that the play has. _CHANGE is the highest of
# these codes.
_CHANGES = ",\n        ".join(
    f"CASE WHEN events.{staged} = songplays.{kept} OR (events.{staged} IS NULL AND songplays.{kept} IS NULL) THEN 0"
    f" WHEN events.{staged} IS NULL THEN 2 ELSE 1 END AS {kept}_change"
    for staged, kept in PLAY_COLUMNS.items()
)
_CHANGE = f"GREATEST({', '.join(f'{kept}_change' for kept in PLAY_COLUMNS.values())})"
_COMPARED = f"""
WITH compared AS (
    SELECT
        songplays.songplay_id, songplays.start_time, songplays.session_id, songplays.item_in_session,
        songplays.song_id, songplays.artist_id, events.page,
        {_CHANGES}
    FROM songplays
    JOIN staging_events AS events ON {_SAME_EVENT}
    WHERE songplays.{_WINDOW}
)"""

# One row per play whose staged event has different values, or a page other than NextSong.
replaced_plays_create = Statement(f"""
CREATE TEMP TABLE replaced_plays DISTSTYLE ALL AS{_COMPARED}
SELECT *
FROM compared
WHERE page <> 'NextSong' OR {_CHANGE} > 0""")

replaced_plays_delete = Statement(f"""
DELETE FROM songplays
USING replaced_plays
WHERE songplays.songplay_id = replaced_plays.songplay_id AND songplays.{_WINDOW}""")

# Inferred songs and artists of the replaced plays; they are kept only if other plays refer to them.
replaced_to_rematch_insert = Statement("""
INSERT INTO to_rematch (song_id, artist_id)
SELECT DISTINCT
    CASE WHEN LEFT(song_id, 2) = 'EV' THEN song_id END,
    CASE WHEN LEFT(artist_id, 2) = 'EV' THEN artist_id END
FROM replaced_plays
WHERE LEFT(song_id, 2) = 'EV' OR LEFT(artist_id, 2) = 'EV'""")

# Delete the timestamps of the replaced plays, unless another play has the same timestamp.
replaced_times_delete = Statement(f"""
DELETE FROM time
USING replaced_plays
WHERE time.start_time = replaced_plays.start_time
    AND time.{_WINDOW}
    AND NOT EXISTS (SELECT 1 FROM songplays WHERE songplays.start_time = time.start_time AND songplays.{_WINDOW})""")

# One row per user whose values come from an event that is now staged again. The event's new version may have other
# values or another user, so the user's row is deleted and rebuilt from the latest play that is not staged; new_users
# then applies the staged events. Values from earlier events other than plays are lost, because only plays are stored.
replaced_users_create = Statement("""
CREATE TEMP TABLE replaced_users DISTSTYLE ALL AS
SELECT
    users.user_id, users.first_name, users.last_name, users.gender, users.level,
    users.last_event_time, users.last_session_id, users.last_item_in_session
FROM users
JOIN staging_events AS events
    ON events.ts = users.last_event_time
    AND events.session_id = users.last_session_id
    AND events.item_in_session = users.last_item_in_session""")

replaced_users_delete = Statement("DELETE FROM users USING replaced_users WHERE users.user_id = replaced_users.user_id")

earlier_users_insert = Statement(f"""
INSERT INTO users (
    user_id, first_name, last_name, gender, level, last_event_time, last_session_id, last_item_in_session
)
SELECT
    replaced_users.user_id, replaced_users.first_name, replaced_users.last_name, replaced_users.gender,
    songplays.level, songplays.start_time, songplays.session_id, songplays.item_in_session
FROM songplays
JOIN replaced_users ON replaced_users.user_id = songplays.user_id
WHERE NOT EXISTS (SELECT 1 FROM staging_events AS events WHERE {_SAME_EVENT})
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY replaced_users.user_id
    ORDER BY start_time DESC, session_id DESC, item_in_session DESC
) = 1""")

# INSERT INTO THE STAR SCHEMA ------------------------------------------------------------------------------------------

songs_table_delete = Statement("DELETE FROM songs USING new_songs WHERE songs.song_id = new_songs.song_id")
songs_table_insert = Statement("""
INSERT INTO songs (song_id, title, artist_id, year, duration, artist_name)
SELECT * FROM new_songs""")

artists_table_delete = Statement(
    "DELETE FROM artists USING new_artists WHERE artists.artist_id = new_artists.artist_id"
)
artists_table_insert = Statement("""
INSERT INTO artists (artist_id, name, location, latitude, longitude)
SELECT * FROM new_artists""")

# One row per title, artist name and length of the staged plays and the plays to rematch, with the song_id and
# artist_id that they get. The song is the one in the catalogue with this title, this artist name and the closest
# duration; for a play without a length, the shortest. If the catalogue has no such song, the song is inferred, and
# the artist_id is the lowest in the catalogue for this artist name; if the catalogue has no such artist, the artist
# is inferred too. A play whose title is missing or blank has no song; a play whose artist name is missing or blank
# has no artist. Redshift ignores trailing blanks in comparisons, but MD5 does not, so the keys are trimmed. GROUP BY
# before the UNION is an optimisation: 1.0 s instead of 1.8 s at 1,000,000 events.
play_songs_create = Statement("""
CREATE TEMP TABLE play_songs DISTSTYLE ALL AS
WITH plays AS (
    SELECT song AS song_title, artist AS artist_name, length AS song_length
    FROM staging_events
    WHERE page = 'NextSong'
    GROUP BY song, artist, length
    UNION
    SELECT song_title, artist_name, song_length
    FROM plays_to_rematch
),
trimmed_plays AS (
    SELECT
        NVL(song_title, '') AS song_title,
        NVL(artist_name, '') AS artist_name,
        NVL(song_length, -1) AS song_length,
        RTRIM(NVL(song_title, '')) AS song_key,
        RTRIM(NVL(artist_name, '')) AS artist_key
    FROM plays
),
catalogue AS (
    SELECT song_id, artist_id, duration, RTRIM(title) AS song_key, RTRIM(artist_name) AS artist_key
    FROM songs
    WHERE LEFT(song_id, 2) <> 'EV'
),
namesakes AS (
    SELECT artist_key, MIN(artist_id) AS artist_id
    FROM catalogue
    WHERE artist_key <> ''
    GROUP BY artist_key
)
SELECT
    play.*,
    NVL(known.song_id, 'EV' || MD5(MD5(play.artist_key) || NULLIF(play.song_key, ''))) AS song_id,
    COALESCE(known.artist_id, namesake.artist_id, 'EV' || MD5(NULLIF(play.artist_key, ''))) AS artist_id
FROM trimmed_plays AS play
LEFT JOIN namesakes AS namesake ON namesake.artist_key = play.artist_key
LEFT JOIN catalogue AS known
    ON known.song_key = play.song_key
    AND known.artist_key = play.artist_key
    AND play.song_key <> ''
    AND play.artist_key <> ''
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY play.song_title, play.artist_name, play.song_length
    ORDER BY ABS(known.duration - play.song_length), known.song_id
) = 1""")

# Joins a play to its row in play_songs, which has '' or -1 instead of NULL.
_SAME_SONG = (
    "play_songs.song_title = NVL({}, '')"
    " AND play_songs.artist_name = NVL({}, '')"
    " AND play_songs.song_length = NVL({}, -1)"
)

# One row per NextSong event whose key is new. If an event has several copies, an arbitrary one is inserted; if the
# copies differ, conflicts_check fails the load. Rows are inserted in sort key order, so that the plays of a day occupy
# few blocks even before a VACUUM. The ORDER BY needs no second sort, because ROW_NUMBER already sorts by ts.
songplays_table_insert = Statement(f"""
INSERT INTO songplays (
    start_time, user_id, level, song_id, artist_id, session_id, location, user_agent, item_in_session,
    song_title, artist_name, song_length
)
SELECT
    ts, user_id, level, song_id, artist_id, session_id, location, user_agent, item_in_session,
    song, artist, length
FROM staging_events AS events
JOIN play_songs ON {_SAME_SONG.format("events.song", "events.artist", "events.length")}
WHERE page = 'NextSong'
    AND NOT EXISTS (SELECT 1 FROM songplays WHERE {_SAME_EVENT} AND songplays.{_WINDOW})
QUALIFY ROW_NUMBER() OVER (PARTITION BY ts, session_id, item_in_session ORDER BY ts) = 1
ORDER BY ts""")

# One row per song that was played but is not in the catalogue, with the title and artist name of its plays, trimmed of
# trailing blanks.
inferred_songs_insert = Statement("""
INSERT INTO songs (song_id, title, artist_id, artist_name)
SELECT song_id, song_key, artist_id, NULLIF(artist_key, '')
FROM play_songs
WHERE LEFT(song_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM songs WHERE songs.song_id = play_songs.song_id)
GROUP BY song_id, song_key, artist_id, artist_key""")

# One row per artist who was played but is not in the catalogue.
inferred_artists_insert = Statement("""
INSERT INTO artists (artist_id, name)
SELECT artist_id, artist_key
FROM play_songs
WHERE LEFT(artist_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM artists WHERE artists.artist_id = play_songs.artist_id)
GROUP BY artist_id, artist_key""")

# One row per user who is new or has changed, from the user's latest event of any page. If timestamps are equal, the
# higher session_id wins, then the higher item_in_session. The join with the latest timestamps drops events of
# logged-out users, which have no user_id, and leaves only one or two rows per user to rank: 0.8 s at 1,000,000 events,
# instead of 1.4 s for ranking all rows.
new_users_create = Statement("""
CREATE TEMP TABLE new_users DISTSTYLE ALL AS
SELECT versions.*
FROM (
    SELECT
        user_id, first_name, last_name, gender, level,
        ts AS last_event_time, session_id AS last_session_id, item_in_session AS last_item_in_session
    FROM staging_events
    JOIN (SELECT user_id AS id, MAX(ts) AS last_ts FROM staging_events GROUP BY user_id) AS latest
        ON latest.id = staging_events.user_id AND latest.last_ts = staging_events.ts
    UNION ALL
    SELECT user_id, first_name, last_name, gender, level, last_event_time, last_session_id, last_item_in_session
    FROM users
    WHERE user_id IN (SELECT user_id FROM staging_events)
) AS versions
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY user_id
    ORDER BY
        last_event_time DESC, last_session_id DESC, last_item_in_session DESC,
        level, first_name, last_name, gender
) = 1
EXCEPT
SELECT user_id, first_name, last_name, gender, level, last_event_time, last_session_id, last_item_in_session
FROM users""")

users_table_delete = Statement("DELETE FROM users USING new_users WHERE users.user_id = new_users.user_id")
users_table_insert = Statement("""
INSERT INTO users (
    user_id, first_name, last_name, gender, level, last_event_time, last_session_id, last_item_in_session
)
SELECT * FROM new_users""")

# One row per new timestamp at which a play started, in sort key order, so that nothing has to be sorted later. The
# weekday names are spelt out, because TO_CHAR would pad them with blanks and take longer than the rest of the
# statement.
time_table_insert = Statement(f"""
INSERT INTO time (start_time, hour, day, week, month, year, weekday)
SELECT
    ts,
    EXTRACT(hour FROM ts),
    EXTRACT(day FROM ts),
    EXTRACT(week FROM ts),
    EXTRACT(month FROM ts),
    EXTRACT(year FROM ts),
    SPLIT_PART('Sunday Monday Tuesday Wednesday Thursday Friday Saturday', ' ', EXTRACT(dow FROM ts) + 1)
FROM staging_events
WHERE page = 'NextSong'
    AND NOT EXISTS (SELECT 1 FROM time WHERE time.start_time = staging_events.ts AND time.{_WINDOW})
GROUP BY ts
ORDER BY ts""")

# Update the statistics with which the checks are planned. On a cluster, ANALYZE skips a table that has hardly changed.
songs_table_analyze = Statement("ANALYZE songs (song_id)")
artists_table_analyze = Statement("ANALYZE artists (artist_id)")
songplays_table_analyze = Statement("ANALYZE songplays (start_time)")
time_table_analyze = Statement("ANALYZE time (start_time)")

# Match earlier plays again: update the plays whose song or artist has changed. Then delete the inferred songs and
# artists that the rematched plays had, and reinsert those that still have a play, with the songs' current artists. The
# INSERTs need only play_songs, because plays_to_rematch has all plays of these songs and artists.
songplays_table_update = Statement(f"""
UPDATE songplays
SET song_id = play_songs.song_id, artist_id = play_songs.artist_id
FROM play_songs
WHERE {_SAME_SONG.format("songplays.song_title", "songplays.artist_name", "songplays.song_length")}
    AND (
        NVL(songplays.song_id, '') <> NVL(play_songs.song_id, '')
        OR NVL(songplays.artist_id, '') <> NVL(play_songs.artist_id, '')
    )""")

inferred_songs_delete = Statement("""
DELETE FROM songs
WHERE LEFT(song_id, 2) = 'EV'
    AND song_id IN (SELECT song_id FROM plays_to_rematch UNION SELECT song_id FROM to_rematch)""")

inferred_artists_delete = Statement("""
DELETE FROM artists
WHERE LEFT(artist_id, 2) = 'EV'
    AND artist_id IN (SELECT artist_id FROM plays_to_rematch UNION SELECT artist_id FROM to_rematch)""")

# CHECKS ---------------------------------------------------------------------------------------------------------------

# Redshift does not enforce keys, so these checks do. Each result row has the name of a rule, the number of violations,
# and an example. A load checks the large tables only within its time window, because earlier loads have checked the
# other rows.


def _check(*rules: str) -> Statement:
    return Statement("\nUNION ALL".join(rules))


def _not_in(parent: str, child: str, key: str, wrong: str, found: str = "COUNT(*)", where: str = "") -> str:
    """Return a rule against orphaned keys in `child`; `where` filters its rows."""
    return f"""
SELECT '{wrong}' AS wrong, {found} AS found, CAST(MIN({child}.{key}) AS VARCHAR) AS example
FROM {child}
LEFT JOIN {parent} ON {parent}.{key} = {child}.{key}
WHERE {child}.{key} IS NOT NULL AND {parent}.{key} IS NULL{where}"""


def _twice(table: str, key: str, wrong: str, where: str = "") -> str:
    """Return a rule against duplicate keys.

    The rule counts the keys that have a second row; the example is a value of the first key column. COUNT(DISTINCT ...)
    would find no duplicates, because the planner trusts declared keys. GROUP BY takes twice as long as ROW_NUMBER on
    the stand-in, where rows are in start_time order.
    https://docs.aws.amazon.com/redshift/latest/dg/t_Defining_constraints.html
    """
    first = key.split(",")[0]
    return f"""
SELECT '{wrong}' AS wrong, COUNT(*) AS found, CAST(MIN({first}) AS VARCHAR) AS example
FROM (
    SELECT {first} FROM {table} AS numbered{where}
    QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {first}) = 2
) AS duplicates"""


def _unplayed(what: str, key: str, among: str, plays: str) -> str:
    """Return a rule that finds inferred ids in `among` without a play in `plays`."""
    return f"""
SELECT 'inferred {what} without a play' AS wrong, COUNT(*) AS found, MIN({key}) AS example
FROM (SELECT {key} FROM {among} WHERE LEFT({key}, 2) = 'EV' EXCEPT SELECT {key} FROM {plays}) AS unplayed"""


# If 20 or more plays are staged, one row per column that is empty in all of them: the log field was probably renamed.
fields_check = _check(
    *(
        f"""
SELECT
    'plays, but none has a {column} (`{path}` in the JSONPaths file): was the field renamed?' AS wrong,
    plays AS found,
    CAST(NULL AS VARCHAR) AS example
FROM staged_counts
WHERE plays >= 20 AND {column} = 0"""
        for column, path in PLAY_FIELDS.items()
    )
)

# Impossible staged timestamps: before the year 2000, or more than a day in the future.
moments_check = Statement("""
SELECT
    pages || CAST(EXTRACT(year FROM worst) AS VARCHAR) || ': is `ts` in milliseconds?' AS wrong,
    COUNT(*) AS found,
    CAST(worst AS VARCHAR) AS example
FROM (
    SELECT
        CASE WHEN page = 'NextSong' THEN 'plays begin in ' ELSE 'other events are from ' END AS pages,
        CASE
            WHEN ts < '2000-01-01' THEN MIN(ts) OVER (PARTITION BY page = 'NextSong')
            ELSE MAX(ts) OVER (PARTITION BY page = 'NextSong')
        END AS worst
    FROM staging_events
    WHERE ts < '2000-01-01' OR ts > DATEADD(day, 1, GETDATE())
) AS impossible
GROUP BY pages, worst""")

# One row: the number of staged plays that differ from the play in songplays with the same key, the differing columns,
# and the lowest key as an example. Values are not shown, because they are user data.
_DIFFERING_COLUMNS = "\n            || ".join(
    f"CASE WHEN MAX({kept}_change) > 0 THEN ', {kept}' ELSE '' END" for kept in PLAY_COLUMNS.values()
)
_SHOWN_KEY = (
    "'start_time ' || CAST(start_time AS VARCHAR) || ', session_id ' || CAST(session_id AS VARCHAR)"
    " || ', item_in_session ' || CAST(item_in_session AS VARCHAR)"
)
conflicts_check = Statement(f"""{_COMPARED}
SELECT
    'staged plays differ from the play of the same key' || CASE WHEN COUNT(*) > 0 THEN ' in' ELSE '' END
        || SUBSTRING(
            {_DIFFERING_COLUMNS}, 2
        )
        || NVL(' (' || CAST(SUM(CASE WHEN {_CHANGE} = 2 THEN 1 END) AS VARCHAR) || ' lost a value)', '')
        AS wrong,
    COUNT(DISTINCT {_SHOWN_KEY}) AS found,
    MIN({_SHOWN_KEY}) AS example
FROM compared
WHERE page = 'NextSong' AND {_CHANGE} > 0""")

# With TEMP_DIR: one row per staged log file that has changed since it was loaded.
changed_files = Statement("""
SELECT new_files.file
FROM new_files
JOIN loaded_files
    ON loaded_files.source = new_files.source
    AND loaded_files.file = new_files.file
    AND loaded_files.version <> new_files.version
WHERE new_files.source = 'log_data'
ORDER BY new_files.file""")

# With --replace: one row per column that would become empty in 20 or more plays, probably because the log field was
# renamed.
lost_values_check = _check(
    *(
        f"""
SELECT
    'plays would lose their {kept}: was the field renamed?' AS wrong,
    COUNT(*) AS found,
    CAST(MIN(start_time) AS VARCHAR) AS example
FROM replaced_plays
WHERE page = 'NextSong' AND {kept}_change = 2
HAVING COUNT(*) >= 20"""
        for kept in PLAY_COLUMNS.values()
    )
)

# Every staged play and every upserted row must be in its table. Catalogue ids must not start with EV, or they would be
# mistaken for the ids of inferred songs and artists.
staged_check = _check(
    f"""
SELECT
    'song files with ids that start with EV, which inferred ones have' AS wrong, COUNT(*) AS found,
    MIN(song_id) AS example
FROM staging_songs
WHERE LEFT(song_id, 2) = 'EV' OR LEFT(artist_id, 2) = 'EV'
UNION ALL
SELECT 'staged plays missing from songplays', COUNT(*), CAST(MIN(events.ts) AS VARCHAR)
FROM staging_events AS events
LEFT JOIN songplays ON {_SAME_EVENT} AND songplays.{_WINDOW}
WHERE events.page = 'NextSong' AND songplays.start_time IS NULL""",
    _not_in("users", "new_users", "user_id", "upserted rows missing from users"),
    _not_in("songs", "new_songs", "song_id", "upserted rows missing from songs"),
    _not_in("artists", "new_artists", "artist_id", "upserted rows missing from artists"),
)

# Key checks on every row of the small tables.
dimensions_check = _check(
    _twice("users", "user_id", "duplicate user_id in users"),
    _twice("songs", "song_id", "duplicate song_id in songs"),
    _twice("artists", "artist_id", "duplicate artist_id in artists"),
    _not_in("artists", "songs", "artist_id", "songs.artist_id not in artists"),
)

# Checks of the large tables' keys, within the time window.
keys_check = _check(
    _twice("time", "start_time", "duplicate start_time in time", f" WHERE {_WINDOW}"),
    _twice("songplays", _KEY, "duplicate key in songplays", f" WHERE {_WINDOW}"),
    _not_in("users", "songplays", "user_id", "songplays.user_id not in users", where=f" AND songplays.{_WINDOW}"),
    f"""
SELECT 'songplays.start_time not in time', COUNT(*), CAST(MIN(start_time) AS VARCHAR)
FROM songplays
WHERE {_WINDOW} AND NOT EXISTS (SELECT 1 FROM time WHERE time.start_time = songplays.start_time AND time.{_WINDOW})
UNION ALL
SELECT 'time has rows without a play', COUNT(*), CAST(MIN(start_time) AS VARCHAR)
FROM time
WHERE {_WINDOW}
    AND NOT EXISTS (SELECT 1 FROM songplays WHERE songplays.start_time = time.start_time AND songplays.{_WINDOW})""",
)

# Each play must refer to a song with the play's title and artist name, and to that song's artist. Plays with the same
# values are checked once.
plays_check = _check(
    f"""
WITH plays AS (
    SELECT song_title, artist_name, song_length, song_id, artist_id, COUNT(*) AS number,
        CAST(MIN(start_time) AS VARCHAR) AS example
    FROM songplays
    WHERE {_WINDOW}
    GROUP BY song_title, artist_name, song_length, song_id, artist_id
)
SELECT 'songplays with a title but no song_id' AS wrong, SUM(number) AS found, MIN(example) AS example
FROM plays
WHERE song_id IS NULL AND RTRIM(song_title) <> ''
UNION ALL
SELECT 'songplays with an artist_name but no artist_id', SUM(number), MIN(example)
FROM plays
WHERE artist_id IS NULL AND RTRIM(artist_name) <> ''
UNION ALL
SELECT 'title or artist_name of songplays differs from songs', SUM(number), MIN(songs.song_id)
FROM plays
JOIN songs ON songs.song_id = plays.song_id
WHERE NVL(RTRIM(title), '') <> NVL(RTRIM(song_title), '')
    OR NVL(RTRIM(songs.artist_name), '') <> NVL(RTRIM(plays.artist_name), '')
UNION ALL
SELECT 'songplays.artist_id differs from songs.artist_id', SUM(number), MIN(songs.song_id)
FROM plays
JOIN songs ON songs.song_id = plays.song_id
WHERE NVL(songs.artist_id, '') <> NVL(plays.artist_id, '')""",
    _not_in("songs", "plays", "song_id", "songplays.song_id not in songs", found="SUM(number)"),
    _not_in("artists", "plays", "artist_id", "songplays.artist_id not in artists", found="SUM(number)"),
)

# After a load, also check that each play has the song and artist that the load chose, and that each inferred song and
# artist has a play. This covers the plays in the load's time window, or all plays if earlier plays were matched again.
loaded_plays_check = _check(
    plays_check,
    f"""
SELECT 'song_id or artist_id of songplays differs from the catalogue', SUM(number), MIN(plays.song_id)
FROM plays
JOIN play_songs ON {_SAME_SONG.format("plays.song_title", "plays.artist_name", "plays.song_length")}
WHERE NVL(plays.song_id, '') <> NVL(play_songs.song_id, '')
    OR NVL(plays.artist_id, '') <> NVL(play_songs.artist_id, '')""",
    _unplayed("songs", "song_id", "play_songs", "plays"),
    _unplayed("artists", "artist_id", "play_songs", "plays"),
)

# Every inferred song and artist must have a play. Checked with --verify, and after a load that matched earlier plays
# again.
inferred_check = _check(
    _unplayed("songs", "song_id", "songs", "songplays"), _unplayed("artists", "artist_id", "artists", "songplays")
)

# The window that covers the whole star schema, for --verify and for loads that match earlier plays again.
whole_star_window = Statement("""
SELECT CAST(MIN(start_time) AS VARCHAR), CAST(MAX(start_time) AS VARCHAR)
FROM (SELECT start_time FROM songplays UNION ALL SELECT start_time FROM time) AS moments""")

# For --verify: checks of rows that no load reads again. Keep the parentheses around ||: in
# PostgreSQL 8, on which Redshift is based, || and <> have the same precedence.
# https://www.postgresql.org/docs/8.0/sql-syntax.html#SQL-PRECEDENCE
whole_star_check = Statement("""
SELECT 'inferred artist_id does not match the name' AS wrong, COUNT(*) AS found, MIN(artist_id) AS example
FROM artists
WHERE LEFT(artist_id, 2) = 'EV' AND artist_id <> ('EV' || MD5(NVL(RTRIM(name), '')))
UNION ALL
SELECT 'inferred song_id does not match title and artist_name', COUNT(*), MIN(song_id)
FROM songs
WHERE LEFT(song_id, 2) = 'EV'
    AND song_id <> ('EV' || MD5(MD5(NVL(RTRIM(artist_name), '')) || NVL(RTRIM(title), '')))
UNION ALL
SELECT 'inferred songs that the catalogue has', COUNT(DISTINCT inferred.song_id), MIN(inferred.song_id)
FROM songs AS inferred
JOIN songs AS known
    ON RTRIM(known.title) = RTRIM(inferred.title)
    AND RTRIM(known.artist_name) = RTRIM(inferred.artist_name)
WHERE LEFT(inferred.song_id, 2) = 'EV' AND LEFT(known.song_id, 2) <> 'EV' AND RTRIM(known.artist_name) <> ''
UNION ALL
SELECT 'inferred artists that the catalogue has', COUNT(*), MIN(artist_id)
FROM artists
WHERE LEFT(artist_id, 2) = 'EV'
    AND RTRIM(name) IN (SELECT RTRIM(artist_name) FROM songs WHERE LEFT(song_id, 2) <> 'EV')
UNION ALL
SELECT 'columns of time do not match start_time', COUNT(*), CAST(MIN(start_time) AS VARCHAR)
FROM time
WHERE hour <> EXTRACT(hour FROM start_time)
    OR day <> EXTRACT(day FROM start_time)
    OR week <> EXTRACT(week FROM start_time)
    OR month <> EXTRACT(month FROM start_time)
    OR year <> EXTRACT(year FROM start_time)
    OR weekday <> TRIM(TO_CHAR(start_time, 'Day'))""")

# WARNINGS -------------------------------------------------------------------------------------------------------------

# Each row is a warning: its text, the number of staged records that it concerns, and the number of all staged records
# of that kind (plays, events or songs).

# One row per column that is empty in more than 5% of the staged plays.
missing_values_warning = _check(
    *(
        f"""
SELECT 'plays have no {column} (`{path}` in the JSONPaths file)' AS wrong, plays - {column} AS found, plays AS total
FROM staged_counts
WHERE (plays - {column}) * 20 > plays"""
        for column, path in PLAY_FIELDS.items()
    )
)

# One row if 20 or more events are staged, but none of them is a play.
no_plays_warning = Statement("""
SELECT 'events are no play' AS wrong, events AS found, events AS total
FROM staged_counts
WHERE events >= 20 AND plays = 0""")

# If 20 or more records are staged, one row per column that is empty in all of them.
empty_columns_warning = _check(
    *(
        f"""
SELECT
    'records have no value for staging_{records}.{column}' AS wrong, {records} AS found, {records} AS total
FROM staged_counts
WHERE {records} >= 20 AND {column} = 0"""
        for records, columns in (("events", OTHER_EVENT_FIELDS), ("songs", SONG_FIELDS))
        for column in columns
    )
)

# QUERIES OF THE SCRIPTS -----------------------------------------------------------------------------------------------

# Number of plays in the window, in total and matched to a catalogue song. Runs before and after the insert.
window_summary = Statement(f"""
SELECT COUNT(*) AS plays, COUNT(CASE WHEN LEFT(song_id, 2) <> 'EV' THEN 1 END) AS matched
FROM songplays
WHERE {_WINDOW}""")

# Number of duplicate plays in staging, for example if a log file exists twice. Runs only if fewer plays were inserted
# than staged.
repeated_plays = Statement("""
SELECT SUM(copies - 1)
FROM (
    SELECT COUNT(*) AS copies FROM staging_events WHERE page = 'NextSong' GROUP BY ts, session_id, item_in_session
) AS keys""")

# Row count of each dimension, and the number of inferred songs and artists. The table time is counted only within the
# window.
dimensions_summary = Statement(f"""
SELECT
    (SELECT COUNT(*) FROM users) AS users,
    (SELECT COUNT(*) FROM songs) AS songs,
    (SELECT COUNT(*) FROM artists) AS artists,
    (SELECT COUNT(*) FROM time WHERE {_WINDOW}) AS times,
    (SELECT COUNT(*) FROM songs WHERE LEFT(song_id, 2) = 'EV') AS inferred_songs,
    (SELECT COUNT(*) FROM artists WHERE LEFT(artist_id, 2) = 'EV') AS inferred_artists""")

# With --replace, five counts: plays changed; rows of replaced_users changed or removed; of these, rows removed; other
# users upserted; and timestamps removed.
replaced_summary = Statement(f"""
SELECT
    (SELECT COUNT(*) FROM replaced_plays WHERE page = 'NextSong') AS changed_plays,
    (
        SELECT COUNT(*)
        FROM (
            SELECT * FROM replaced_users
            EXCEPT
            SELECT
                user_id, first_name, last_name, gender, level,
                last_event_time, last_session_id, last_item_in_session
            FROM users
        ) AS differing
    ) AS changed_users,
    (
        SELECT COUNT(*)
        FROM replaced_users
        WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.user_id = replaced_users.user_id)
    ) AS removed_users,
    (
        SELECT COUNT(*)
        FROM new_users
        WHERE NOT EXISTS (SELECT 1 FROM replaced_users WHERE replaced_users.user_id = new_users.user_id)
    ) AS upserted_users,
    (
        SELECT COUNT(DISTINCT start_time)
        FROM replaced_plays
        WHERE NOT EXISTS (SELECT 1 FROM time WHERE time.start_time = replaced_plays.start_time AND time.{_WINDOW})
    ) AS removed_times""")

# For --status. One row per table: its row count, and its first and last timestamp.
star_summary = Statement("""
SELECT 'songplays' AS name, COUNT(*) AS number, CAST(MIN(start_time) AS VARCHAR), CAST(MAX(start_time) AS VARCHAR)
FROM songplays
UNION ALL
SELECT 'users', COUNT(*), CAST(MIN(last_event_time) AS VARCHAR), CAST(MAX(last_event_time) AS VARCHAR) FROM users
UNION ALL
SELECT 'songs', COUNT(*), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR) FROM songs
UNION ALL
SELECT 'artists', COUNT(*), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR) FROM artists
UNION ALL
SELECT 'time', COUNT(*), CAST(MIN(start_time) AS VARCHAR), CAST(MAX(start_time) AS VARCHAR) FROM time""")

# The five most played songs. Each row also has the total number of plays, and the number of plays that match a song in
# the catalogue.
most_played_songs = Statement("""
SELECT
    songs.title, songs.artist_name, played.plays,
    SUM(played.plays) OVER () AS all_plays,
    SUM(CASE WHEN LEFT(played.song_id, 2) <> 'EV' THEN played.plays ELSE 0 END) OVER () AS matched_plays
FROM (SELECT song_id, COUNT(*) AS plays FROM songplays GROUP BY song_id) AS played
LEFT JOIN songs ON songs.song_id = played.song_id
ORDER BY CASE WHEN played.song_id IS NULL THEN 1 ELSE 0 END, played.plays DESC, played.song_id
LIMIT 5""")

# One row per day with plays, for the 30 days up to the last play.
plays_by_day = Statement("""
SELECT CAST(CAST(start_time AS DATE) AS VARCHAR) AS day, COUNT(*) AS plays
FROM songplays
WHERE start_time >= DATEADD(day, -29, CAST(%(last)s AS DATE))
GROUP BY CAST(start_time AS DATE)
ORDER BY CAST(start_time AS DATE)""")

last_load = Statement("SELECT CAST(MAX(loaded_at) AS VARCHAR), COUNT(*) FROM loaded_files")

# Row count and query id of this session's last COPY, and the process id that identifies the session in the system
# tables.
copy_count = Statement("SELECT pg_last_copy_count(), pg_last_copy_id()")
session_number = Statement("SELECT pg_backend_pid()")

# The number of files that each COPY of this session read, by query id. The session id is not passed as a value, because
# the stand-in would then translate the statement again in each run, which takes 0.2 s.
copied_file_counts = Statement("""
SELECT query_id, source_file_count FROM sys_load_history WHERE session_id = pg_backend_pid()""")

# Set the search path to [CLUSTER] SCHEMA, then check it: SET silently ignores a missing schema.
schema_choice = Statement("SET search_path TO %(schema)s")
chosen_schema = Statement("SELECT current_schema()")

# Current user and server version.
session_identity = Statement("SELECT CURRENT_USER, VERSION()")

# The columns of a table, in the order in which COPY fills them. The schema is a parameter: CURRENT_SCHEMA can't be
# used with a system view. https://docs.aws.amazon.com/redshift/latest/dg/r_CURRENT_SCHEMA.html
table_columns = Statement("""
SELECT column_name, data_type, character_maximum_length
FROM svv_columns
WHERE table_schema = %(schema)s AND table_name = %(table)s
ORDER BY ordinal_position""")

# One row if DROP TABLE would find the table. If no schema is given, the table is looked for on the search path.
existing_table = Statement("""
SELECT 1
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
WHERE relkind = 'r'
    AND relname = %(table)s
    AND (nspname = %(schema)s OR (%(schema)s = '' AND pg_table_is_visible(pg_class.oid)))""")

# create_tables.py counts the rows that would be lost, and locks the tables so that none are added meanwhile. Table
# names can't be bound as values, so they are inserted as written in drop_table_queries.
table_count = Statement("SELECT COUNT(*) FROM %(table)s")
tables_lock = Statement("LOCK %(tables)s")

# Each query below exists twice: for provisioned clusters and, as ..._detail, for Serverless, which lacks their system
# views.

# Progress of another session's COPY: files read, total files, rows.
copy_progress = Statement("""
SELECT SUM(num_files_complete), SUM(num_files), SUM(lines) FROM stv_load_state WHERE session = %(session)s""")
copy_progress_detail = Statement("""
SELECT file_count_scanned, source_file_count, loaded_rows
FROM sys_load_history
WHERE session_id = %(session)s AND status = 'running'""")

# The files that a COPY read.
copied_files = Statement("SELECT TRIM(filename) FROM stl_load_commits WHERE query = %(copy)s")
copied_files_detail = Statement("SELECT TRIM(file_name) FROM sys_load_detail WHERE query_id = %(copy)s")

# The latest load errors, for load_errors.csv.
load_errors = Statement("SELECT TOP 25 * FROM stl_load_errors ORDER BY starttime DESC")
load_errors_detail = Statement("SELECT TOP 25 * FROM sys_load_error_detail ORDER BY start_time DESC")

# All load errors of this session. Process ids are reused, so errors from before the session began are excluded: they
# belong to an older session. PG_LAST_COPY_ID can't identify the COPY instead, because a COPY that is rolled back does
# not change it.
# https://docs.aws.amazon.com/redshift/latest/dg/PG_LAST_COPY_ID.html, r_STV_SESSIONS.html, SYS_SESSION_HISTORY.html
session_load_errors = Statement("""
SELECT *
FROM stl_load_errors
WHERE session = pg_backend_pid()
    AND starttime >= (SELECT NVL(MAX(starttime), '1970-01-01') FROM stv_sessions WHERE process = pg_backend_pid())
ORDER BY query, starttime, filename, line_number""")
session_load_errors_detail = Statement("""
SELECT *
FROM sys_load_error_detail
WHERE session_id = pg_backend_pid()
    AND start_time >= (
        SELECT NVL(MAX(start_time), '1970-01-01') FROM sys_session_history WHERE session_id = pg_backend_pid()
    )
ORDER BY query_id, start_time, file_name, line_number""")

# LISTS OF STATEMENTS, IN THE ORDER IN WHICH THEY RUN ------------------------------------------------------------------

drop_table_queries = [
    staging_events_table_drop,
    staging_songs_table_drop,
    songplays_table_drop,
    users_table_drop,
    songs_table_drop,
    artists_table_drop,
    time_table_drop,
    loaded_files_table_drop,
]

create_table_queries = [
    staging_events_table_create,
    staging_songs_table_create,
    songplays_table_create,
    users_table_create,
    songs_table_create,
    artists_table_create,
    time_table_create,
    loaded_files_table_create,
]

clear_staging_queries = [staging_events_clear, staging_songs_clear]

copy_table_queries = [staging_events_copy, staging_songs_copy]

# only if TEMP_DIR is set; run just before the commit
record_files_queries = [loaded_files_delete, loaded_files_insert]

# with --replace, after the COPYs
kept_events_queries = [kept_events_create, staging_events_clear, kept_events_insert]

count_staged_queries = [staged_counts_create]

catalogue_queries = [new_songs_create, to_rematch_create, plays_to_rematch_create]

# with --replace, before the new versions of plays are inserted
replace_queries = [
    replaced_plays_create,
    replaced_plays_delete,
    replaced_to_rematch_insert,
    replaced_times_delete,
    replaced_users_create,
    replaced_users_delete,
    earlier_users_insert,
]

insert_table_queries = [
    songs_table_delete,
    songs_table_insert,
    new_artists_create,
    artists_table_delete,
    artists_table_insert,
    play_songs_create,
    songplays_table_insert,
    inferred_songs_insert,
    inferred_artists_insert,
    new_users_create,
    users_table_delete,
    users_table_insert,
    time_table_insert,
    songs_table_analyze,
    artists_table_analyze,
    songplays_table_analyze,
    time_table_analyze,
]

# only if to_rematch has rows; run after plays_to_rematch_insert and insert_table_queries
rematch_queries = [
    songplays_table_update,
    inferred_songs_delete,
    inferred_artists_delete,
    inferred_songs_insert,
    inferred_artists_insert,
]

# check_load in pipeline/checks.py also runs loaded_plays_check and, where they apply, conflicts_check,
# lost_values_check and inferred_check
check_queries = [
    fields_check,
    moments_check,
    dimensions_check,
    keys_check,
    staged_check,
]

# queries that only warn
warn_queries = [no_plays_warning, missing_values_warning, empty_columns_warning]

verify_queries = [dimensions_check, keys_check, plays_check, inferred_check, whole_star_check]

# Two versions of each query, tried in this order: for provisioned clusters, then for Serverless.
latest_load_errors_queries = [load_errors, load_errors_detail]
session_load_errors_queries = [session_load_errors, session_load_errors_detail]
copy_progress_queries = [copy_progress, copy_progress_detail]
copied_files_queries = [copied_files, copied_files_detail]

for _name, _value in list(globals().items()):
    if isinstance(_value, Statement):
        _value.name = _name
