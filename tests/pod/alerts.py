"""What Prometheus makes of a pod's own metrics: scrapes of each minute, and the rules of etc/."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.requirements import require_executable

RULES = Path(__file__).parents[2] / "etc" / "prometheus" / "alerts.yml"
TARGET = {"job": "tunnelcloud", "instance": "pod-1"}


def alerts():
    """Give the rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


class Watch:
    """One pod as Prometheus sees it, minute by minute.

    :ivar registry: what the pod shows; None once nothing answers.
    """

    def __init__(self, alert, registry):
        self.alert, self.registry = alert, registry
        named = set(re.findall(r"\b[a-z_]{2,}\b", alerts()[alert]["expr"]))
        self._is_named = named.__contains__
        self._series = {}
        self._minutes = 0

    def minutes(self, count, each=lambda: None):
        """Let minutes pass; ``each`` is what happens in one, before the pod is asked."""
        for _ in range(count):
            each()
            self._scrape()

    def _scrape(self):
        samples = {("up", ()): float(self.registry is not None)}
        if self.registry is not None:
            text = generate_latest(self.registry).decode()
            for family in text_string_to_metric_families(text):
                for one in family.samples:
                    samples[one.name, tuple(sorted(one.labels.items()))] = one.value
        for key, value in samples.items():
            if self._is_named(key[0]):
                self._series.setdefault(key, ["_"] * self._minutes).append(repr(value))
        self._minutes += 1
        for values in self._series.values():
            values += ["_"] * (self._minutes - len(values))

    def check(self, test, well):
        """Have the alert silent for as many minutes, and firing at the end."""
        expression = f'max(ALERTS{{alertname="{self.alert}", alertstate="firing"}})'
        cases = [{"eval_time": f"{well - 1}m", "exp_samples": []}]
        cases.append(
            {
                "eval_time": f"{self._minutes - 1}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        )
        document = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": _name(name, labels), "values": " ".join(values)}
                        for (name, labels), values in self._series.items()
                    ],
                    "promql_expr_test": [{"expr": expression, **one} for one in cases],
                }
            ],
        }
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "test.yml"
            path.write_text(json.dumps(document))
            done = subprocess.run(
                [require_executable("promtool"), "test", "rules", path],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        test.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def _name(name, labels):
    words = ", ".join(
        f"{key}={json.dumps(value)}" for key, value in {**dict(labels), **TARGET}.items()
    )
    return f"{name}{{{words}}}"
