"""Redshift's COPY error codes and messages, and PostgreSQL's errors reworded.

Comments give the source of each message. "Seen" means found in a published row or log; "guess" marks wording that is
not known (see README.md, "Assumptions about Redshift").
"""

import re
from collections.abc import Mapping

# https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
TOO_LONG = 1204
BAD_DATE = 1205
BAD_TIMESTAMP = 1206
BAD_DIGIT = 1207
BAD_FLOAT = 1208
BAD_BOOLEAN = 1210
MISSING_DATA = 1213
BAD_LINE = 1216
NULL_BYTE = 1218
BAD_UTF8 = 1220
BAD_SUPER = 1224
EXTERNAL = 8001  # code of S3 and IAM failures, shown in the DETAIL block

# Load errors: err_reason
VARCHAR_TOO_LONG = "String length exceeds DDL length"  # seen on a cluster
VARBYTE_TOO_LONG = VARCHAR_TOO_LONG  # wording guessed
# https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_ERRORS.html
CHAR_TOO_LONG = "Char length exceeds DDL length"
INTEGER_LITERAL_OVERFLOW = "Overflow, Column type: {type}"  # seen for Integer
INTEGER_OVERFLOW = "Overflow ({type} valid range {low} to {high})"  # seen for Integer
DECIMAL_OVERFLOW = "Overflow for NUMERIC({precision},{scale})"  # guess: same wording as for an SQL cast
INVALID_DIGIT = "Invalid digit, Value '{char}', Pos {position}, Type: {type}"  # seen on a cluster
DATE_TOO_SHORT = "Invalid Date Format - length must be 10 or more"  # seen on a cluster
INVALID_DATE = "Date value did not match format specified [{format}]"  # seen for a custom format
INVALID_TIMESTAMP = "Invalid timestamp format or value [{format}]"  # seen on a cluster
INVALID_TIME = "Invalid time format or value [HH24:MI:SS]"  # wording guessed
INVALID_BOOLEAN = "Invalid boolean value"  # wording guessed
INVALID_FLOAT = "Invalid float format or value"  # wording guessed
INVALID_SUPER = "Invalid JSON for SUPER"  # wording guessed
SUPER_TOO_LARGE = "SUPER value has a string of more than 65535 bytes, or more than 1000 levels"  # wording guessed
INVALID_VARBYTE = "Invalid hexadecimal digits for VARBYTE"  # wording guessed
NOT_NULL = "Missing data for not-null field"  # seen on a cluster
INVALID_UTF8 = (  # seen on a cluster; the guide has "UTF-8" instead of "UTF8"
    "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {bytes} (error {error})"
)
MULTIBYTE_IN_CHAR = (  # https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html
    "Multibyte character not supported for CHAR (Hint: try using VARCHAR). Invalid char: {bytes}"
)
NULL_BYTE_FIRST = "Invalid null byte - field longer than 1 byte"  # seen on a cluster
NOT_AN_OBJECT = "Invalid JSONPath format: Member is not an object."  # seen on a cluster
NOT_AN_ARRAY = "Invalid JSONPath format: Not an array or index out of range."  # https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html
MALFORMED = "Invalid JSON format"  # wording guessed
TOO_LARGE = "JSON object exceeds the maximum size of 4 MB"  # wording guessed

# Messages to the client. https://docs.aws.amazon.com/redshift/latest/dg/tutorial-loading-run-copy.html: the two spaces
# before "Check" are copied from this page
LOAD_FAILED = "Load into table '{table}' failed.  Check 'stl_load_errors' system table for details."
LOAD_COMPLETED = "Load into table '{table}' completed, {count} record(s) loaded successfully."
SOME_NOT_LOADED = (
    "Load into table '{table}' completed, {count} record(s) could not be loaded.  "
    "Check 'stl_load_errors' system table for details."
)
NOLOAD_COMPLETED = "Load into table '{table}' completed, {count} record(s) scanned successfully."  # wording guessed

_TYPES = {"bytea": "binary varying", "jsonb": "super"}  # PostgreSQL's types, and the names that Redshift shows for them

CANCELLED = "Query ({query}) cancelled on user's request"  # wording guessed

# Errors raised before loading starts; they are not logged as load errors
NO_TABLE = "Cannot COPY into nonexistent table {table}"  # seen on a cluster
NO_PREFIX = "The specified S3 prefix '{prefix}' does not exist"  # seen on a cluster
S3_ERROR = "S3ServiceException:{message},Status {status},Error {error},Rid {request},ExtRid {host},CanRetry 1"
OTHER_REGION = "The S3 bucket addressed by the query is in a different region from this cluster."  # seen on a cluster
MANIFEST_MISSING = "Problem reading manifest file - {cause}"  # seen on a cluster
MANIFEST_PATH = "COPY with MANIFEST parameter requires full path of an S3 object."  # seen on a cluster
MANIFEST_INVALID = "Manifest file is not in correct json format: {path}: {problem}"  # wording guessed
MANIFEST_NOTHING = "None of the files in the manifest exists: {path}"  # wording guessed
JSONPATHS_MISSING = "The jsonpaths file {path} was not found"  # wording guessed
JSONPATHS_INVALID = "Invalid JSONPaths file {path}: {problem}"  # wording guessed
JSONPATHS_COUNT = (  # "Number of jsonpath" and "columns should match" were seen on a cluster; the rest is guessed
    "Number of jsonpaths and the number of columns should match. "
    "JSONPath size: {paths}, Number of columns in table or column list: {columns}"
)
BAD_CREDENTIALS = (  # https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-authorization.html
    "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or "
    "'aws_access_key_id=<access-key-id>;aws_secret_access_key=<secret-access-key>"
    "[;token=<temporary-session-token>]'"
)
BAD_COMPRESSION = "The object {name} can't be read as {compression}: {problem}"  # wording guessed


def detail_block(message: str, code: int, context: str, query: int, location: str, process: str) -> str:
    """Return the DETAIL of an error raised before loading, laid out as on clusters."""
    line = "  -----------------------------------------------"
    labels = {"code": code, "context": context, "query": query, "location": location, "process": process}
    body = [f"  {label + ':':<11}{value}" for label, value in labels.items()]
    return "\n".join(["", line, f"  error:  {message}", *body, line, ""])


def as_redshift_says(fields: Mapping[str, str]) -> dict[str, str]:
    """Convert a PostgreSQL error to a cluster's SQLSTATE, message, DETAIL and HINT.

    Implementation details are left out: the statement that the stand-in ran, and the schema of its functions.
    """
    error = {key: fields.get(key, "") for key in "CMDH"}
    if error["C"] == "23502":
        return {"C": "XX000", "M": f"Cannot insert a NULL value into column {fields.get('c', '')}"}  # seen on a cluster
    if error["C"] == "428C9":
        return {"C": "XX000", "M": "cannot set an identity column to a value"}  # seen on a cluster
    if error["C"] == "42P01" and re.search(r"\b(?:stl|stv|svl|svv|svcs|sys)_\w", error["M"]):
        error["H"] = "The local stand-in does not support every system view of a cluster."
    shown = re.sub(r"\blocal_redshift\.(?:information_schema_)?(?=\w)", "", error["M"])
    shown = re.sub(r"(?<=of type )(?:bytea|jsonb)\b", lambda found: _TYPES[found[0]], shown)
    return error | {"M": re.sub(r'^table (".*" does not exist)', r"Table \1", shown)}  # seen on a cluster
