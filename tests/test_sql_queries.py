"""The statements themselves: parameters, order, and nothing that a cluster would refuse."""

import ast
import re

import pytest
from helpers import ROOT, Warehouse

import sql_queries
from local_redshift.sql.translation import NOT_IN_REDSHIFT
from pipeline.settings import read_settings

STATEMENTS = {name: value for name, value in vars(sql_queries).items() if isinstance(value, sql_queries.Statement)}
COPIES = sql_queries.copy_table_queries
PARAMETRIZED = {
    "schema_choice": {"schema"},
    "staging_mark": {"mark"},
    "existing_table": {"schema", "table"},
    "table_count": {"table"},
    "tables_lock": {"tables"},
    "songplays_table_insert": {"first", "last"},
    "time_table_insert": {"first", "last"},
    "plays_check": {"first", "last"},
    "loaded_plays_check": {"first", "last"},
    "keys_check": {"first", "last"},
    "staged_check": {"first", "last"},
    "conflicts_check": {"first", "last"},
    "replaced_plays_create": {"first", "last"},
    "replaced_plays_delete": {"first", "last"},
    "replaced_times_delete": {"first", "last"},
    "window_summary": {"first", "last"},
    "dimensions_summary": {"first", "last"},
    "replaced_summary": {"first", "last"},
    "plays_by_day": {"last"},
    "known_files": {"source"},
    "loaded_files_mark": {"mark"},
    "new_files_copy": {"files", "iam_role", "region"},
    "copy_progress": {"session"},
    "copy_progress_detail": {"session"},
    "copied_files": {"copy"},
    "copied_files_detail": {"copy"},
    "table_columns": {"schema", "table"},
}


def test_each_placeholder_has_a_value_and_each_value_a_placeholder(warehouse: Warehouse) -> None:
    placeholders = set(re.findall(r"%\((\w+)\)s", "".join([*COPIES, sql_queries.maxerror_option])))
    assert placeholders == set(read_settings(warehouse.config, needs_source=True).source.copy_parameters())


@pytest.mark.parametrize(("name", "parameters"), PARAMETRIZED.items())
def test_statements_with_values_from_the_scripts(name: str, parameters: set[str]) -> None:
    assert set(re.findall(r"%\((\w+)\)s", STATEMENTS[name])) == parameters
    assert "%" not in re.sub(r"%\(\w+\)s", "", STATEMENTS[name])


@pytest.mark.parametrize(
    "name",
    [name for name, query in STATEMENTS.items() if query not in COPIES and name not in PARAMETRIZED],
)
def test_other_statements_have_no_percent_sign(name: str) -> None:
    assert "%" not in STATEMENTS[name]


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_that_redshift_lacks(name: str) -> None:
    words = " ".join(re.findall(r"\w+|\S", STATEMENTS[name].upper()))
    assert not [phrase for phrase in NOT_IN_REDSHIFT if f" {phrase} " in f" {words} "]
    assert "TRUNCATE" not in words  # it would commit


def test_every_statement_is_in_a_list_or_used_by_a_script() -> None:
    listed = [
        *sql_queries.drop_table_queries,
        *sql_queries.create_table_queries,
        *sql_queries.clear_staging_queries,
        *sql_queries.copy_table_queries,
        *sql_queries.record_files_queries,
        *sql_queries.kept_events_queries,
        *sql_queries.replace_queries,
        *sql_queries.catalogue_queries,
        *sql_queries.rematch_queries,
        *sql_queries.count_staged_queries,
        *sql_queries.warn_queries,
        *sql_queries.insert_table_queries,
        *sql_queries.latest_load_errors_queries,
        *sql_queries.session_load_errors_queries,
        *sql_queries.copy_progress_queries,
        *sql_queries.copied_files_queries,
        *sql_queries.check_queries,
        *sql_queries.verify_queries,
    ]
    alone = {name for name, query in STATEMENTS.items() if query not in listed}
    assert alone == {
        "changed_files",
        "conflicts_check",
        "lost_values_check",
        "plays_to_rematch_insert",
        "chosen_schema",
        "copied_file_counts",
        "copy_count",
        "existing_table",
        "session_identity",
        "dimensions_summary",
        "loaded_plays_check",
        "known_files",
        "loaded_files_mark",
        "loaded_files_marked",
        "window_summary",
        "last_load",
        "most_played_songs",
        "to_rematch_count",
        "new_files_copy",
        "new_files_create",
        "plays_by_day",
        "repeated_plays",
        "replaced_summary",
        "schema_choice",
        "session_number",
        "staged_count",
        "star_summary",
        "staged_summary",
        "staging_lock",
        "staging_mark",
        "staging_marked",
        "table_columns",
        "table_count",
        "tables_lock",
        "whole_star_window",
    }


def test_sql_queries_imports_nothing() -> None:
    text = (ROOT / "sql_queries.py").read_text(encoding="utf-8")
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_load_leaves_statistics_of_the_tables_that_checks_join_by_moments(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    known = tables.query("SELECT relname, reltuples FROM pg_class WHERE relname IN ('songplays', 'time')")
    counts = tables.counts()
    assert dict(known) == {name: counts[name] for name in ("songplays", "time")}
