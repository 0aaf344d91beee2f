"""Whether the model notices a slip in sql_queries.py: for slips.py, which asks about hundreds in one process.

Reads the path of a changed sql_queries.py from each line of its input; answers each with "noticed" or "unnoticed".
"""

import contextlib
import importlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["PGOPTIONS"] = "-c statement_timeout=30000"  # a slip may join everything with everything

from helpers import Warehouse, run_as_admin
from hypothesis import Phase, given, settings
from star import assert_is_the_models, catalogue_first, halves, load, one_by_one
from test_declared import (
    COPIES,
    DECLARED,
    TEMPORARY,
    by_table,
    test_all_tables_are_listed_dropped_and_created,
    test_copy_has_these_options,
    test_staging_is_locked_first_and_emptied_without_a_commit,
    test_table_is_declared_as_listed,
    test_temporary_table_has_room_for_what_the_table_holds,
    test_temporary_tables_that_joins_are_made_with_are_on_all_nodes,
)
from test_incremental import Load, all_loads, assert_ends_in_the_star_of_the_model
from universes import universes

import create_tables
import sql_queries
from local_redshift.client import get_server
from pipeline import progress
from pipeline import tables as pipeline_tables


def take(path: str) -> None:
    """Have all modules use the statements of this file. Its classes stay those that they have imported."""
    text = Path(path).read_text(encoding="utf-8")
    text = re.sub(r"^class Statement.*?(?=^# DROP TABLES)", "", text, flags=re.DOTALL | re.MULTILINE)
    exec(compile(text, path, "exec"), vars(sql_queries))
    for module in (pipeline_tables, progress, create_tables):
        importlib.reload(module)


def look(warehouse: Warehouse) -> None:
    """Raise whatever is raised if the statements are not those of the model."""
    for table in by_table(DECLARED):
        test_table_is_declared_as_listed(table)
    for name in COPIES:
        test_copy_has_these_options(name)
    for temporary in TEMPORARY:
        test_temporary_table_has_room_for_what_the_table_holds(*temporary)
    test_temporary_tables_that_joins_are_made_with_are_on_all_nodes()
    test_all_tables_are_listed_dropped_and_created()
    test_staging_is_locked_first_and_emptied_without_a_commit()
    warehouse.create_tables()
    look_at_corrections(warehouse)  # small loads: most slips are noticed within a second
    parts = universes()
    cuts = (one_by_one(parts), catalogue_first(parts)[::-1], halves(parts, 0), one_by_one(parts)[:1] * 2)
    for runs in cuts:
        warehouse.create_tables()
        load(warehouse, runs)
        assert_is_the_models(warehouse, runs)


# the first failure will do: to look for a shorter one would take minutes
@settings(max_examples=10, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(loads=all_loads())
def look_at_corrections(warehouse: Warehouse, loads: list[Load]) -> None:
    """Raise whatever is raised if loads and corrections do not end in the star of the model."""
    assert_ends_in_the_star_of_the_model(warehouse, loads)


def is_noticed(folder: Path, number: int, path: str) -> bool:
    name = f"slip{number}"
    warehouse = Warehouse(folder, folder / "data")
    warehouse.configure({("CLUSTER", "DB_NAME"): name})
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            take(path)
            look(warehouse)
    except Exception:
        return True
    finally:
        run_as_admin(folder / "data", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return False


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        Warehouse(folder, folder / "data").connect().close()
        for number, line in enumerate(sys.stdin):
            noticed = is_noticed(folder, number, line.strip())
            print("noticed" if noticed else "unnoticed", file=answers, flush=True)
        get_server((folder / "data").resolve()).release()


if __name__ == "__main__":
    main()
