"""Schemathesis, all checks on, against the API of a real pod, once for each role.

    python -m tests.campaigns.fuzz_api --examples 1000 --seed 2026
    python -m tests.campaigns.fuzz_api --examples 50 --role auditor --own

The oracle is the OpenAPI document: nothing that it allows is refused (but for what contradicts
what is there: ADR 7), nothing that it doesn't allow is done, every answer is as described, who has
no credential gets nowhere, and no answer is a server error.  After that the pod must be ready, with
no traceback in its log; and no turn of its reactor may have taken more than 50 ms of its thread's
time.  With ``--own`` only the operations that a role may call are tried; that it
may not call the others is held by tests/web/test_roles.py, for each of them.
"""

from __future__ import annotations

import argparse
import compileall
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import idna
from attrs import frozen

from tests.campaigns import turns
from tests.integration.processes import ENVIRONMENT, PYTHON, Gateway

ROLES = ("admin", "auditor", "user")
ALL_PHASES = "examples,coverage,fuzzing,stateful"
_RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
_CONFIG = """
hooks = "tests.campaigns.api_hooks"

[checks.positive_data_acceptance]
# The standard ones, and 412: a version in If-Match is for the store to know, not for the schema.
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
"""


class CampaignFailed(AssertionError):
    """The API did what its document doesn't say."""


@frozen
class Report:
    """What a run did."""

    role: str
    operations: int
    cases: int
    seconds: float
    longest_turn_ms: float

    def __str__(self) -> str:
        return (
            f"{self.role}: {self.cases} cases on {self.operations} operations"
            f" in {self.seconds:.0f} s, longest turn {self.longest_turn_ms:.1f} ms, nothing found"
        )


def run(role: str, examples: int, seed: int, own: bool, phases: str = ALL_PHASES) -> Report:
    """Try the API as one role.

    :param own: try only the operations that the role may call.
    :param phases: what schemathesis does: all examples, or some of them.
    :raise CampaignFailed: with what schemathesis printed.
    """
    # An installation has all its modules compiled.  CI's environments have not, and a pod that is
    # given the first name beyond ASCII compiled idna's tables for 54 to 72 ms of one turn.
    compileall.compile_dir(Path(idna.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        gateway = Gateway(directory, preparation=turns.PREPARATION)
        try:
            return _run(gateway, directory, role, examples, seed, own, phases)
        finally:
            gateway.process.stop()


def _run(
    gateway: Gateway,
    directory: Path,
    role: str,
    examples: int,
    seed: int,
    own: bool,
    phases: str,
) -> Report:
    credential = _credential(gateway, role)
    base = f"http://127.0.0.1:{gateway.web_port}/api/v1"
    document = gateway.get("/api/v1/openapi.json")
    wanted = [
        operation["operationId"]
        for item in json.loads(document)["paths"].values()
        for operation in item.values()
        if not own or role in operation.get("x-roles", [role])
    ]
    config = directory / "schemathesis.toml"
    config.write_text(_CONFIG, "utf-8")
    words = ["--config-file", config, "run", f"{base}/openapi.json", "--url", base]
    words += ["-H", f"Authorization: Bearer {credential['token']}", "--checks", "all"]
    words += ["--max-examples", examples, "--seed", seed, "--workers", 1]
    words += ["--phases", phases, "--warnings", "off", "--no-color"]
    # With a database, Hypothesis spends two thirds of the time on keeping its Pareto front small.
    words += ["--generation-database", "none"]
    words += [word for name in wanted for word in ("--include-operation-id", name)]
    began = time.monotonic()
    done = subprocess.run(
        [PYTHON, "-c", _RUN, *map(str, words)],
        cwd=directory,
        env={**ENVIRONMENT, "FUZZ_API_OWN_TOKEN": credential["id"], "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    counted = re.search(r"(\d+) generated", done.stdout)
    if done.returncode or counted is None:
        raise CampaignFailed(f"as {role}:\n{done.stdout}")
    if gateway.get("/readyz") != "ready\n":
        raise CampaignFailed(f"as {role}: the pod isn't ready any more")
    gateway.process.stop()
    said = gateway.process.rest()
    faults = [line for line in said if "Traceback" in line or "#crit" in line]
    faults += turns.long_turns(said)
    if faults:
        raise CampaignFailed(f"as {role}, the pod's log has:\n" + "\n".join(faults))
    return Report(role, len(wanted), int(counted[1]), seconds, turns.longest(said))


def _credential(gateway: Gateway, role: str) -> dict[str, str]:
    """Make what there is to find, and an API token of a role."""
    gateway.do("site", "create", "paris")
    gateway.do("connector", "create", "paris-1", "--site", "paris")
    gateway.do("tunnel", "create", "db", "--site", "paris", "--address", "10.0.0.5", "--port", "1")
    gateway.do("user", "create", "alice")
    gateway.do("assign", "db", "--user", "alice", "--method", "token", "--method", "key")
    # Others' tokens stand for nobody, so that no change of a user takes the campaign's own away.
    whose = ["--user", "alice"] if role == "user" else []
    return gateway.do("api-token", "create", "--title", "campaign", "--role", role, *whose)


def main() -> None:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=1000, help="an operation")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--role", choices=ROLES, action="append")
    parser.add_argument("--own", action="store_true", help="only what the role may call")
    parser.add_argument("--phases", default=ALL_PHASES, help="of schemathesis")
    chosen = parser.parse_args()
    for role in chosen.role or ROLES:
        try:
            report = run(role, chosen.examples, chosen.seed, chosen.own, chosen.phases)
            sys.stdout.write(f"{report}\n")
        except CampaignFailed as failed:
            raise SystemExit(str(failed)) from None


if __name__ == "__main__":
    main()
