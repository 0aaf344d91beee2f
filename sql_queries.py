"""Every SQL statement of the pipeline, as text; the lists at the end say what runs, in what order.

All of it is Redshift's SQL. Values from dwh.cfg are psycopg2 parameters: %(log_data)s, %(log_jsonpath)s,
%(song_data)s, %(iam_role)s and %(region)s. The scripts give %(schema)s, %(table)s, %(tables)s, %(mark)s and
%(session)s.
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

# ---------------------------------------------------------------------------------------------------
# CREATE TABLES
# ---------------------------------------------------------------------------------------------------

# One row per log line, in the order of the JSONPaths file. NOT NULL makes COPY itself refuse a
# line that is no event, naming file and line. Lengths are bytes, with room for what users type.
staging_events_table_create = """
CREATE TABLE staging_events (
    artist          VARCHAR(1024),
    auth            VARCHAR(64),
    first_name      VARCHAR(256),
    gender          VARCHAR(16),
    item_in_session INTEGER,
    last_name       VARCHAR(256),
    length          DOUBLE PRECISION,
    level           VARCHAR(16),
    location        VARCHAR(1024),
    method          VARCHAR(16),
    page            VARCHAR(64)       NOT NULL,
    registration    DOUBLE PRECISION,
    session_id      INTEGER,
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

# The fact: one row per distinct NextSong event. The columns after user_agent are what the event itself
# said: they tell one play from another when a log is loaded again, and find a play's song when the
# catalogue gets it later.
songplays_table_create = """
CREATE TABLE songplays (
    songplay_id     BIGINT IDENTITY(0, 1),
    start_time      TIMESTAMP         NOT NULL,
    user_id         INTEGER,
    level           VARCHAR(16),
    song_id         VARCHAR(64),
    artist_id       VARCHAR(64),
    session_id      INTEGER,
    location        VARCHAR(1024),
    user_agent      VARCHAR(1024),
    item_in_session INTEGER,
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

# COPY ... NOLOAD parses all and loads nothing; with as many errors as it takes, it reports them all.
staging_events_try = staging_events_copy + "NOLOAD\nMAXERROR 100000\n"
staging_songs_try = staging_songs_copy + "NOLOAD\nMAXERROR 100000\n"

# ---------------------------------------------------------------------------------------------------
# INSERT INTO THE STAR SCHEMA
# ---------------------------------------------------------------------------------------------------

# Songs, artists and users are written in three steps: the rows that are new or have changed go into a
# temporary table, their old versions are deleted, then the new ones are inserted. Which of the rows of one
# key wins is decided by a total order of the rows, including the one that is already there, so it never
# depends on which was loaded first. Columns of these tables are named one by one, not as songs.*: a table
# that got a column by ALTER TABLE has them in another order than one that was created with it.
# Ids that start with EV are inferred: made here for what was played but is not in the catalogue.

# One row per song id of the catalogue, the most complete; ties go by the values.
new_songs_create = """
CREATE TEMP TABLE new_songs AS
WITH versions AS (
    SELECT song_id, title, artist_id, year, duration, artist_name
    FROM staging_songs
    UNION ALL
    SELECT song_id, title, artist_id, year, duration, artist_name
    FROM songs
    WHERE LEFT(song_id, 2) <> 'EV'
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
FROM songs
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

# One row per artist id of the catalogue, the most complete; ties go by the values.
new_artists_create = """
CREATE TEMP TABLE new_artists AS
WITH versions AS (
    SELECT
        artist_id,
        artist_name AS name,
        artist_location AS location,
        artist_latitude AS latitude,
        artist_longitude AS longitude
    FROM staging_songs
    UNION ALL
    SELECT artist_id, name, location, latitude, longitude
    FROM artists
    WHERE LEFT(artist_id, 2) <> 'EV'
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
FROM artists
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

# One row per distinct title, artist name and length among all plays, staged or loaded before: the song
# and artist it is, and those that plays of earlier runs have. It is the catalogue's song of this title
# and artist name whose duration is the closest, or else an inferred one; the artist may be in the
# catalogue where the song is not. Without a title there is no song, without a name no artist, and without
# either no match, whatever blanks the catalogue has. Redshift ignores trailing blanks when it compares: RTRIM has
# everything that hashes or groups agree. The big tables are read once each and hashed to few rows; the
# joins are with songs, of which each node has a copy.
play_songs_create = """
CREATE TEMP TABLE play_songs AS
WITH spellings AS (
    SELECT
        song AS song_title,
        artist AS artist_name,
        length AS song_length,
        CAST(NULL AS VARCHAR(64)) AS song_id,
        CAST(NULL AS VARCHAR(64)) AS artist_id
    FROM staging_events
    WHERE page = 'NextSong'
    GROUP BY song, artist, length
    UNION ALL
    SELECT song_title, artist_name, song_length, MIN(song_id), MIN(artist_id)
    FROM songplays
    GROUP BY song_title, artist_name, song_length
),
heard AS (
    SELECT
        COALESCE(RTRIM(song_title), '') AS song_key,
        COALESCE(RTRIM(artist_name), '') AS artist_key,
        COALESCE(song_length, -1) AS length_key,
        MIN(song_title) AS song_title,
        MIN(artist_name) AS artist_name,
        MIN(song_id) AS earlier_song_id,
        MIN(artist_id) AS earlier_artist_id
    FROM spellings
    GROUP BY 1, 2, 3
),
namesakes AS (
    SELECT RTRIM(artist_name) AS artist_key, MIN(artist_id) AS artist_id
    FROM songs
    WHERE LEFT(song_id, 2) <> 'EV'
    GROUP BY 1
),
ranked AS (
    SELECT
        heard.*,
        catalogue.song_id AS catalogue_song_id,
        catalogue.artist_id AS catalogue_artist_id,
        namesakes.artist_id AS namesake_id,
        ROW_NUMBER() OVER (
            PARTITION BY heard.song_key, heard.artist_key, heard.length_key
            ORDER BY ABS(catalogue.duration - heard.length_key), catalogue.song_id
        ) AS place
    FROM heard
    LEFT JOIN songs AS catalogue
        ON RTRIM(catalogue.title) = heard.song_key
        AND RTRIM(catalogue.artist_name) = heard.artist_key
        AND heard.song_key <> ''
        AND heard.artist_key <> ''
        AND LEFT(catalogue.song_id, 2) <> 'EV'
    LEFT JOIN namesakes
        ON namesakes.artist_key = heard.artist_key
        AND heard.artist_key <> ''
)
SELECT
    song_key,
    artist_key,
    length_key,
    MIN(song_title) OVER (PARTITION BY song_key, artist_key) AS song_title,
    MIN(artist_name) OVER (PARTITION BY artist_key) AS artist_name,
    CASE
        WHEN catalogue_song_id IS NOT NULL THEN catalogue_song_id
        WHEN song_key <> '' THEN 'EV' || MD5(MD5(artist_key) || song_key)
    END AS song_id,
    CASE
        WHEN catalogue_song_id IS NOT NULL THEN catalogue_artist_id
        WHEN namesake_id IS NOT NULL THEN namesake_id
        WHEN artist_key <> '' THEN 'EV' || MD5(artist_key)
    END AS artist_id,
    earlier_song_id,
    earlier_artist_id
FROM ranked
WHERE place = 1
"""

# Plays of earlier runs whose song or artist the catalogue has got, or got a closer one of, since. All
# plays of one key have the same song, so the small table knows which keys have moved; mostly none, and
# then the big one is not read.
songplays_table_update = """
UPDATE songplays
SET song_id = play_songs.song_id, artist_id = play_songs.artist_id
FROM play_songs
WHERE COALESCE(RTRIM(songplays.song_title), '') = play_songs.song_key
    AND COALESCE(RTRIM(songplays.artist_name), '') = play_songs.artist_key
    AND COALESCE(songplays.song_length, -1) = play_songs.length_key
    AND (
        play_songs.earlier_song_id <> play_songs.song_id
        OR play_songs.earlier_artist_id <> play_songs.artist_id
    )
"""

# One row per distinct NextSong event that is not there yet. EXCEPT compares NULLs as equal, which a join
# would not.
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
        ts AS start_time,
        user_id,
        level,
        session_id,
        location,
        user_agent,
        item_in_session,
        song AS song_title,
        artist AS artist_name,
        length AS song_length
    FROM staging_events
    WHERE page = 'NextSong'
    EXCEPT
    SELECT
        start_time,
        user_id,
        level,
        session_id,
        location,
        user_agent,
        item_in_session,
        song_title,
        artist_name,
        song_length
    FROM songplays
)
SELECT
    new_plays.start_time,
    new_plays.user_id,
    new_plays.level,
    play_songs.song_id,
    play_songs.artist_id,
    new_plays.session_id,
    new_plays.location,
    new_plays.user_agent,
    new_plays.item_in_session,
    new_plays.song_title,
    new_plays.artist_name,
    new_plays.song_length
FROM new_plays
JOIN play_songs
    ON play_songs.song_key = COALESCE(RTRIM(new_plays.song_title), '')
    AND play_songs.artist_key = COALESCE(RTRIM(new_plays.artist_name), '')
    AND play_songs.length_key = COALESCE(new_plays.song_length, -1)
"""

# Inferred songs that no play points to any longer, or that now have another artist.
inferred_songs_delete = """
DELETE FROM songs
WHERE LEFT(song_id, 2) = 'EV'
    AND NOT EXISTS (
        SELECT 1
        FROM play_songs
        WHERE play_songs.song_id = songs.song_id
            AND play_songs.artist_id = songs.artist_id
            AND play_songs.song_title = songs.title
            AND play_songs.artist_name = songs.artist_name
    )
"""

# One row per song that was played but is not in the catalogue: title and artist as the events have them.
inferred_songs_insert = """
INSERT INTO songs (song_id, title, artist_id, artist_name)
SELECT DISTINCT song_id, song_title, artist_id, artist_name
FROM play_songs
WHERE LEFT(song_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM songs WHERE songs.song_id = play_songs.song_id)
"""

# Inferred artists that no play points to any longer.
inferred_artists_delete = """
DELETE FROM artists
WHERE LEFT(artist_id, 2) = 'EV'
    AND NOT EXISTS (
        SELECT 1
        FROM play_songs
        WHERE play_songs.artist_id = artists.artist_id
            AND play_songs.artist_name = artists.name
    )
"""

# One row per artist who was played but is not in the catalogue.
inferred_artists_insert = """
INSERT INTO artists (artist_id, name)
SELECT DISTINCT artist_id, artist_name
FROM play_songs
WHERE LEFT(artist_id, 2) = 'EV'
    AND NOT EXISTS (SELECT 1 FROM artists WHERE artists.artist_id = play_songs.artist_id)
"""

# One row per user, from the latest event of any page; ties at one moment go to the later session, then
# to the later item in it. Events of users who are logged out have no user_id and join with nothing. The
# join leaves a row or two per user: ranking them takes no sort of all events.
new_users_create = """
CREATE TEMP TABLE new_users AS
WITH latest AS (
    SELECT user_id, MAX(ts) AS last_ts
    FROM staging_events
    GROUP BY user_id
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
    SELECT
        user_id,
        first_name,
        last_name,
        gender,
        level,
        last_event_time,
        last_session_id,
        last_item_in_session
    FROM users
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
SELECT
    user_id,
    first_name,
    last_name,
    gender,
    level,
    last_event_time,
    last_session_id,
    last_item_in_session
FROM users
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

# One row per moment at which a play started and that is not there yet. The names are spelt out: TO_CHAR
# would ask the server's language, and take longer than all the rest. In the order of the sort key, so that
# nothing is left to be sorted later.
time_table_insert = """
INSERT INTO time (start_time, hour, day, week, month, year, weekday)
WITH new_times AS (
    SELECT ts AS start_time
    FROM staging_events
    WHERE page = 'NextSong'
    EXCEPT
    SELECT start_time
    FROM time
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

# The checks join the big tables by their moments: statistics of these alone. A cluster passes over a table
# of which little has changed.
songplays_table_analyze = "ANALYZE songplays (start_time)"
time_table_analyze = "ANALYZE time (start_time)"

temporary_tables_drop = "DROP TABLE new_songs, new_artists, play_songs, new_users"

# ---------------------------------------------------------------------------------------------------
# CHECKS BEFORE THE COMMIT
# ---------------------------------------------------------------------------------------------------

# Each counts what must not be, and gives one example. Redshift does not enforce keys, so these do.

duplicate_users_check = """
SELECT COUNT(*), MIN(user_id)
FROM (SELECT user_id FROM users GROUP BY user_id HAVING COUNT(*) > 1) AS duplicates
"""

duplicate_songs_check = """
SELECT COUNT(*), MIN(song_id)
FROM (SELECT song_id FROM songs GROUP BY song_id HAVING COUNT(*) > 1) AS duplicates
"""

duplicate_artists_check = """
SELECT COUNT(*), MIN(artist_id)
FROM (SELECT artist_id FROM artists GROUP BY artist_id HAVING COUNT(*) > 1) AS duplicates
"""

# The second of each that is there more than once, for which its rows are numbered: they lie in the order of
# start_time, and sorting what is sorted takes half the time of hashing it.
duplicate_times_check = """
SELECT COUNT(*), MIN(start_time)
FROM (
    SELECT start_time, ROW_NUMBER() OVER (PARTITION BY start_time ORDER BY start_time) AS place
    FROM time
) AS numbered
WHERE place = 2
"""

# Looked for among the plays that share their moment with others, which are few: grouping all plays by
# all that tells them apart would take three times as long.
duplicate_songplays_check = """
SELECT COUNT(*), MIN(start_time)
FROM (
    SELECT songplays.start_time
    FROM songplays
    JOIN (
        SELECT start_time
        FROM (
            SELECT start_time, ROW_NUMBER() OVER (PARTITION BY start_time ORDER BY start_time) AS place
            FROM songplays
        ) AS numbered
        WHERE place = 2
    ) AS shared
        ON shared.start_time = songplays.start_time
    GROUP BY
        songplays.start_time,
        user_id,
        level,
        session_id,
        location,
        user_agent,
        item_in_session,
        song_title,
        artist_name,
        song_length
    HAVING COUNT(*) > 1
) AS duplicates
"""

# By moment, session and item in it, which tell plays apart in all but a made-up log.
lost_plays_check = """
SELECT COUNT(*), MIN(staging_events.ts)
FROM staging_events
LEFT JOIN songplays
    ON songplays.start_time = staging_events.ts
    AND COALESCE(songplays.session_id, -1) = COALESCE(staging_events.session_id, -1)
    AND COALESCE(songplays.item_in_session, -1) = COALESCE(staging_events.item_in_session, -1)
WHERE staging_events.page = 'NextSong' AND songplays.start_time IS NULL
"""

missing_users_check = """
SELECT COUNT(*), MIN(songplays.user_id)
FROM songplays
LEFT JOIN users ON users.user_id = songplays.user_id
WHERE songplays.user_id IS NOT NULL AND users.user_id IS NULL
"""

missing_songs_check = """
SELECT COUNT(*), MIN(songplays.song_id)
FROM songplays
LEFT JOIN songs ON songs.song_id = songplays.song_id
WHERE songplays.song_id IS NOT NULL AND songs.song_id IS NULL
"""

missing_artists_check = """
SELECT COUNT(*), MIN(songplays.artist_id)
FROM songplays
LEFT JOIN artists ON artists.artist_id = songplays.artist_id
WHERE songplays.artist_id IS NOT NULL AND artists.artist_id IS NULL
"""

missing_times_check = """
SELECT COUNT(*), MIN(songplays.start_time)
FROM songplays
LEFT JOIN time ON time.start_time = songplays.start_time
WHERE time.start_time IS NULL
"""

songs_without_artist_check = """
SELECT COUNT(*), MIN(songs.artist_id)
FROM songs
LEFT JOIN artists ON artists.artist_id = songs.artist_id
WHERE songs.artist_id IS NOT NULL AND artists.artist_id IS NULL
"""

plays_without_song_check = """
SELECT COUNT(*), MIN(song_title)
FROM songplays
WHERE song_id IS NULL AND RTRIM(song_title) <> ''
"""

# DISTINCT, so that each node hands on few rows of the big table.
unplayed_inferred_songs_check = """
SELECT COUNT(*), MIN(song_id)
FROM (
    SELECT song_id
    FROM songs
    WHERE LEFT(song_id, 2) = 'EV'
    EXCEPT
    SELECT DISTINCT song_id
    FROM songplays
) AS unplayed
"""

unplayed_inferred_artists_check = """
SELECT COUNT(*), MIN(artist_id)
FROM (
    SELECT artist_id
    FROM artists
    WHERE LEFT(artist_id, 2) = 'EV'
    EXCEPT
    SELECT DISTINCT artist_id
    FROM songplays
) AS unplayed
"""

# A catalogue that used the prefix of the inferred ids would be taken for them.
reserved_ids_check = """
SELECT COUNT(*), MIN(song_id)
FROM staging_songs
WHERE LEFT(song_id, 2) = 'EV' OR LEFT(artist_id, 2) = 'EV'
"""

# ---------------------------------------------------------------------------------------------------
# WHAT THE SCRIPTS REPORT
# ---------------------------------------------------------------------------------------------------

copy_count = "SELECT pg_last_copy_count()"

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

staged_summary = """
SELECT
    COUNT(*) AS events,
    SUM(CASE WHEN page = 'NextSong' THEN 1 ELSE 0 END) AS plays
FROM staging_events
"""

songplays_summary = """
SELECT
    COUNT(*) AS plays,
    SUM(CASE WHEN LEFT(song_id, 2) <> 'EV' THEN 1 ELSE 0 END) AS matched
FROM songplays
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

# What create_tables.py asks about, and then keeps from changing. Names of tables can't be bound as values: these
# are those of drop_table_queries, as they stand there.
table_count = "SELECT COUNT(*) FROM %(table)s"
tables_lock = "LOCK %(tables)s"

# Of each two: for a provisioned cluster, and for serverless, where stl_load_errors can't be read.

# The rows of load_errors.csv.
load_errors = "SELECT TOP 25 * FROM stl_load_errors ORDER BY starttime DESC"
load_errors_detail = "SELECT TOP 25 * FROM sys_load_error_detail ORDER BY start_time DESC"

# All errors of this session, which tried the whole source without loading it.
tried_load_errors = """
SELECT *
FROM stl_load_errors
WHERE session = pg_backend_pid()
ORDER BY query, starttime, filename, line_number
"""

tried_load_errors_detail = """
SELECT *
FROM sys_load_error_detail
WHERE session_id = pg_backend_pid()
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
]

create_table_queries = [
    staging_events_table_create,
    staging_songs_table_create,
    songplays_table_create,
    users_table_create,
    songs_table_create,
    artists_table_create,
    time_table_create,
]

clear_staging_queries = [staging_lock, staging_events_clear, staging_songs_clear]

copy_table_queries = [staging_events_copy, staging_songs_copy]

try_copy_queries = [staging_events_try, staging_songs_try]

# what is tried in turn for the load errors: the latest, all of a session that tried its source, and, for messages,
# those of this session
latest_load_errors_queries = [load_errors, load_errors_detail]
tried_load_errors_queries = [tried_load_errors, tried_load_errors_detail]
session_load_errors_queries = [session_load_errors, session_load_errors_detail]

# what is tried in turn for how far a COPY has got: files done, all files, rows
copy_progress_queries = [copy_progress, copy_progress_detail]

insert_table_queries = [
    new_songs_create,
    songs_table_delete,
    songs_table_insert,
    new_artists_create,
    artists_table_delete,
    artists_table_insert,
    play_songs_create,
    songplays_table_update,
    songplays_table_insert,
    inferred_songs_delete,
    inferred_songs_insert,
    inferred_artists_delete,
    inferred_artists_insert,
    new_users_create,
    users_table_delete,
    users_table_insert,
    time_table_insert,
    songplays_table_analyze,
    time_table_analyze,
    temporary_tables_drop,
]

# what it means when the count is not zero, and the query
check_queries = [
    ("users has user_ids twice", duplicate_users_check),
    ("songs has song_ids twice", duplicate_songs_check),
    ("artists has artist_ids twice", duplicate_artists_check),
    ("time has start_times twice", duplicate_times_check),
    ("songplays has plays twice, by start_time", duplicate_songplays_check),
    ("plays are in staging_events but not in songplays, by start_time", lost_plays_check),
    ("plays have a user_id that is not in users", missing_users_check),
    ("plays have a song_id that is not in songs", missing_songs_check),
    ("plays have an artist_id that is not in artists", missing_artists_check),
    ("plays have a start_time that is not in time", missing_times_check),
    ("songs have an artist_id that is not in artists", songs_without_artist_check),
    ("plays have a title but no song_id", plays_without_song_check),
    ("inferred songs have no play", unplayed_inferred_songs_check),
    ("inferred artists have no play", unplayed_inferred_artists_check),
    ("song files use ids that start with EV, which is for inferred ones", reserved_ids_check),
]
