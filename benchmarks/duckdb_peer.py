"""Load the same data into a star schema in DuckDB, to compare with the pipeline.

    python benchmarks/duckdb_peer.py DATA DATABASE

Unlike the pipeline, this script logs no load errors and starts no server.
"""

import sys

import duckdb

EVENTS = {
    "artist": "VARCHAR",
    "auth": "VARCHAR",
    "firstName": "VARCHAR",
    "gender": "VARCHAR",
    "itemInSession": "INTEGER",
    "lastName": "VARCHAR",
    "length": "DOUBLE",
    "level": "VARCHAR",
    "location": "VARCHAR",
    "method": "VARCHAR",
    "page": "VARCHAR",
    "registration": "DOUBLE",
    "sessionId": "INTEGER",
    "song": "VARCHAR",
    "status": "INTEGER",
    "ts": "BIGINT",
    "userAgent": "VARCHAR",
    "userId": "VARCHAR",
}
SONGS = {
    "num_songs": "INTEGER",
    "artist_id": "VARCHAR",
    "artist_latitude": "DOUBLE",
    "artist_longitude": "DOUBLE",
    "artist_location": "VARCHAR",
    "artist_name": "VARCHAR",
    "song_id": "VARCHAR",
    "title": "VARCHAR",
    "duration": "DOUBLE",
    "year": "INTEGER",
}
STAGE = "CREATE TABLE {table} AS SELECT * FROM read_json('{files}', format='newline_delimited', columns={columns})"
STAR = """
CREATE TABLE songplays AS
SELECT row_number() OVER () AS songplay_id, make_timestamp(ts * 1000) AS start_time, e.userId::INTEGER AS user_id,
    e.level, s.song_id, s.artist_id, e.sessionId AS session_id, e.location, e.userAgent AS user_agent
FROM (SELECT DISTINCT * FROM staging_events WHERE page = 'NextSong') e
LEFT JOIN staging_songs s ON s.title = e.song AND s.artist_name = e.artist;
CREATE TABLE users AS
SELECT DISTINCT ON (userId) userId::INTEGER AS user_id, firstName, lastName, gender, level
FROM staging_events WHERE userId <> '' ORDER BY userId, ts DESC, sessionId DESC, itemInSession DESC;
CREATE TABLE songs AS SELECT DISTINCT ON (song_id) song_id, title, artist_id, year, duration FROM staging_songs;
CREATE TABLE artists AS
SELECT DISTINCT ON (artist_id) artist_id, artist_name, artist_location, artist_latitude, artist_longitude
FROM staging_songs;
CREATE TABLE time AS
SELECT start_time, hour(start_time), day(start_time), week(start_time), month(start_time), year(start_time),
    dayname(start_time)
FROM (SELECT DISTINCT start_time FROM songplays);
"""


def main(data: str, database: str) -> None:
    connection = duckdb.connect(database)
    for table, folder, columns in (("staging_events", "log-data", EVENTS), ("staging_songs", "song-data", SONGS)):
        connection.execute(STAGE.format(table=table, files=f"{data}/{folder}/**/*.json", columns=columns))
    connection.execute(STAR)
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
