"""What the documentation has of systemd, of container engines and of kubectl names what is there.

None of them runs in tests.  Units, services, volumes, ports, files and names are looked up in what
etc/ ships; `tests/test_doc_blocks.py` reads the program's own words behind an image.
"""

import re
import shlex
import subprocess
from configparser import ConfigParser
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from release import debian
from tests import deploying, doc_blocks
from tests.deploying import KUBERNETES, ROOT

ETC = ROOT / "etc"
OF_USER = {"tunnelcloud-connect"}
"""Units that `tunnelcloud connect --unit` writes: tests/browser/test_connecting.py verifies it."""


def said(*programs):
    """Give where the documentation has a command of these programs, and its words."""
    for page in doc_blocks.pages():
        for block in doc_blocks.blocks(page):
            if block.kind == "shell":
                for words in map(doc_blocks.program, doc_blocks.commands(block.text)):
                    if words and words[0] in programs:
                        yield f"{block.where}: {shlex.join(words)}", words[1:]
        for span in doc_blocks.spans(page):
            if span.split()[0] in programs and len(span.split()) > 1:
                yield f"{page.name}: {span}", shlex.split(span)[1:]


def options_of(words, with_value=(), alone=()):
    """Tell the options of a command from its other words.

    :return: the options with their values, the others, and what is neither known nor a word.
    """
    found, rest, unknown = [], [], []
    words = iter(words)
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif name in with_value:
            found.append((name, value if equals else next(words, "")))
        elif word in alone:
            found.append((word, ""))
        else:
            unknown.append(word)
    return found, rest, unknown


class SystemdTests(SynchronousTestCase):
    def units(self):
        """Give the shipped units by the names that systemctl takes, with what each has."""
        units = {}
        for path in (*ETC.glob("*.service"), *ETC.glob("*.socket")):
            unit = ConfigParser(strict=False, interpolation=None)
            unit.optionxform = str
            unit.read(path)
            units[path.name] = units[path.name.removesuffix(".service")] = unit
        return units

    def test_units(self):
        units, count = self.units(), 0
        needs = {
            "enable": ("Install", "WantedBy"),
            "disable": ("Install", "WantedBy"),
            "reload": ("Service", "ExecReload"),
        }
        for where, words in said("systemctl", "journalctl"):
            verb, *names = [one for one in words if not one.startswith("-")]
            if words[0] == "-u":
                verb, names = "read", [words[1]]
            self.assertIn(verb, {*needs, "read", "start", "stop", "restart", "edit"}, where)
            for name in set(names) - OF_USER:
                name = re.sub(r"@\d+", "@", name)
                self.assertIn(name, units, where)
                section, key = needs.get(verb, ("Unit", "Description"))
                self.assertIn(key, units[name][section], where)
                count += 1
            self.assertEqual("--user" in words, bool(set(names) & OF_USER), where)
        self.assertGreater(count, 12)

    def test_files_that_are_copied_from_the_checkout(self):
        count = 0
        for where, words in said("cp", "install"):
            for word in words:
                if word.startswith("etc/"):
                    self.assertTrue((ROOT / word).is_file(), where)
                    count += 1
        self.assertGreater(count, 2)

    def test_packages_that_apt_is_given(self):
        names = {one.name for one in debian.PACKAGES}
        for where, (verb, *words) in said("apt"):
            self.assertIn(verb, {"install", "purge", "remove"}, where)
            for word in words:
                self.assertIn(word.removeprefix("./").partition("_")[0], names, where)


class EngineTests(SynchronousTestCase):
    def test_an_image_is_built_of_this_tree(self):
        ((where, words),) = [one for one in said("podman") if one[1][0] == "build"]
        options, rest, unknown = options_of(words[1:], ("--format", "-t"))
        self.assertEqual((rest, unknown), (["."], []), where)
        self.assertEqual(dict(options)["-t"], deploying.IMAGE, where)
        # Only this format keeps the health check.
        self.assertEqual(dict(options)["--format"], "docker", where)

    def test_it_is_run_with_what_it_has(self):
        exposed = set(deploying.instruction("EXPOSE")[0].split())
        (volume,) = deploying.instruction("VOLUME")
        count = 0
        for where, words in said("podman", "docker"):
            if words[0] != "run":
                continue
            at = words.index(deploying.IMAGE)
            options, rest, unknown = options_of(
                words[1:at], ("--tmpfs", "-v", "-p"), ("--read-only",)
            )
            self.assertEqual((rest, unknown), ([], []), where)
            mounted = [value.split(":")[1] for name, value in options if name == "-v"]
            self.assertLessEqual(
                {value.rpartition(":")[2] for name, value in options if name == "-p"}, exposed
            )
            inner = words[at + 1 :]
            if not inner[1].startswith("-"):
                continue  # a command of the command line
            self.assertIn(volume, mounted, where)
            self.assertIn(("--read-only", ""), options, where)
            self.assertIn(("--tmpfs", "/tmp"), options, where)
            for word in inner:
                if word.startswith("/"):
                    self.assertIn(word, mounted, where)
            count += 1
        self.assertEqual(count, 2)

    def test_the_entrance_of_the_image_takes_its_words(self):
        script = (ROOT / "release" / "container" / "run").read_text()
        script = re.sub(r"exec /opt/tunnelcloud/bin/", "echo ", script)
        for where, words in said("podman", "docker"):
            if words[0] != "run":
                continue
            inner = words[words.index(deploying.IMAGE) + 1 :]
            done = subprocess.run(
                ["sh", "-c", script, "run", *inner], capture_output=True, text=True, check=True
            )
            reader, read = doc_blocks.own_words(["podman", *words])
            self.assertEqual(done.stdout.split()[0], reader, where)
            self.assertEqual(done.stdout.split()[-len(read) :], read, where)

    def test_compose(self):
        services, count = set(deploying.compose()["services"]), 0
        for where, (group, *words) in said("docker"):
            self.assertEqual(group, "compose", where)
            verb, *words = words
            known = {"up": ("-d", "--build"), "build": ("--pull",), "down": ("--volumes",)}
            self.assertIn(verb, {*known, "exec", "logs", "stop"}, where)
            if verb == "exec":
                words = words[:1]  # the rest is for the program
            _, names, unknown = options_of(words, (), known.get(verb, ()))
            self.assertEqual(unknown, [], where)
            self.assertLessEqual(set(names), services, where)
            count += 1
        self.assertGreater(count, 10)

    def test_compose_s_files_are_made_by_the_page(self):
        page = (ROOT / "docs" / "compose.md").read_text()
        for secret in deploying.compose()["secrets"].values():
            name = secret["file"].removeprefix("./")
            self.assertRegex(page, rf"(> |touch |editor ){re.escape(name)}")
        self.assertIn("cd etc/compose\n", page)


class KubectlTests(SynchronousTestCase):
    def setUp(self):
        self.overlays = {one: deploying.manifests(one) for one in deploying.OVERLAYS}
        self.namespaces = {
            one: yaml.safe_load((one / "kustomization.yaml").read_text())["namespace"]
            for one in deploying.OVERLAYS
        }

    def pods(self):
        """Name the pods that Kubernetes makes of the manifests, with their namespaces."""
        for directory, objects in self.overlays.items():
            for one in deploying.of_kind(objects, "StatefulSet"):
                for number in range(one["spec"]["replicas"]):
                    yield f"{one['metadata']['name']}-{number}", self.namespaces[directory]

    def test_commands(self):
        found = []
        for where, words in said("kubectl"):
            options, rest, _ = options_of(words[: _end(words)], ("-n", "-k", "--from-file"))
            options = dict(options)
            if "-n" in options:
                self.assertIn(options["-n"], self.namespaces.values(), where)
            check = getattr(self, f"check_{rest[0]}", None)
            self.assertIsNotNone(check, where)
            check(where, rest[1:], options)
            found.append(rest[0])
        self.assertEqual(set(found), {"apply", "create", "delete", "exec", "logs"})

    def check_apply(self, where, rest, options):
        # The page has a copy made of the first of them.
        directory = KUBERNETES / "pods" if options["-k"] == "." else ROOT / options["-k"]
        if options["-k"]:  # else it stands within the text
            self.assertIn(directory, deploying.OVERLAYS, where)
        self.assertEqual(rest, [], where)

    def check_create(self, where, rest, options):
        if rest[0] == "namespace":
            self.assertIn(rest[1], self.namespaces.values(), where)
            return
        self.assertEqual(rest[:2], ["secret", "generic"], where)
        (key, _, source) = options["--from-file"].partition("=")
        self.assertEqual(source, "/dev/stdin", where)
        self.assertIn((rest[2], key), set(self.secrets(options["-n"])), where)

    def check_delete(self, where, rest, options):
        if rest[:1] == ["secret"]:
            self.assertIn(rest[1], {name for name, _ in self.secrets(options["-n"])}, where)
        else:
            self.assertIn(rest, [["pvc"], []], where)

    def check_exec(self, where, rest, options):
        self.assertIn((rest[0], options["-n"]), set(self.pods()), where)

    check_logs = check_exec

    def secrets(self, namespace):
        """Give the secrets that containers of a namespace use, with the file that each wants."""
        for directory, objects in self.overlays.items():
            if self.namespaces[directory] != namespace:
                continue
            for container, template in deploying.containers(objects):
                names = {
                    one["name"]: one["secret"]["secretName"]
                    for one in template["volumes"]
                    if "secret" in one
                }
                for mount in container["volumeMounts"]:
                    for word in map(Path, container.get("args", [])):
                        if mount["name"] in names and str(word.parent) == mount["mountPath"]:
                            yield names[mount["name"]], word.name

    def test_the_secrets_that_the_page_makes_are_those_of_the_pods(self):
        page = (ROOT / "docs" / "kubernetes.md").read_text()
        whole = yaml.safe_load((KUBERNETES / "pods" / "kustomization.yaml").read_text())
        for generator in whole["secretGenerator"]:
            for file in generator["files"]:
                self.assertIn(f"> {file}\n", page)


def _end(words):
    return words.index("--") if "--" in words else len(words)
