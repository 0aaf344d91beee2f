"""Every SQL statement of the pipeline, as text; the lists at the end say what runs, in what order.

All of it is Redshift's SQL. Values from dwh.cfg are psycopg2 parameters: %(log_data)s, %(log_jsonpath)s,
%(song_data)s, %(iam_role)s and %(region)s. The scripts give %(first)s, %(last)s, %(schema)s, %(table)s, %(tables)s,
%(mark)s, %(session)s, %(copy)s, %(source)s, %(manifest)s, %(files)s and %(maxerror)s.
"""

# ---------------------------------------------------------------------------------------------------
# DROP TABLES
# ---------------------------------------------------------------------------------------------------

staging_events_table_drop = "DROP TABLE IF EXISTS staging_events"
staging_songs_table_drop = "DROP TABLE IF EXISTS staging_songs"
songplays_table_drop = "DROP TABLE IF EXISTS songplays"
users_table_drop = "DROP TABLE IF EXISTS users"
songs_table_drop = "DROP TABLE IF EXISTS songs"
artists_table_drop = "DROP TABLE IF EXISTS artists"
time_table_drop = "DROP TABLE IF EXISTS time"
loaded_files_table_drop = "DROP TABLE IF EXISTS loaded_files"

# ---------------------------------------------------------------------------------------------------
# CREATE TABLES
# ---------------------------------------------------------------------------------------------------

# One row per log line, in the order of the JSONPaths file. NOT NULL makes COPY itself refuse a line that is no event or
# lacks a part of the key (ts, session_id, item_in_session), naming file and line. Lengths are bytes.
staging_events_table_create = """
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
)
DISTSTYLE EVEN
"""

# One row per song file. COPY matches the columns to the JSON keys by their names ('auto'). Numbers with a
# fraction are DOUBLE PRECISION: a DECIMAL would cut off what is past its scale.
staging_songs_table_create = """
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
)
DISTSTYLE EVEN
"""

# The fact: one row per NextSong event. Its natural key is start_time, session_id and item_in_session. The last three
# columns are what the event itself said: they find a play's song when the catalogue gets it later.
songplays_table_create = """
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
)
DISTSTYLE EVEN
SORTKEY (start_time)
"""

# One row per user, from the user's latest event; the last three columns say which event that was, so
# that an older log loaded later does not bring an old level back.
users_table_create = """
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
)
DISTSTYLE ALL
SORTKEY (user_id)
"""

# One row per song of the catalogue, and one per song that was played but is not in it (its id starts with
# EV). artist_name is what plays are matched on: an artist may have more names than artists can hold.
songs_table_create = """
CREATE TABLE songs (
    song_id     VARCHAR(64)       NOT NULL,
    title       VARCHAR(1024),
    artist_id   VARCHAR(64),
    year        INTEGER,
    duration    DOUBLE PRECISION,
    artist_name VARCHAR(1024),
    PRIMARY KEY (song_id)
)
DISTSTYLE ALL
SORTKEY (song_id)
"""

# One row per artist of the catalogue, and one per artist who was played but is not in it (EV again).
artists_table_create = """
CREATE TABLE artists (
    artist_id VARCHAR(64)       NOT NULL,
    name      VARCHAR(1024),
    location  VARCHAR(1024),
    latitude  DOUBLE PRECISION,
    longitude DOUBLE PRECISION,
    PRIMARY KEY (artist_id)
)
DISTSTYLE ALL
SORTKEY (artist_id)
"""

# One row per moment at which a play started; week is ISO 8601's, weekday the English name.
time_table_create = """
CREATE TABLE time (
    start_time TIMESTAMP  NOT NULL,
    hour       SMALLINT   NOT NULL,
    day        SMALLINT   NOT NULL,
    week       SMALLINT   NOT NULL,
    month      SMALLINT   NOT NULL,
    year       SMALLINT   NOT NULL,
    weekday    VARCHAR(9) NOT NULL,
    PRIMARY KEY (start_time)
)
DISTSTYLE ALL
SORTKEY (start_time)
"""

# With [S3] TEMP_DIR: one row per file that has been loaded. version is the ETag of an object, or size and time of a
# local file. Nothing hangs on it but the time a load takes: a file that is loaded twice changes nothing. IF NOT EXISTS,
# since a load makes it where the tables are older than it.
loaded_files_table_create = """
CREATE TABLE IF NOT EXISTS loaded_files (
    source    VARCHAR(16)   NOT NULL,
    file      VARCHAR(1280) NOT NULL,
    version   VARCHAR(256)  NOT NULL,
    loaded_at TIMESTAMP     NOT NULL
)
DISTSTYLE EVEN
SORTKEY (source)
"""

# ---------------------------------------------------------------------------------------------------
# COPY INTO STAGING
# ---------------------------------------------------------------------------------------------------

# Runs of the pipeline queue up here; only they read the staging tables. DELETE, because TRUNCATE would
# commit, and let the next run in.
staging_lock = "LOCK staging_events, staging_songs"
staging_events_clear = "DELETE FROM staging_events"
staging_songs_clear = "DELETE FROM staging_songs"

# The mark of the run that staged last. It is committed with the load: where the answer to a commit got lost,
# it tells whether the commit landed.
staging_mark = "COMMENT ON TABLE staging_events IS %(mark)s"
staging_marked = "SELECT obj_description('staging_events'::regclass)"

# STATUPDATE ON: the statements that follow are planned with the sizes of what was just loaded.
staging_events_copy = """
COPY staging_events
FROM %(log_data)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON %(log_jsonpath)s
TIMEFORMAT AS 'epochmillisecs'
STATUPDATE ON
"""

staging_songs_copy = """
COPY staging_songs
FROM %(song_data)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON 'auto'
STATUPDATE ON
"""

# With [S3] TEMP_DIR: the new files alone, which a manifest names; the small ones are packed by gzip.
staging_events_listed_copy = """
COPY staging_events
FROM %(manifest)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON %(log_jsonpath)s
TIMEFORMAT AS 'epochmillisecs'
STATUPDATE ON
MANIFEST
"""

staging_songs_listed_copy = """
COPY staging_songs
FROM %(manifest)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON 'auto'
STATUPDATE ON
MANIFEST
"""

staging_events_packed_copy = staging_events_listed_copy + "GZIP\n"
staging_songs_packed_copy = staging_songs_listed_copy + "GZIP\n"

# The files that are new, from a list that was written beside them, take the place of their older versions.
new_files_create = """
CREATE TEMP TABLE new_files (
    source  VARCHAR(16),
    file    VARCHAR(1280),
    version VARCHAR(256)
)
"""

new_files_copy = """
COPY new_files
FROM %(files)s
IAM_ROLE %(iam_role)s
REGION %(region)s
FORMAT AS JSON 'auto'
GZIP
"""

loaded_files_delete = """
DELETE FROM loaded_files
USING new_files
WHERE loaded_files.source = new_files.source AND loaded_files.file = new_files.file
"""

loaded_files_insert = """
INSERT INTO loaded_files (source, file, version, loaded_at)
SELECT source, file, version, GETDATE()
FROM new_files
"""

# Hashes, because of hundreds of thousands of files the names would be large.
known_files = """
SELECT MD5(file || '|' || version)
FROM loaded_files
WHERE source = %(source)s
"""

# Random id of this table. With it and the place of the warehouse, a load finds only its own leftovers under TEMP_DIR.
loaded_files_mark = "COMMENT ON TABLE loaded_files IS %(mark)s"
loaded_files_marked = "SELECT obj_description('loaded_files'::regclass)"

# With [S3] MAXERROR, behind each COPY into staging: the bad records that it may leave out.
maxerror_option = "MAXERROR %(maxerror)s\n"

# COPY ... NOLOAD parses all and loads nothing; with as many errors as it takes, it reports them all.
staging_events_try = staging_events_copy + "NOLOAD\nMAXERROR 100000\n"
staging_songs_try = staging_songs_copy + "NOLOAD\nMAXERROR 100000\n"
staging_events_listed_try = staging_events_listed_copy + "NOLOAD\nMAXERROR 100000\n"
staging_songs_listed_try = staging_songs_listed_copy + "NOLOAD\nMAXERROR 100000\n"
staging_events_packed_try = staging_events_packed_copy + "NOLOAD\nMAXERROR 100000\n"
staging_songs_packed_try = staging_songs_packed_copy + "NOLOAD\nMAXERROR 100000\n"

# ---------------------------------------------------------------------------------------------------
# INSERT INTO THE STAR SCHEMA
# ---------------------------------------------------------------------------------------------------

# The columns of an event that a play keeps, by their names in staging_events and in songplays.
PLAY_COLUMNS = {
    "user_id": "user_id",
    "level": "level",
    "location": "location",
    "user_agent": "user_agent",
    "song": "song_title",
    "artist": "artist_name",
    "length": "song_length",
}

# etl.py --replace: of several versions of one event, the first in a total order of the values stays staged; a play goes
# before any other page. QUALIFY right behind FROM needs the alias.
# https://docs.aws.amazon.com/redshift/latest/dg/r_QUALIFY_clause.html
newest_events_create = f"""
CREATE TEMP TABLE newest_events AS
SELECT *
FROM staging_events AS events
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY ts, session_id, item_in_session
    ORDER BY
        CASE WHEN page = 'NextSong' THEN 0 ELSE 1 END,
        page, {", ".join(PLAY_COLUMNS)}, first_name, last_name, gender
) = 1
"""

staged_count = "SELECT COUNT(*) FROM staging_events"

newest_events_insert = """
INSERT INTO staging_events
SELECT *
FROM newest_events
"""

# One row: how many events and plays are staged, the first and the last timestamp of all events, of plays and of the
# others, and how many values each column has (the columns that a play is made of, among the plays).
staged_counts_create = """
CREATE TEMP TABLE staged_counts AS
SELECT
    COUNT(*) AS records,
    MIN(ts) AS first_event,
    MAX(ts) AS last_event,
    MIN(CASE WHEN page <> 'NextSong' THEN ts END) AS first_other,
    MAX(CASE WHEN page <> 'NextSong' THEN ts END) AS last_other,
    COUNT(auth) AS auth,
    COUNT(first_name) AS first_name,
    COUNT(gender) AS gender,
    COUNT(last_name) AS last_name,
    COUNT(method) AS method,
    COUNT(registration) AS registration,
    COUNT(status) AS status,
    COUNT(CASE WHEN page = 'NextSong' THEN ts END) AS plays,
    MIN(CASE WHEN page = 'NextSong' THEN ts END) AS first_play,
    MAX(CASE WHEN page = 'NextSong' THEN ts END) AS last_play,
    COUNT(CASE WHEN page = 'NextSong' THEN artist END) AS artist,
    COUNT(CASE WHEN page = 'NextSong' THEN length END) AS length,
    COUNT(CASE WHEN page = 'NextSong' THEN level END) AS level,
    COUNT(CASE WHEN page = 'NextSong' THEN location END) AS location,
    COUNT(CASE WHEN page = 'NextSong' THEN song END) AS song,
    COUNT(CASE WHEN page = 'NextSong' THEN user_agent END) AS user_agent,
    COUNT(CASE WHEN page = 'NextSong' THEN user_id END) AS user_id
FROM staging_events
"""

# One row: how many songs are staged, and how many values each column has.
staged_songs_counts_create = """
CREATE TEMP TABLE staged_songs_counts AS
SELECT
    COUNT(*) AS records,
    COUNT(num_songs) AS num_songs,
    COUNT(artist_latitude) AS artist_latitude,
    COUNT(artist_longitude) AS artist_longitude,
    COUNT(artist_location) AS artist_location,
    COUNT(duration) AS duration,
    COUNT(year) AS year
FROM staging_songs
"""

# A run costs what it stages. It reads songplays and time from the first to the last staged play only (with --replace,
# event), %(first)s to %(last)s, on both sides of each join: values, because only with those a cluster passes over the
# blocks of a sort key that lie outside. Only plays to rematch, and users whose latest event was replaced, are looked
# for in all of songplays. https://docs.aws.amazon.com/redshift/latest/dg/c_designing-queries-best-practices.html
# Where no play is staged, both are NULL, and nothing is read. As text, since Python's dates end with the year 9999.
staged_summary = """
SELECT
    records,
    plays,
    CAST(first_play AS VARCHAR) AS first_play,
    CAST(last_play AS VARCHAR) AS last_play,
    CAST(first_event AS VARCHAR) AS first_event,
    CAST(last_event AS VARCHAR) AS last_event
FROM staged_counts
"""

# Songs, artists and users are written in three steps: the rows that are new or have changed go into a
# temporary table, their old versions are deleted, then the new ones are inserted. Which of the rows of one
# key wins is decided by a total order of the rows, including the one that is already there, so it never
# depends on which was loaded first. Columns of these tables are named one by one, not as songs.*: a table
# that got a column by ALTER TABLE has them in another order than one that was created with it.
# Ids that start with EV are inferred: made here for what was played but is not in the catalogue.

# One row per song id of the staged catalogue, the most complete; ties go by the values.
new_songs_create = """
CREATE TEMP TABLE new_songs DISTSTYLE ALL AS
WITH staged AS (
    SELECT song_id
    FROM staging_songs
    GROUP BY song_id
),
known AS (
    SELECT songs.song_id, title, artist_id, year, duration, artist_name
    FROM songs
    JOIN staged ON staged.song_id = songs.song_id
),
versions AS (
    SELECT song_id, title, artist_id, year, duration, artist_name
    FROM staging_songs
    UNION ALL
    SELECT song_id, title, artist_id, year, duration, artist_name
    FROM known
),
ranked AS (
    SELECT
        versions.*,
        ROW_NUMBER() OVER (
            PARTITION BY song_id
            ORDER BY
                CASE WHEN year > 0 THEN 1 ELSE 0 END + CASE WHEN duration > 0 THEN 1 ELSE 0 END DESC,
                title, artist_name, artist_id, year, duration
        ) AS place
    FROM versions
)
SELECT song_id, title, artist_id, year, duration, artist_name
FROM ranked
WHERE place = 1
EXCEPT
SELECT song_id, title, artist_id, year, duration, artist_name
FROM known
"""

# The songs and artists whose plays of earlier runs may be of another song or artist from now on. Changed are the
# versions (title, artist name, artist, duration) that this run adds or takes away. Plays of their title and name may
# move, so all songs of that title and name are listed; and where a name stands for another artist from now on, the
# artist that it stood for.
moving_create = """
CREATE TEMP TABLE moving DISTSTYLE ALL AS
WITH versions AS (
    SELECT song_id, title, artist_id, duration, artist_name
    FROM new_songs
    UNION ALL
    SELECT songs.song_id, songs.title, songs.artist_id, songs.duration, songs.artist_name
    FROM songs
    JOIN new_songs ON new_songs.song_id = songs.song_id
),
changed AS (
    SELECT song_id, artist_id, duration, RTRIM(title) AS song_key, RTRIM(artist_name) AS artist_key
    FROM versions
    GROUP BY 1, 2, 3, 4, 5
    HAVING COUNT(*) = 1
),
changed_names AS (
    SELECT artist_key
    FROM changed
    GROUP BY artist_key
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
        catalogue.artist_key,
        COALESCE(MIN(id_before), 'EV' || MD5(catalogue.artist_key)) AS id_before,
        COALESCE(MIN(id_after), 'EV' || MD5(catalogue.artist_key)) AS id_after
    FROM catalogue
    JOIN changed_names ON changed_names.artist_key = catalogue.artist_key
    GROUP BY catalogue.artist_key
)
SELECT songs.song_id, CAST(NULL AS VARCHAR(64)) AS artist_id
FROM songs
JOIN changed
    ON changed.song_key = RTRIM(songs.title)
    AND changed.artist_key = RTRIM(songs.artist_name)
UNION
SELECT CAST(NULL AS VARCHAR(64)), artists.artist_id
FROM artists
JOIN namesakes
    ON namesakes.id_before = artists.artist_id
    AND namesakes.id_before <> namesakes.id_after
"""

songs_table_delete = """
DELETE FROM songs
USING new_songs
WHERE songs.song_id = new_songs.song_id
"""

songs_table_insert = """
INSERT INTO songs (song_id, title, artist_id, year, duration, artist_name)
SELECT new_songs.*
FROM new_songs
"""

# One row per artist id of the staged catalogue, the most complete; ties go by the values.
new_artists_create = """
CREATE TEMP TABLE new_artists DISTSTYLE ALL AS
WITH staged AS (
    SELECT artist_id
    FROM staging_songs
    GROUP BY artist_id
),
known AS (
    SELECT artists.artist_id, name, location, latitude, longitude
    FROM artists
    JOIN staged ON staged.artist_id = artists.artist_id
),
versions AS (
    SELECT
        artist_id,
        artist_name AS name,
        artist_location AS location,
        artist_latitude AS latitude,
        artist_longitude AS longitude
    FROM staging_songs
    UNION ALL
    SELECT artist_id, name, location, latitude, longitude
    FROM known
),
ranked AS (
    SELECT
        versions.*,
        ROW_NUMBER() OVER (
            PARTITION BY artist_id
            ORDER BY
                CASE WHEN location <> '' THEN 1 ELSE 0 END
                    + CASE WHEN latitude IS NOT NULL THEN 1 ELSE 0 END
                    + CASE WHEN longitude IS NOT NULL THEN 1 ELSE 0 END DESC,
                name, location, latitude, longitude
        ) AS place
    FROM versions
)
SELECT artist_id, name, location, latitude, longitude
FROM ranked
WHERE place = 1
EXCEPT
SELECT artist_id, name, location, latitude, longitude
FROM known
"""

artists_table_delete = """
DELETE FROM artists
USING new_artists
WHERE artists.artist_id = new_artists.artist_id
"""

artists_table_insert = """
INSERT INTO artists (artist_id, name, location, latitude, longitude)
SELECT new_artists.*
FROM new_artists
"""

# What plays of earlier runs that may move said of their song, and the song and artist they have had so far. It stays
# empty where no play can move, which is nearly always; else all plays are looked through for the moving ids.
moving_plays_create = """
CREATE TEMP TABLE moving_plays (
    song_title  VARCHAR(1024),
    artist_name VARCHAR(1024),
    song_length DOUBLE PRECISION,
    song_id     VARCHAR(64),
    artist_id   VARCHAR(64)
)
DISTSTYLE ALL
"""

moving_plays_insert = """
INSERT INTO moving_plays (song_title, artist_name, song_length, song_id, artist_id)
SELECT song_title, artist_name, song_length, songplays.song_id, songplays.artist_id
FROM songplays
JOIN moving ON moving.song_id = songplays.song_id
UNION
SELECT song_title, artist_name, song_length, songplays.song_id, songplays.artist_id
FROM songplays
JOIN moving ON moving.artist_id = songplays.artist_id
"""

# One row per distinct title, artist name and length among the plays that are staged or may move: the song
# and artist it is. It is the catalogue's song of this title and artist name whose duration is the closest, or else
# an inferred one; the artist may be in the catalogue where the song is not. Without a title there is no song,
# without a name no artist, and without either no match, whatever blanks the catalogue has. Redshift ignores
# trailing blanks when it compares, but MD5 does not: hence the keys, which have none.
play_songs_create = """
CREATE TEMP TABLE play_songs DISTSTYLE ALL AS
WITH plays AS (
    SELECT song AS song_title, artist AS artist_name, length AS song_length, 1 AS is_staged
    FROM staging_events
    WHERE page = 'NextSong'
    GROUP BY song, artist, length
    UNION ALL
    SELECT song_title, artist_name, song_length, 0 AS is_staged
    FROM moving_plays
),
heard AS (
    SELECT
        COALESCE(song_title, '') AS song_title,
        COALESCE(artist_name, '') AS artist_name,
        COALESCE(song_length, -1) AS song_length,
        RTRIM(COALESCE(song_title, '')) AS song_key,
        RTRIM(COALESCE(artist_name, '')) AS artist_key,
        MAX(is_staged) AS is_staged
    FROM plays
    GROUP BY 1, 2, 3, 4, 5
),
names AS (
    SELECT artist_key
    FROM heard
    WHERE artist_key <> ''
    GROUP BY artist_key
),
catalogue AS (
    SELECT
        names.artist_key,
        RTRIM(songs.title) AS song_key,
        songs.duration,
        songs.song_id,
        songs.artist_id
    FROM songs
    JOIN names ON names.artist_key = RTRIM(songs.artist_name)
    WHERE LEFT(songs.song_id, 2) <> 'EV'
),
namesakes AS (
    SELECT artist_key, MIN(artist_id) AS artist_id
    FROM catalogue
    GROUP BY artist_key
),
ranked AS (
    SELECT
        heard.*,
        catalogue.song_id AS catalogue_song_id,
        catalogue.artist_id AS catalogue_artist_id,
        namesakes.artist_id AS namesake_id,
        ROW_NUMBER() OVER (
            PARTITION BY heard.song_title, heard.artist_name, heard.song_length
            ORDER BY ABS(catalogue.duration - heard.song_length), catalogue.song_id
        ) AS place
    FROM heard
    LEFT JOIN catalogue
        ON catalogue.song_key = heard.song_key
        AND catalogue.artist_key = heard.artist_key
        AND heard.song_key <> ''
    LEFT JOIN namesakes ON namesakes.artist_key = heard.artist_key
)
SELECT
    song_title,
    artist_name,
    song_length,
    song_key,
    artist_key,
    is_staged,
    CASE
        WHEN catalogue_song_id IS NOT NULL THEN catalogue_song_id
        WHEN song_key <> '' THEN 'EV' || MD5(MD5(artist_key) || song_key)
    END AS song_id,
    CASE
        WHEN catalogue_song_id IS NOT NULL THEN catalogue_artist_id
        WHEN namesake_id IS NOT NULL THEN namesake_id
        WHEN artist_key <> '' THEN 'EV' || MD5(artist_key)
    END AS artist_id
FROM ranked
WHERE place = 1
"""

# Plays of earlier runs that are of another song or artist now.
songplays_table_update = """
UPDATE songplays
SET song_id = play_songs.song_id, artist_id = play_songs.artist_id
FROM play_songs
WHERE COALESCE(songplays.song_title, '') = play_songs.song_title
    AND COALESCE(songplays.artist_name, '') = play_songs.artist_name
    AND COALESCE(songplays.song_length, -1) = play_songs.song_length
    AND (
        COALESCE(songplays.song_id, '') <> COALESCE(play_songs.song_id, '')
        OR COALESCE(songplays.artist_id, '') <> COALESCE(play_songs.artist_id, '')
    )
"""

# For each of PLAY_COLUMNS: 1 if the event differs from the play with its key (two NULLs are equal), and 1 if the play
# has a value that the event lacks.
_OTHER = "\n        ".join(
    f"CASE WHEN events.{staged} = songplays.{kept} OR (events.{staged} IS NULL AND songplays.{kept} IS NULL)"
    f" THEN 0 ELSE 1 END AS other_{kept},"
    for staged, kept in PLAY_COLUMNS.items()
)
_LOST = ",\n        ".join(
    f"CASE WHEN events.{staged} IS NULL AND songplays.{kept} IS NOT NULL THEN 1 ELSE 0 END AS lost_{kept}"
    for staged, kept in PLAY_COLUMNS.items()
)
_IS_OTHER = " + ".join(f"other_{kept}" for kept in PLAY_COLUMNS.values()) + " > 0"
_HAS_LOST = " + ".join(f"lost_{kept}" for kept in PLAY_COLUMNS.values()) + " > 0"

# One row per staged event whose key is that of a play.
_COMPARED = f"""
WITH compared AS (
    SELECT
        songplays.songplay_id,
        songplays.start_time,
        songplays.session_id,
        songplays.item_in_session,
        songplays.song_id,
        songplays.artist_id,
        events.page,
        {_OTHER}
        {_LOST}
    FROM songplays
    JOIN staging_events AS events
        ON events.ts = songplays.start_time
        AND events.session_id = songplays.session_id
        AND events.item_in_session = songplays.item_in_session
    WHERE songplays.start_time BETWEEN %(first)s AND %(last)s
)"""

# etl.py --replace: the plays whose event is staged with other values, or is no play any more.
replaced_plays_create = f"""
CREATE TEMP TABLE replaced_plays DISTSTYLE ALL AS{_COMPARED}
SELECT *
FROM compared
WHERE page <> 'NextSong' OR {_IS_OTHER}
"""

replaced_plays_delete = """
DELETE FROM songplays
USING replaced_plays
WHERE songplays.songplay_id = replaced_plays.songplay_id
    AND songplays.start_time BETWEEN %(first)s AND %(last)s
"""

# The inferred songs and artists of replaced plays: they stay only if other plays have them.
replaced_moving_insert = """
INSERT INTO moving (song_id, artist_id)
SELECT song_id, CAST(NULL AS VARCHAR(64))
FROM replaced_plays
WHERE LEFT(song_id, 2) = 'EV'
UNION
SELECT CAST(NULL AS VARCHAR(64)), artist_id
FROM replaced_plays
WHERE LEFT(artist_id, 2) = 'EV'
"""

# One row per NextSong event whose key is not there yet. Of several copies of one event any is inserted; if they differ,
# the check of conflicts fails the load. Rows are written in the order of the sort key, so that the plays of a day lie
# in few blocks even before a VACUUM. The copies are numbered in that order, so it takes no further sort.
songplays_table_insert = """
INSERT INTO songplays (
    start_time,
    user_id,
    level,
    song_id,
    artist_id,
    session_id,
    location,
    user_agent,
    item_in_session,
    song_title,
    artist_name,
    song_length
)
WITH new_plays AS (
    SELECT
        ts,
        user_id,
        level,
        song_id,
        artist_id,
        session_id,
        location,
        user_agent,
        item_in_session,
        song,
        artist,
        length,
        ROW_NUMBER() OVER (PARTITION BY ts, session_id, item_in_session ORDER BY ts) AS copy
    FROM staging_events
    JOIN play_songs
        ON play_songs.song_title = COALESCE(staging_events.song, '')
        AND play_songs.artist_name = COALESCE(staging_events.artist, '')
        AND play_songs.song_length = COALESCE(staging_events.length, -1)
    WHERE page = 'NextSong'
        AND NOT EXISTS (
            SELECT 1
            FROM songplays
            WHERE songplays.start_time = staging_events.ts
                AND songplays.session_id = staging_events.session_id
                AND songplays.item_in_session = staging_events.item_in_session
                AND songplays.start_time BETWEEN %(first)s AND %(last)s
        )
)
SELECT
    ts,
    user_id,
    level,
    song_id,
    artist_id,
    session_id,
    location,
    user_agent,
    item_in_session,
    song,
    artist,
    length
FROM new_plays
WHERE copy = 1
ORDER BY ts
"""

# Inferred songs and artists whose plays may have moved or been replaced; those that still have a play are inserted
# again. All plays of such a song or artist are among the moving ones.
inferred_songs_delete = """
DELETE FROM songs
WHERE LEFT(song_id, 2) = 'EV'
    AND song_id IN (SELECT song_id FROM moving_plays UNION SELECT song_id FROM moving)
"""

inferred_artists_delete = """
DELETE FROM artists
WHERE LEFT(artist_id, 2) = 'EV'
    AND artist_id IN (SELECT artist_id FROM moving_plays UNION SELECT artist_id FROM moving)
"""

# One row per song that was played but is not in the catalogue: title and artist as the events have them, less
# trailing blanks.
inferred_songs_insert = """
INSERT INTO songs (song_id, title, artist_id, artist_name)
SELECT song_id, song_key, artist_id, NULLIF(artist_key, '')
FROM play_songs
WHERE LEFT(song_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM songs WHERE songs.song_id = play_songs.song_id)
GROUP BY song_id, song_key, artist_id, artist_key
"""

# One row per artist who was played but is not in the catalogue.
inferred_artists_insert = """
INSERT INTO artists (artist_id, name)
SELECT artist_id, artist_key
FROM play_songs
WHERE LEFT(artist_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM artists WHERE artists.artist_id = play_songs.artist_id)
GROUP BY artist_id, artist_key
"""

# One row per user of the staged events, from the latest event of any page; ties at one moment go to the later session,
# then to the later item in it. Events of users who are logged out have no user_id and join with nothing. The
# join leaves a row or two per user: ranking them takes no sort of all events.
new_users_create = """
CREATE TEMP TABLE new_users DISTSTYLE ALL AS
WITH latest AS (
    SELECT user_id, MAX(ts) AS last_ts
    FROM staging_events
    GROUP BY user_id
),
known AS (
    SELECT
        users.user_id,
        first_name,
        last_name,
        gender,
        level,
        last_event_time,
        last_session_id,
        last_item_in_session
    FROM users
    JOIN latest ON latest.user_id = users.user_id
),
versions AS (
    SELECT
        staging_events.user_id,
        first_name,
        last_name,
        gender,
        level,
        ts AS last_event_time,
        session_id AS last_session_id,
        item_in_session AS last_item_in_session
    FROM staging_events
    JOIN latest
        ON latest.user_id = staging_events.user_id
        AND latest.last_ts = staging_events.ts
    UNION ALL
    SELECT known.*
    FROM known
),
ranked AS (
    SELECT
        versions.*,
        ROW_NUMBER() OVER (
            PARTITION BY user_id
            ORDER BY
                last_event_time DESC, last_session_id DESC, last_item_in_session DESC,
                level, first_name, last_name, gender
        ) AS place
    FROM versions
)
SELECT
    user_id,
    first_name,
    last_name,
    gender,
    level,
    last_event_time,
    last_session_id,
    last_item_in_session
FROM ranked
WHERE place = 1
EXCEPT
SELECT known.*
FROM known
"""

users_table_delete = """
DELETE FROM users
USING new_users
WHERE users.user_id = new_users.user_id
"""

users_table_insert = """
INSERT INTO users (
    user_id,
    first_name,
    last_name,
    gender,
    level,
    last_event_time,
    last_session_id,
    last_item_in_session
)
SELECT new_users.*
FROM new_users
"""

# etl.py --replace: the users whose row is from an event that is staged again, which the new version takes the place of.
replaced_users_create = """
CREATE TEMP TABLE replaced_users DISTSTYLE ALL AS
SELECT users.user_id, users.first_name, users.last_name, users.gender
FROM users
JOIN staging_events
    ON staging_events.ts = users.last_event_time
    AND staging_events.session_id = users.last_session_id
    AND staging_events.item_in_session = users.last_item_in_session
"""

replaced_users_delete = """
DELETE FROM users
USING replaced_users
WHERE users.user_id = replaced_users.user_id
"""

# The latest play of such a user, where it is later than what was staged: the new version of the event is of another
# user. What events of other pages said before is not known any more.
earlier_users_create = """
CREATE TEMP TABLE earlier_users DISTSTYLE ALL AS
SELECT
    replaced_users.user_id,
    replaced_users.first_name,
    replaced_users.last_name,
    replaced_users.gender,
    songplays.level,
    songplays.start_time AS last_event_time,
    songplays.session_id AS last_session_id,
    songplays.item_in_session AS last_item_in_session
FROM replaced_users
JOIN songplays ON songplays.user_id = replaced_users.user_id
LEFT JOIN users ON users.user_id = replaced_users.user_id
WHERE users.user_id IS NULL
    OR songplays.start_time > users.last_event_time
    OR (songplays.start_time = users.last_event_time AND songplays.session_id > users.last_session_id)
    OR (
        songplays.start_time = users.last_event_time
        AND songplays.session_id = users.last_session_id
        AND songplays.item_in_session > users.last_item_in_session
    )
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY replaced_users.user_id
    ORDER BY songplays.start_time DESC, songplays.session_id DESC, songplays.item_in_session DESC
) = 1
"""

earlier_users_delete = """
DELETE FROM users
USING earlier_users
WHERE users.user_id = earlier_users.user_id
"""

earlier_users_insert = """
INSERT INTO users (
    user_id,
    first_name,
    last_name,
    gender,
    level,
    last_event_time,
    last_session_id,
    last_item_in_session
)
SELECT earlier_users.*
FROM earlier_users
"""

# etl.py --replace: the moments of plays that are gone, where no other play began.
replaced_times_delete = """
DELETE FROM time
USING replaced_plays
WHERE time.start_time = replaced_plays.start_time
    AND NOT EXISTS (
        SELECT 1
        FROM songplays
        WHERE songplays.start_time = time.start_time
            AND songplays.start_time BETWEEN %(first)s AND %(last)s
    )
"""

# One row per moment at which a play started and that is not there yet. The names are spelt out: TO_CHAR
# would pad them with blanks, and take longer than all the rest. In the order of the sort key, so that
# nothing is left to be sorted later.
time_table_insert = """
INSERT INTO time (start_time, hour, day, week, month, year, weekday)
WITH new_times AS (
    SELECT ts AS start_time
    FROM staging_events
    WHERE page = 'NextSong'
        AND NOT EXISTS (
            SELECT 1
            FROM time
            WHERE time.start_time = staging_events.ts
                AND time.start_time BETWEEN %(first)s AND %(last)s
        )
    GROUP BY ts
)
SELECT
    start_time,
    EXTRACT(hour FROM start_time),
    EXTRACT(day FROM start_time),
    EXTRACT(week FROM start_time),
    EXTRACT(month FROM start_time),
    EXTRACT(year FROM start_time),
    CASE EXTRACT(dow FROM start_time)
        WHEN 0 THEN 'Sunday'
        WHEN 1 THEN 'Monday'
        WHEN 2 THEN 'Tuesday'
        WHEN 3 THEN 'Wednesday'
        WHEN 4 THEN 'Thursday'
        WHEN 5 THEN 'Friday'
        WHEN 6 THEN 'Saturday'
    END
FROM new_times
ORDER BY start_time
"""

# Statistics of the columns by which the checks join. A cluster passes over a table of which little has changed.
songs_table_analyze = "ANALYZE songs (song_id)"
artists_table_analyze = "ANALYZE artists (artist_id)"
songplays_table_analyze = "ANALYZE songplays (start_time)"
time_table_analyze = "ANALYZE time (start_time)"

# ---------------------------------------------------------------------------------------------------
# CHECKS
# ---------------------------------------------------------------------------------------------------

# Redshift does not enforce keys, so these do. Each row says what must not be, how often it is, and gives one example.
# A run proves what it touched: the tables were right when it began, and what it has left alone still is.
# Duplicates are looked for by GROUP BY, never by DISTINCT: the planner believes the keys that are declared.
# https://docs.aws.amazon.com/redshift/latest/dg/t_Defining_constraints.html

# The small tables, whole.
dimensions_check = """
SELECT 'users has user_ids twice' AS wrong, COUNT(*) AS found, CAST(MIN(user_id) AS VARCHAR) AS example
FROM (SELECT user_id FROM users GROUP BY user_id HAVING COUNT(*) > 1) AS duplicates
UNION ALL
SELECT 'songs has song_ids twice', COUNT(*), MIN(song_id)
FROM (SELECT song_id FROM songs GROUP BY song_id HAVING COUNT(*) > 1) AS duplicates
UNION ALL
SELECT 'artists has artist_ids twice', COUNT(*), MIN(artist_id)
FROM (SELECT artist_id FROM artists GROUP BY artist_id HAVING COUNT(*) > 1) AS duplicates
UNION ALL
SELECT 'songs have an artist_id that is not in artists', COUNT(*), MIN(songs.artist_id)
FROM songs
LEFT JOIN artists ON artists.artist_id = songs.artist_id
WHERE songs.artist_id IS NOT NULL AND artists.artist_id IS NULL
"""

# Each play has its user, its moment, a song of its title and artist name, and the artist of that song; each moment
# has a play.
plays_check = """
WITH plays AS (
    SELECT song_title, artist_name, song_length, song_id, artist_id, COUNT(*) AS number, MIN(start_time) AS example
    FROM songplays
    WHERE start_time BETWEEN %(first)s AND %(last)s
    GROUP BY song_title, artist_name, song_length, song_id, artist_id
),
heard AS (
    SELECT
        plays.*,
        songs.song_id AS known_song_id,
        artists.artist_id AS known_artist_id,
        CASE
            WHEN COALESCE(RTRIM(songs.title), '') <> COALESCE(RTRIM(plays.song_title), '')
                OR COALESCE(RTRIM(songs.artist_name), '') <> COALESCE(RTRIM(plays.artist_name), '')
            THEN songs.song_id
        END AS other_song_id,
        CASE
            WHEN COALESCE(songs.artist_id, '') <> COALESCE(plays.artist_id, '')
            THEN songs.song_id
        END AS song_id_of_another
    FROM plays
    LEFT JOIN songs ON songs.song_id = plays.song_id
    LEFT JOIN artists ON artists.artist_id = plays.artist_id
),
listeners AS (
    SELECT user_id, COUNT(*) AS number
    FROM songplays
    WHERE start_time BETWEEN %(first)s AND %(last)s
    GROUP BY user_id
),
unequal_moments AS (
    SELECT played.start_time AS played_at, known.start_time AS known_at
    FROM (SELECT start_time FROM songplays WHERE start_time BETWEEN %(first)s AND %(last)s) AS played
    FULL JOIN (SELECT start_time FROM time WHERE start_time BETWEEN %(first)s AND %(last)s) AS known
        ON known.start_time = played.start_time
    WHERE played.start_time IS NULL OR known.start_time IS NULL
)
SELECT
    'plays have a user_id that is not in users' AS wrong,
    SUM(listeners.number) AS found,
    CAST(MIN(listeners.user_id) AS VARCHAR) AS example
FROM listeners
LEFT JOIN users ON users.user_id = listeners.user_id
WHERE listeners.user_id IS NOT NULL AND users.user_id IS NULL
UNION ALL
SELECT 'plays have a song_id that is not in songs', SUM(number), MIN(song_id)
FROM heard
WHERE song_id IS NOT NULL AND known_song_id IS NULL
UNION ALL
SELECT 'plays have an artist_id that is not in artists', SUM(number), MIN(artist_id)
FROM heard
WHERE artist_id IS NOT NULL AND known_artist_id IS NULL
UNION ALL
SELECT 'plays have a title but no song_id, by start_time', SUM(number), CAST(MIN(example) AS VARCHAR)
FROM heard
WHERE song_id IS NULL AND RTRIM(song_title) <> ''
UNION ALL
SELECT 'plays have an artist_name but no artist_id, by start_time', SUM(number), CAST(MIN(example) AS VARCHAR)
FROM heard
WHERE artist_id IS NULL AND RTRIM(artist_name) <> ''
UNION ALL
SELECT 'plays have a song of another title or artist_name', SUM(number), MIN(other_song_id)
FROM heard
WHERE other_song_id IS NOT NULL
UNION ALL
SELECT 'plays have another artist than their song', SUM(number), MIN(song_id_of_another)
FROM heard
WHERE song_id_of_another IS NOT NULL
UNION ALL
SELECT 'plays have a start_time that is not in time', COUNT(*), CAST(MIN(played_at) AS VARCHAR)
FROM unequal_moments
WHERE known_at IS NULL
UNION ALL
SELECT 'time has start_times at which nothing was played', COUNT(*), CAST(MIN(known_at) AS VARCHAR)
FROM unequal_moments
WHERE played_at IS NULL
"""

# Beside all that, each play of a load has the song and artist that the load gives it, and what it infers has a play.
loaded_plays_check = (
    plays_check
    + """
UNION ALL
SELECT 'plays have another song or artist than the catalogue gives them', SUM(plays.number), MIN(plays.song_id)
FROM plays
JOIN play_songs
    ON play_songs.song_title = COALESCE(plays.song_title, '')
    AND play_songs.artist_name = COALESCE(plays.artist_name, '')
    AND play_songs.song_length = COALESCE(plays.song_length, -1)
WHERE COALESCE(plays.song_id, '') <> COALESCE(play_songs.song_id, '')
    OR COALESCE(plays.artist_id, '') <> COALESCE(play_songs.artist_id, '')
UNION ALL
SELECT 'inferred songs have no play', COUNT(*), MIN(song_id)
FROM (
    SELECT song_id FROM play_songs WHERE LEFT(song_id, 2) = 'EV' AND is_staged = 1
    EXCEPT
    SELECT song_id FROM plays
) AS unplayed
UNION ALL
SELECT 'inferred artists have no play', COUNT(*), MIN(artist_id)
FROM (
    SELECT artist_id FROM play_songs WHERE LEFT(artist_id, 2) = 'EV' AND is_staged = 1
    EXCEPT
    SELECT artist_id FROM plays
) AS unplayed
"""
)

# Rows of a key that is there more than once. They are numbered, rather than grouped: on the stand-in they lie in the
# order of start_time, and sorting what is sorted takes half the time of hashing it.
duplicates_check = """
SELECT 'time has start_times twice' AS wrong, COUNT(*) AS found, CAST(MIN(start_time) AS VARCHAR) AS example
FROM (
    SELECT start_time, ROW_NUMBER() OVER (PARTITION BY start_time ORDER BY start_time) AS number
    FROM time
    WHERE start_time BETWEEN %(first)s AND %(last)s
) AS numbered
WHERE number = 2
UNION ALL
SELECT 'songplays has plays twice, by start_time', COUNT(*), CAST(MIN(start_time) AS VARCHAR)
FROM (
    SELECT
        start_time,
        ROW_NUMBER() OVER (PARTITION BY start_time, session_id, item_in_session ORDER BY start_time) AS number
    FROM songplays
    WHERE start_time BETWEEN %(first)s AND %(last)s
) AS numbered
WHERE number = 2
"""

# Every staged play has arrived, and every row whose old version was deleted is back. Inferred ids start with EV: a
# catalogue that has such ids would be taken for them.
staged_check = """
SELECT
    'plays are in staging_events but not in songplays, by start_time' AS wrong,
    COUNT(*) AS found,
    CAST(MIN(staging_events.ts) AS VARCHAR) AS example
FROM staging_events
LEFT JOIN songplays
    ON songplays.start_time = staging_events.ts
    AND songplays.session_id = staging_events.session_id
    AND songplays.item_in_session = staging_events.item_in_session
    AND songplays.start_time BETWEEN %(first)s AND %(last)s
WHERE staging_events.page = 'NextSong' AND songplays.start_time IS NULL
UNION ALL
SELECT 'users were lost, by user_id', COUNT(*), CAST(MIN(new_users.user_id) AS VARCHAR)
FROM new_users
LEFT JOIN users ON users.user_id = new_users.user_id
WHERE users.user_id IS NULL
UNION ALL
SELECT 'songs were lost, by song_id', COUNT(*), MIN(new_songs.song_id)
FROM new_songs
LEFT JOIN songs ON songs.song_id = new_songs.song_id
WHERE songs.song_id IS NULL
UNION ALL
SELECT 'artists were lost, by artist_id', COUNT(*), MIN(new_artists.artist_id)
FROM new_artists
LEFT JOIN artists ON artists.artist_id = new_artists.artist_id
WHERE artists.artist_id IS NULL
UNION ALL
SELECT 'song files use ids that start with EV, which is for inferred ones', COUNT(*), MIN(song_id)
FROM staging_songs
WHERE LEFT(song_id, 2) = 'EV' OR LEFT(artist_id, 2) = 'EV'
"""

# Staged plays whose key is there with other values, which etl.py --replace would load: one row that says how many they
# are, in which columns they differ, and the first key. It shows no value: those are user data.
_DIFFERING_COLUMNS = "\n        ".join(
    f"|| CASE WHEN SUM(other_{kept}) > 0 THEN ' {kept}' ELSE '' END" for kept in PLAY_COLUMNS.values()
)
_KEY = (
    "'start_time ' || CAST(start_time AS VARCHAR) || ', session_id ' || CAST(session_id AS VARCHAR)"
    " || ', item_in_session ' || CAST(item_in_session AS VARCHAR)"
)
conflicts_check = f"""{_COMPARED}
SELECT
    'staged plays differ from the play of the same key in'
        {_DIFFERING_COLUMNS}
        || CASE WHEN SUM(CASE WHEN {_HAS_LOST} THEN 1 END) > 0
            THEN ' (' || CAST(SUM(CASE WHEN {_HAS_LOST} THEN 1 END) AS VARCHAR) || ' of them have lost a value)'
            ELSE ''
        END AS wrong,
    COUNT(DISTINCT {_KEY}) AS found,
    MIN({_KEY}) AS example
FROM compared
WHERE page = 'NextSong' AND {_IS_OTHER}
"""

# With --replace: one row per column whose value at least 20 plays would lose: the field of the logs was renamed.
lost_values_check = "UNION ALL".join(
    f"""
SELECT
    'plays would lose their {kept}: was the field renamed?' AS wrong,
    SUM(lost_{kept}) AS found,
    CAST(MIN(start_time) AS VARCHAR) AS example
FROM replaced_plays
WHERE page = 'NextSong' AND lost_{kept} = 1
HAVING COUNT(*) >= 20
"""
    for kept in PLAY_COLUMNS.values()
)

# With TEMP_DIR: the staged logs that had been loaded in another version.
changed_files = """
SELECT new_files.file
FROM new_files
JOIN loaded_files
    ON loaded_files.source = new_files.source
    AND loaded_files.file = new_files.file
    AND loaded_files.version <> new_files.version
WHERE new_files.source = 'log_data'
ORDER BY new_files.file
"""

# Impossible timestamps: before the year 2000, or more than a day from now.
moments_check = """
SELECT
    'plays begin in ' || CAST(EXTRACT(year FROM first_play) AS VARCHAR) || ': is `ts` in milliseconds?' AS wrong,
    (SELECT COUNT(*) FROM staging_events WHERE page = 'NextSong' AND ts < '2000-01-01') AS found,
    CAST(first_play AS VARCHAR) AS example
FROM staged_counts
WHERE first_play < '2000-01-01'
UNION ALL
SELECT
    'plays begin in ' || CAST(EXTRACT(year FROM last_play) AS VARCHAR) || ': is `ts` in milliseconds?',
    (SELECT COUNT(*) FROM staging_events WHERE page = 'NextSong' AND ts > DATEADD(day, 1, GETDATE())),
    CAST(last_play AS VARCHAR)
FROM staged_counts
WHERE last_play > DATEADD(day, 1, GETDATE())
UNION ALL
SELECT
    'other events are from ' || CAST(EXTRACT(year FROM first_other) AS VARCHAR) || ': is `ts` in milliseconds?',
    (SELECT COUNT(*) FROM staging_events WHERE page <> 'NextSong' AND ts < '2000-01-01'),
    CAST(first_other AS VARCHAR)
FROM staged_counts
WHERE first_other < '2000-01-01'
UNION ALL
SELECT
    'other events are from ' || CAST(EXTRACT(year FROM last_other) AS VARCHAR) || ': is `ts` in milliseconds?',
    (SELECT COUNT(*) FROM staging_events WHERE page <> 'NextSong' AND ts > DATEADD(day, 1, GETDATE())),
    CAST(last_other AS VARCHAR)
FROM staged_counts
WHERE last_other > DATEADD(day, 1, GETDATE())
"""

# The staged columns that a play is made of, with the path that each is read from.
PLAY_FIELDS = {
    "user_id": "$.userId",
    "level": "$.level",
    "song": "$.song",
    "artist": "$.artist",
    "length": "$.length",
    "location": "$.location",
    "user_agent": "$.userAgent",
}

# One row per column that none of at least 20 staged plays has a value in: the field of the logs was renamed.
fields_check = "UNION ALL".join(
    f"""
SELECT
    'plays, but none has a {column} (`{path}` in the JSONPaths file): was the field renamed?' AS wrong,
    plays AS found,
    CAST(NULL AS VARCHAR) AS example
FROM staged_counts
WHERE plays >= 20 AND {column} = 0
"""
    for column, path in PLAY_FIELDS.items()
)

# One row per column that more than one staged play in twenty lacks.
missing_values_warning = "UNION ALL".join(
    f"""
SELECT 'plays have no {column} (`{path}` in the JSONPaths file)' AS wrong, plays - {column} AS found, plays AS total
FROM staged_counts
WHERE (plays - {column}) * 20 > plays
"""
    for column, path in PLAY_FIELDS.items()
)

# One row if many events are staged, but no play.
no_plays_warning = """
SELECT 'events are no play' AS wrong, records AS found, records AS total
FROM staged_counts
WHERE records >= 20 AND plays = 0
"""

# One row per staged column that none of at least 20 records has a value in.
empty_columns_warning = "UNION ALL".join(
    f"""
SELECT 'records have no {column}, which is a column of {table}' AS wrong, records AS found, records AS total
FROM {counts}
WHERE records >= 20 AND {column} = 0
"""
    for table, counts, columns in (
        (
            "staging_events",
            "staged_counts",
            ("auth", "first_name", "gender", "last_name", "method", "registration", "status"),
        ),
        (
            "staging_songs",
            "staged_songs_counts",
            ("num_songs", "artist_latitude", "artist_longitude", "artist_location", "duration", "year"),
        ),
    )
    for column in columns
)

# Where plays may have moved, the songs and artists of all plays are looked at, which are read once for it.
moved_plays_check = """
WITH played AS (
    SELECT song_title, artist_name, song_length, song_id, artist_id, COUNT(*) AS number
    FROM songplays
    GROUP BY song_title, artist_name, song_length, song_id, artist_id
)
SELECT 'plays have a song_id that is not in songs' AS wrong, SUM(played.number) AS found, MIN(played.song_id) AS example
FROM played
LEFT JOIN songs ON songs.song_id = played.song_id
WHERE played.song_id IS NOT NULL AND songs.song_id IS NULL
UNION ALL
SELECT 'plays have an artist_id that is not in artists', SUM(played.number), MIN(played.artist_id)
FROM played
LEFT JOIN artists ON artists.artist_id = played.artist_id
WHERE played.artist_id IS NOT NULL AND artists.artist_id IS NULL
UNION ALL
SELECT 'plays have another song or artist than the catalogue gives them', SUM(played.number), MIN(played.song_id)
FROM played
JOIN play_songs
    ON play_songs.song_title = COALESCE(played.song_title, '')
    AND play_songs.artist_name = COALESCE(played.artist_name, '')
    AND play_songs.song_length = COALESCE(played.song_length, -1)
WHERE COALESCE(played.song_id, '') <> COALESCE(play_songs.song_id, '')
    OR COALESCE(played.artist_id, '') <> COALESCE(play_songs.artist_id, '')
UNION ALL
SELECT 'inferred songs have no play', COUNT(*), MIN(song_id)
FROM (
    SELECT song_id FROM songs WHERE LEFT(song_id, 2) = 'EV'
    EXCEPT
    SELECT song_id FROM played
) AS unplayed
UNION ALL
SELECT 'inferred artists have no play', COUNT(*), MIN(artist_id)
FROM (
    SELECT artist_id FROM artists WHERE LEFT(artist_id, 2) = 'EV'
    EXCEPT
    SELECT artist_id FROM played
) AS unplayed
"""

# For etl.py --verify, which reads the whole star: what no run looks at again once it was right.
whole_star_window = """
SELECT CAST(MIN(start_time) AS VARCHAR), CAST(MAX(start_time) AS VARCHAR)
FROM (
    SELECT start_time FROM songplays
    UNION ALL
    SELECT start_time FROM time
) AS moments
"""

whole_star_check = """
SELECT 'inferred songs have no play' AS wrong, COUNT(*) AS found, MIN(song_id) AS example
FROM (
    SELECT song_id FROM songs WHERE LEFT(song_id, 2) = 'EV'
    EXCEPT
    SELECT song_id FROM songplays GROUP BY song_id
) AS unplayed
UNION ALL
SELECT 'inferred artists have no play', COUNT(*), MIN(artist_id)
FROM (
    SELECT artist_id FROM artists WHERE LEFT(artist_id, 2) = 'EV'
    EXCEPT
    SELECT artist_id FROM songplays GROUP BY artist_id
) AS unplayed
UNION ALL
SELECT 'songs have an inferred id that is not of their title and artist_name', COUNT(*), MIN(song_id)
FROM songs
WHERE LEFT(song_id, 2) = 'EV'
    AND song_id <> 'EV' || MD5(MD5(COALESCE(RTRIM(artist_name), '')) || COALESCE(RTRIM(title), ''))
UNION ALL
SELECT 'artists have an inferred id that is not of their name', COUNT(*), MIN(artist_id)
FROM artists
WHERE LEFT(artist_id, 2) = 'EV' AND artist_id <> 'EV' || MD5(COALESCE(RTRIM(name), ''))
UNION ALL
SELECT 'time has columns that are not of their start_time', COUNT(*), CAST(MIN(start_time) AS VARCHAR)
FROM time
WHERE hour <> EXTRACT(hour FROM start_time)
    OR day <> EXTRACT(day FROM start_time)
    OR week <> EXTRACT(week FROM start_time)
    OR month <> EXTRACT(month FROM start_time)
    OR year <> EXTRACT(year FROM start_time)
    OR weekday <> TRIM(TO_CHAR(start_time, 'Day'))
UNION ALL
SELECT 'inferred songs are in the catalogue, too', COUNT(*), MIN(inferred.song_id)
FROM songs AS inferred
JOIN (
    SELECT RTRIM(title) AS song_key, RTRIM(artist_name) AS artist_key
    FROM songs
    WHERE LEFT(song_id, 2) <> 'EV' AND RTRIM(artist_name) <> ''
    GROUP BY 1, 2
) AS catalogue
    ON catalogue.song_key = RTRIM(inferred.title)
    AND catalogue.artist_key = RTRIM(inferred.artist_name)
WHERE LEFT(inferred.song_id, 2) = 'EV'
UNION ALL
SELECT 'inferred artists are in the catalogue, too', COUNT(*), MIN(artist_id)
FROM artists
WHERE LEFT(artist_id, 2) = 'EV'
    AND RTRIM(name) IN (SELECT RTRIM(artist_name) FROM songs WHERE LEFT(song_id, 2) <> 'EV')
"""

# ---------------------------------------------------------------------------------------------------
# WHAT THE SCRIPTS REPORT
# ---------------------------------------------------------------------------------------------------

# Row count and query id of this session's last COPY.
copy_count = "SELECT pg_last_copy_count(), pg_last_copy_id()"

# The number by which the system tables know a session.
session_number = "SELECT pg_backend_pid()"

# How far the COPY of another session has got; for a provisioned cluster, and for serverless.
copy_progress = """
SELECT SUM(num_files_complete), SUM(num_files), SUM(lines)
FROM stv_load_state
WHERE session = %(session)s
"""

copy_progress_detail = """
SELECT file_count_scanned, source_file_count, loaded_rows
FROM sys_load_history
WHERE session_id = %(session)s AND status = 'running'
"""

# Asked before the new plays go in, and again afterwards.
matched_summary = """
SELECT COUNT(*)
FROM songplays
WHERE LEFT(song_id, 2) <> 'EV'
    AND start_time BETWEEN %(first)s AND %(last)s
"""

moving_count = "SELECT COUNT(*) FROM moving"

# Number of staged plays that repeat another play, as when a log is there twice. Runs only if not all plays were new.
repeated_plays = """
SELECT SUM(copies - 1)
FROM (
    SELECT COUNT(*) AS copies
    FROM staging_events
    WHERE page = 'NextSong'
    GROUP BY ts, session_id, item_in_session
) AS keys
"""

# The files that a COPY read.
copied_files = "SELECT TRIM(filename) FROM stl_load_commits WHERE query = %(copy)s"
copied_files_detail = "SELECT TRIM(file_name) FROM sys_load_detail WHERE query_id = %(copy)s"

# The columns of a table, in the order in which COPY fills them. The schema is a value, since CURRENT_SCHEMA can't be
# used with a system view. https://docs.aws.amazon.com/redshift/latest/dg/r_CURRENT_SCHEMA.html
table_columns = """
SELECT column_name, data_type, character_maximum_length
FROM svv_columns
WHERE table_schema = %(schema)s AND table_name = %(table)s
ORDER BY ordinal_position
"""

inferred_summary = """
SELECT
    (SELECT COUNT(*) FROM songs WHERE LEFT(song_id, 2) = 'EV') AS songs,
    (SELECT COUNT(*) FROM artists WHERE LEFT(artist_id, 2) = 'EV') AS artists
"""

# [CLUSTER] SCHEMA, and whether it is there: a schema that does not exist is passed over without a word.
schema_choice = "SET search_path TO %(schema)s"
chosen_schema = "SELECT current_schema()"

# Whether a table is there, as DROP TABLE would find it: in the schema that is named or, where none is, first in the
# search path.
existing_table = """
SELECT 1
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
WHERE relkind = 'r'
    AND relname = %(table)s
    AND (nspname = %(schema)s OR (%(schema)s = '' AND pg_table_is_visible(pg_class.oid)))
"""

# Whom the warehouse knows a session as, and what the warehouse is.
session_identity = "SELECT CURRENT_USER, VERSION()"

# What create_tables.py asks about, and then keeps from changing. Names of tables can't be bound as values: these
# are those of drop_table_queries, as they stand there.
table_count = "SELECT COUNT(*) FROM %(table)s"
tables_lock = "LOCK %(tables)s"

# Of each two: for a provisioned cluster, and for serverless, where stl_load_errors can't be read.

# The rows of load_errors.csv.
load_errors = "SELECT TOP 25 * FROM stl_load_errors ORDER BY starttime DESC"
load_errors_detail = "SELECT TOP 25 * FROM sys_load_error_detail ORDER BY start_time DESC"

# All errors of this session, which tried the whole source without loading it. Numbers of sessions recur, so those from
# before it began are an older session's. PG_LAST_COPY_ID would not do: a COPY that was rolled back leaves it as it was.
# https://docs.aws.amazon.com/redshift/latest/dg/PG_LAST_COPY_ID.html, r_STV_SESSIONS.html, SYS_SESSION_HISTORY.html
tried_load_errors = """
SELECT *
FROM stl_load_errors
WHERE session = pg_backend_pid()
    AND starttime >= (SELECT COALESCE(MAX(starttime), '1970-01-01') FROM stv_sessions WHERE process = pg_backend_pid())
ORDER BY query, starttime, filename, line_number
"""

tried_load_errors_detail = """
SELECT *
FROM sys_load_error_detail
WHERE session_id = pg_backend_pid()
    AND start_time >= (
        SELECT COALESCE(MAX(start_time), '1970-01-01') FROM sys_session_history WHERE session_id = pg_backend_pid()
    )
ORDER BY query_id, start_time, file_name, line_number
"""

# The errors of this session, those of its last COPY first: for a message, the first of them is enough.
session_load_errors = """
SELECT
    TRIM(filename) AS filename,
    line_number,
    TRIM(colname) AS colname,
    TRIM(type) AS type,
    TRIM(col_length) AS col_length,
    err_code,
    TRIM(err_reason) AS err_reason
FROM stl_load_errors
WHERE session = pg_backend_pid()
    AND starttime >= (SELECT COALESCE(MAX(starttime), '1970-01-01') FROM stv_sessions WHERE process = pg_backend_pid())
ORDER BY query DESC, starttime, filename, line_number
"""

session_load_errors_detail = """
SELECT
    TRIM(file_name) AS filename,
    line_number,
    TRIM(column_name) AS colname,
    TRIM(column_type) AS type,
    TRIM(column_length) AS col_length,
    error_code AS err_code,
    TRIM(error_message) AS err_reason
FROM sys_load_error_detail
WHERE session_id = pg_backend_pid()
    AND start_time >= (
        SELECT COALESCE(MAX(start_time), '1970-01-01') FROM sys_session_history WHERE session_id = pg_backend_pid()
    )
ORDER BY query_id DESC, start_time, file_name, line_number
"""

# ---------------------------------------------------------------------------------------------------
# WHAT RUNS, IN THIS ORDER
# ---------------------------------------------------------------------------------------------------

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

clear_staging_queries = [staging_lock, staging_events_clear, staging_songs_clear]

copy_table_queries = [staging_events_copy, staging_songs_copy]

try_copy_queries = [staging_events_try, staging_songs_try]

# what copies the new files of a source as they are, and what copies them packed
listed_copy_queries = {"log_data": staging_events_listed_copy, "song_data": staging_songs_listed_copy}
packed_copy_queries = {"log_data": staging_events_packed_copy, "song_data": staging_songs_packed_copy}
try_listed_copy_queries = {"log_data": staging_events_listed_try, "song_data": staging_songs_listed_try}
try_packed_copy_queries = {"log_data": staging_events_packed_try, "song_data": staging_songs_packed_try}

stage_files_queries = [new_files_create, new_files_copy]
record_files_queries = [loaded_files_delete, loaded_files_insert]

# with etl.py --replace, after the COPYs, where plays are replaced and where users and moments are
newest_events_queries = [newest_events_create, staging_events_clear, newest_events_insert]
replace_plays_queries = [replaced_plays_create, replaced_plays_delete, replaced_moving_insert]
replace_users_queries = [replaced_users_create, replaced_users_delete]
replaced_queries = [earlier_users_create, earlier_users_delete, earlier_users_insert, replaced_times_delete]

count_staged_queries = [staged_counts_create, staged_songs_counts_create]

# what is tried in turn for the load errors: the latest, all of a session that tried its source, and, for messages,
# those of this session
latest_load_errors_queries = [load_errors, load_errors_detail]
tried_load_errors_queries = [tried_load_errors, tried_load_errors_detail]
session_load_errors_queries = [session_load_errors, session_load_errors_detail]

# what is tried in turn for how far a COPY has got (files done, all files, rows) and for the files that it read
copy_progress_queries = [copy_progress, copy_progress_detail]
copied_files_queries = [copied_files, copied_files_detail]

insert_table_queries = [
    new_songs_create,
    moving_create,
    songs_table_delete,
    songs_table_insert,
    new_artists_create,
    artists_table_delete,
    artists_table_insert,
    moving_plays_create,
    moving_plays_insert,
    play_songs_create,
    songplays_table_update,
    songplays_table_insert,
    inferred_songs_delete,
    inferred_artists_delete,
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

check_queries = [
    fields_check,
    moments_check,
    conflicts_check,
    lost_values_check,
    dimensions_check,
    loaded_plays_check,
    duplicates_check,
    staged_check,
    moved_plays_check,
]

# what only warns
warn_queries = [no_plays_warning, missing_values_warning, empty_columns_warning]

# those of both lists that run only where plays of earlier runs may move: they read all plays
moving_queries = [
    moving_plays_insert,
    songplays_table_update,
    inferred_songs_delete,
    inferred_artists_delete,
    moved_plays_check,
]

verify_queries = [dimensions_check, plays_check, duplicates_check, whole_star_check]
