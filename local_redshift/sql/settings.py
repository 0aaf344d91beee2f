"""Translate SET, SHOW and RESET of configuration parameters.

https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html
"""

from local_redshift.errors import RedshiftError, not_in_redshift, not_supported
from local_redshift.sql.tokens import Token, code, spaced

# parameters that Redshift and PostgreSQL share
_SHARED = (
    "SEARCH_PATH DATESTYLE EXTRA_FLOAT_DIGITS STATEMENT_TIMEOUT TIMEZONE TIME SEED SESSION CLIENT_ENCODING "
    "APPLICATION_NAME TRANSACTION DEFAULT_TRANSACTION_ISOLATION TRANSACTION_ISOLATION INTERVALSTYLE ALL"
).split()

# Redshift's own parameters, with their defaults. Only ANALYZE_THRESHOLD_PERCENT has an effect here.
PARAMETERS = {
    "ANALYZE_THRESHOLD_PERCENT": "10",
    "AUTO_MV": "on",
    "CAST_SUPER_NULL_ON_ERROR": "on",
    "DEFAULT_GEOMETRY_ENCODING": "1",
    "DESCRIBE_FIELD_NAME_IN_UPPERCASE": "off",
    "DOWNCASE_DELIMITED_IDENTIFIER": "on",
    "ENABLE_NUMERIC_ROUNDING": "on",
    "ENABLE_RESULT_CACHE_FOR_SESSION": "on",
    "ENABLE_VACUUM_BOOST": "off",
    "ERROR_ON_NONDETERMINISTIC_UPDATE": "off",
    "JSON_PARSE_DEDUP_ATTRIBUTES": "off",
    "JSON_PARSE_TRUNCATE_STRINGS": "off",
    "JSON_SERIALIZATION_ENABLE": "off",
    "JSON_SERIALIZATION_PARSE_NESTED_STRINGS": "off",
    "MAX_CONCURRENCY_SCALING_CLUSTERS": "1",
    "MAX_CURSOR_RESULT_SET_SIZE": "default",
    "MV_ENABLE_AQMV_FOR_SESSION": "on",
    "NAVIGATE_SUPER_NULL_ON_ERROR": "on",
    "PARSE_SUPER_NULL_ON_ERROR": "off",
    "PG_FEDERATION_REPEATABLE_READ": "on",
    "QUERY_GROUP": "unset",
    "SPECTRUM_ENABLE_PSEUDO_COLUMNS": "on",
    "SPECTRUM_QUERY_MAXERROR": "-1",
    "STORED_PROC_LOG_MIN_MESSAGES": "log",
    "USE_FIPS_SSL": "off",
    "WLM_QUERY_SLOT_COUNT": "1",
}
_CASE_SENSITIVE = ("ENABLE_CASE_SENSITIVE_IDENTIFIER", "ENABLE_CASE_SENSITIVE_SUPER_ATTRIBUTE")


def set_parameter(statement: list[Token]) -> list[Token]:
    """Translate SET. Raise NotSupported for a parameter that Redshift does not have."""
    words = [token.word for token in code(statement)]
    name = _name(statement)
    if name in _CASE_SENSITIVE:
        if {"TRUE", "ON"} & set(words) or any(
            token.value.lower() in ("true", "on") for token in code(statement) if token.kind == "string"
        ):
            raise not_supported(f"{name}: names are always folded to lower case")
        return [Token("word", "SELECT WHERE false")]
    if name in PARAMETERS:
        return _renamed(statement, name)
    if name not in _SHARED:
        raise not_in_redshift(f"the parameter {name.lower()}")
    return with_own_schema(statement) if name == "SEARCH_PATH" else statement


def with_own_schema(statement: list[Token]) -> list[Token]:
    """Append local_redshift and pg_catalog to a SET search_path statement.

    https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
    """
    if "DEFAULT" in [token.word for token in statement]:
        return statement
    return [*spaced(statement), Token("word", ", local_redshift, pg_catalog")]


def reset(statement: list[Token]) -> list[Token]:
    """Translate RESET. Raise NotSupported for a parameter that Redshift does not have."""
    name = _name(statement)
    if name in PARAMETERS:
        return _renamed(statement, name)
    if name not in _SHARED:
        raise not_in_redshift(f"the parameter {name.lower()}")
    return statement


def _show_from(statement: list[Token], name: str) -> list[Token] | None:
    """Translate SHOW SCHEMAS, SHOW TABLES and SHOW COLUMNS.

    https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html, r_SHOW_SCHEMAS.html, r_SHOW_COLUMNS.html
    """
    tokens = code(statement)
    words = [token.word for token in tokens]
    like = f" AND {{}} LIKE {tokens[words.index('LIKE') + 1].text}" if "LIKE" in words[:-1] else ""
    start = words.index("FROM") + 2 if "FROM" in words else len(words)
    end = next((n for n in range(start, len(words)) if words[n] in ("LIKE", "LIMIT")), len(words))
    parts = [token.name.replace("'", "''") for token in tokens[start:end] if token.word != "."]
    limit = f" LIMIT {tokens[words.index('LIMIT') + 1].text}" if "LIMIT" in words[:-1] else ""
    if name == "SCHEMAS":
        return _select("svv_all_schemas", "true" + like.format("schema_name"), "schema_name", limit)
    if name == "TABLES" and parts:
        return _select(
            "svv_show_tables", f"schema_name = '{parts[-1]}'" + like.format("table_name"), "table_name", limit
        )
    if name == "COLUMNS" and len(parts) > 1:
        where = f"schema_name = '{parts[-2]}' AND table_name = '{parts[-1]}'" + like.format("column_name")
        return _select("svv_all_columns", where, "ordinal_position", limit)
    return None


def _select(view: str, where: str, order: str, limit: str) -> list[Token]:
    return [Token("word", f"SELECT * FROM local_redshift.{view} WHERE {where} ORDER BY {order}{limit}")]


def show(statement: list[Token]) -> list[Token]:
    """Translate SHOW; a parameter that has not been set shows its default."""
    name = _name(statement)
    if name in _CASE_SENSITIVE:
        return [Token("word", f"SELECT 'off' AS {name.lower()}")]
    if name == "SERVER_VERSION":
        raise RedshiftError('must be superuser to examine "server_version"')  # as seen on a cluster
    if name == "SERVER_VERSION_NUM":
        raise RedshiftError('unrecognized configuration parameter "server_version_num"')  # as seen on a cluster
    if name in PARAMETERS:
        setting = f"coalesce(nullif(current_setting('local_redshift.{name.lower()}', true), ''), '{PARAMETERS[name]}')"
        return [Token("word", f"SELECT {setting} AS {name.lower()}")]
    shown = _show_from(statement, name)
    if shown is not None:
        return shown
    if name in (
        "TABLES",
        "SCHEMAS",
        "DATABASES",
        "COLUMNS",
        "GRANTS",
        "PROCEDURE",
        "VIEW",
        "TABLE",
        "MODEL",
        "DATASHARES",
    ):
        raise not_supported(f"SHOW {name}")
    return statement


def _name(statement: list[Token]) -> str:
    words = [token.name.upper() for token in code(statement)[1:]]
    if words[:1] and words[0] in ("SESSION", "LOCAL") and words[1:2] not in (["AUTHORIZATION"], ["CHARACTERISTICS"]):
        words = words[1:]
    return words[0] if words else ""


def _renamed(statement: list[Token], name: str) -> list[Token]:
    ours = Token("word", f"local_redshift.{name.lower()}")
    return [ours if token.name.upper() == name and token.kind in ("word", "quoted") else token for token in statement]
