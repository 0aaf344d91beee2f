"""The user and password that a cluster is given: from IAM, the config file, credstash or libpq's own places."""

import os
import re

from pipeline.errors import PipelineError
from pipeline.progress import said_if_slow
from pipeline.settings import CredstashEntry, Settings
from storage.endpoints import without_password

# what AWS's endpoints look like: cluster.x.region.redshift..., workgroup.account.region.redshift-serverless...
_ENDPOINT = re.compile(
    r"(?P<name>[\w-]+)\.[\w-]+\.(?P<region>[\w-]+)\.(?P<service>redshift|redshift-serverless)\.amazonaws\.com(\.cn)?"
)


def user_and_password(settings: Settings) -> tuple[str, str | None]:
    """The user and the password to log in with, from the first of the ways that the config sets.

    They are IAM_AUTH, DB_PASSWORD, credstash, and libpq's own, for which the password is None. Raise
    PipelineError where a way is set and fails.
    """
    if settings.iam_auth:
        return _temporary_credentials(settings)
    return settings.user, password(settings)


def password(settings: Settings) -> str | None:
    """The password: DB_PASSWORD, or else from credstash, or else None for libpq's own ways.

    Raise PipelineError if credstash is asked and can't answer.
    """
    if settings.password or settings.credstash is None:
        return settings.password or None
    with said_if_slow(f"AWS to answer credstash, which asks for {settings.credstash.key}"):
        return _credstash_password(settings, settings.credstash)


def _credstash_password(settings: Settings, entry: CredstashEntry) -> str:
    import inspect

    import botocore.exceptions
    import credstash  # with boto3 it takes a while to load: only where a password comes from it

    # credstash wraps the function to print AWS's errors and exit; underneath it raises them
    get_secret = inspect.unwrap(credstash.getSecret)
    try:
        return str(get_secret(entry.key, table=entry.table, region=entry.region, profile_name=entry.profile))
    except credstash.ItemNotFound:
        problem = f"table {entry.table} has no such key; put it there with: credstash put {entry.key}"
    except credstash.KmsError as error:
        problem = f"KMS did not decrypt it ({error}); the AWS user needs kms:Decrypt on credstash's key"
    except credstash.IntegrityError:
        problem = f"what table {entry.table} holds was changed since it was put there"
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    where = f"[CREDSTASH] KEY = {entry.key}, TABLE = {entry.table}, {_region_and_profile(entry)}"
    raise PipelineError(f"no password from credstash: {problem}; see {settings.path}: {where}")


def _region_and_profile(entry: CredstashEntry) -> str:
    """The region and the AWS profile that credstash used, and where a default came from."""
    import boto3
    from botocore.exceptions import BotoCoreError

    profile = f"PROFILE = {entry.profile}" if entry.profile else f"PROFILE not set ({_default_profile()})"
    if entry.region:
        return f"REGION = {entry.region}, {profile}"
    try:
        region = boto3.Session(profile_name=entry.profile).region_name
    except BotoCoreError:
        region = None
    source = "AWS_DEFAULT_REGION" if os.environ.get("AWS_DEFAULT_REGION") else "~/.aws/config"
    default = f"{region} from {source}" if region else "and neither AWS_DEFAULT_REGION nor ~/.aws/config names one"
    return f"REGION not set ({default}), {profile}"


def _default_profile() -> str:
    named = os.environ.get("AWS_PROFILE")
    return f"{named} from AWS_PROFILE" if named else "the default one"


def own_credentials() -> str:
    """Say which AWS credentials of this machine the stand-in reads S3 with, for a message."""
    found = "AWS_ACCESS_KEY_ID of the environment" if os.environ.get("AWS_ACCESS_KEY_ID") else _default_credentials()
    endpoint = own_endpoint()
    return f"with HOST = local your own AWS credentials are used: {found}" + (f", {endpoint}" if endpoint else "")


def own_endpoint() -> str:
    """Say which S3 server the environment leads to, without a password that may stand in its URL; empty for AWS's."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return f"through {name} = {without_password(url)}"
    return ""


def _default_credentials() -> str:
    profile = os.environ.get("AWS_PROFILE")
    where = f"profile {profile} (AWS_PROFILE) of ~/.aws" if profile else "the default profile of ~/.aws"
    return f"AWS_ACCESS_KEY_ID is not set, so {where}, if it has any (aws configure), or this machine's role"


def _temporary_credentials(settings: Settings) -> tuple[str, str]:
    """A user and a password that AWS makes for this login: they expire, nothing is stored."""
    import botocore.exceptions

    endpoint = _ENDPOINT.fullmatch(settings.host)
    if endpoint is None:
        raise PipelineError(
            f"{settings.path}: [CLUSTER] IAM_AUTH = yes needs HOST to be the endpoint that AWS shows, as "
            f"name.x.region.redshift.amazonaws.com or name.x.region.redshift-serverless.amazonaws.com, "
            f"not {settings.host}"
        )
    ask = _workgroup_credentials if endpoint["service"] == "redshift-serverless" else _cluster_credentials
    try:
        with said_if_slow(f"AWS to make temporary credentials for {endpoint['name']} in {endpoint['region']}"):
            return ask(settings, endpoint["name"], endpoint["region"])
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    raise PipelineError(
        f"no temporary credentials for {endpoint['name']} in {endpoint['region']}: {problem}; "
        f"see [CLUSTER] IAM_AUTH and HOST in {settings.path}, and the AWS credentials here"
    )


def _cluster_credentials(settings: Settings, cluster: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift", region_name=region)
    where = {"DbName": settings.database, "ClusterIdentifier": cluster}
    if settings.user:
        answer = client.get_cluster_credentials(DbUser=settings.user, AutoCreate=False, **where)
    else:
        answer = client.get_cluster_credentials_with_iam(**where)
    return answer["DbUser"], answer["DbPassword"]


def _workgroup_credentials(settings: Settings, workgroup: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift-serverless", region_name=region)
    answer = client.get_credentials(workgroupName=workgroup, dbName=settings.database)
    return answer["dbUser"], answer["dbPassword"]
