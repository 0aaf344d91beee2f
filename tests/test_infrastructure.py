"""docs/cluster.md and the template, on moto; skipped where infrastructure/requirements.txt is not installed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from helpers import ROOT

pytest.importorskip("moto.cloudformation.parsing", reason="infrastructure/requirements.txt is not installed")
AWS = shutil.which("aws", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
if AWS is None:
    pytest.skip("infrastructure/requirements.txt is not installed", allow_module_level=True)

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "infrastructure" / "redshift.yaml").read_text(encoding="utf-8")
# moto lacks serverless, has no warehouse, and gives a cluster of a stack another name than the template says
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "203.0.113.7"


# moto in a process of its own: its warnings about serverless resources, which it lacks, fail nothing there
SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()
"""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An account with nothing in it; a folder of programs, in which curl tells our address."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-c", SERVER], text=True, **pipes)
    port = server.stdout.readline().strip()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
        "AWS_DEFAULT_REGION": "us-west-2",
    }.items():
        monkeypatch.setenv(name, value)
    curl = tmp_path / "curl"
    curl.write_text(f"#!/bin/sh\necho {ADDRESS}\n")
    curl.chmod(0o755)
    yield tmp_path
    server.communicate("\n")


def type_in(account: Path, commands: list[str], kind: str = "provisioned") -> str:
    """Run commands of the page in bash, as somebody types them who wants a cluster; what they print."""
    text = "\n".join(commands).replace("Password=$PASSWORD", f"Password=$PASSWORD Kind={kind}")
    path = os.pathsep.join([str(account), str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_page_is_followed_twice_and_deleted(account: Path) -> None:
    *making, deleting = COMMANDS
    assert "delete-stack" in deleting and len(making) == 4
    before = left()
    for _ in range(2):
        type_in(account, making)
    command = [str(Path(sys.executable).parent / "credstash"), "get", "dwh.password"]
    stored = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert re.fullmatch(r"Aa1[0-9a-f]{32}\n?", stored)
    type_in(account, [COMMANDS[0], deleting])
    assert left() == before


def test_outputs_are_lines_of_the_config(account: Path) -> None:
    # moto forgets the outputs of a stack that was made by a change set, as `deploy` makes it
    create_stack(TEMPLATE, "provisioned")
    printed = dict(re.findall(r"^(\w+) = (.*)$", type_in(account, [COMMANDS[0], COMMANDS[3]]), re.MULTILINE))
    assert set(printed) == {"HOST", "ARN", "REGION", "LoaderPolicy"}
    assert ".redshift.amazonaws.com" in printed["HOST"] and printed["REGION"] == "us-west-2"
    assert re.fullmatch(r"arn:aws:iam::\d+:role/dwh-Role-\w+", printed["ARN"])


def create_stack(template: str, kind: str) -> None:
    vpc = boto3.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in boto3.client("ec2").describe_subnets()["Subnets"]]
    values = {"DataBucket": "b", "VpcId": vpc, "SubnetIds": ",".join(subnets), "Address": f"{ADDRESS}/32"}
    boto3.client("cloudformation").create_stack(
        StackName="dwh",
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in (values | {"Password": "Aa1-12345", "Kind": kind}).items()
        ],
    )


def left() -> dict[str, list[str]]:
    """Return what the account holds of the template's resources.

    Moto itself keeps the clusters, subnet groups and managed policies of a deleted stack, so these are not looked at.
    """
    keys = [key["KeyId"] for key in boto3.client("kms").list_keys()["Keys"]]
    described = [boto3.client("kms").describe_key(KeyId=key)["KeyMetadata"] for key in keys]
    aliases = boto3.client("kms").list_aliases()["Aliases"]
    return {
        "keys": [key["KeyId"] for key in described if key["KeyState"] != "PendingDeletion" and key["Description"]],
        "aliases": [one["AliasName"] for one in aliases if "credstash" in one["AliasName"]],
        "tables": boto3.client("dynamodb").list_tables()["TableNames"],
        "roles": [role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"]],
        "groups": [one["GroupName"] for one in boto3.client("ec2").describe_security_groups()["SecurityGroups"]],
    }


def test_group_lets_one_address_in_and_the_role_reads_one_bucket(account: Path) -> None:
    type_in(account, COMMANDS[:3])
    groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
    [group] = [one for one in groups if one["GroupName"].startswith("dwh-")]
    [rule] = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (5439, 5439)
    assert [one["CidrIp"] for one in rule["IpRanges"]] == [f"{ADDRESS}/32"]
    [role] = [
        one["RoleName"] for one in boto3.client("iam").list_roles()["Roles"] if one["RoleName"].startswith("dwh-")
    ]
    policy = boto3.client("iam").get_role_policy(RoleName=role, PolicyName="read-data")["PolicyDocument"]
    statements = ast.literal_eval(policy)["Statement"]  # moto gives Python's form of it
    assert [(one["Action"], one["Resource"]) for one in statements] == [
        ("s3:ListBucket", "arn:aws:s3:::udacity-dend"),
        ("s3:GetObject", "arn:aws:s3:::udacity-dend/*"),
    ]


def test_serverless_is_deployed_as_far_as_moto_goes(account: Path) -> None:
    """Moto knows no serverless resources, so that what refers to them is taken out first; the rest is made."""
    arn = "Fn::Sub: arn:aws:redshift-serverless:us-west-2:1:workgroup/w"
    create_stack(re.sub(r"Fn::GetAtt: \[Workgroup, [\w.]+\]", arn, TEMPLATE), "serverless")
    stacks = boto3.client("cloudformation")
    made = {one["ResourceType"] for one in stacks.list_stack_resources(StackName="dwh")["StackResourceSummaries"]}
    assert {"AWS::EC2::SecurityGroup", "AWS::IAM::Role", "AWS::KMS::Key", "AWS::DynamoDB::Table"} <= made
    assert "AWS::Redshift::Cluster" not in made
    stacks.delete_stack(StackName="dwh")
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []


def test_template_is_valid() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).parent / "cfn-lint"), str(ROOT / "infrastructure" / "redshift.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
