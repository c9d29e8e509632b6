"""The Compose file and the Kubernetes manifests name what image, settings and pod really have.

`tox -e deploy` holds them to the schemas of both.
"""

import re
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests import deploying
from tunnelcloud.connector.settings import read_connector_settings
from tunnelcloud.daemon import endpoint_of
from tunnelcloud.domain.durations import read_length
from tunnelcloud.settings import read_pod_settings
from tunnelcloud.tap import ConnectorOptions, PodOptions

ROUTES = re.compile(r'putChild\(b"(\w+)"')
STATE = "/var/lib/tunnelcloud"


class DeployingTests(SynchronousTestCase):
    def read_pod(self, text, **places):
        """Read settings of a container whose files lie elsewhere here."""
        for there, here in places.items():
            text = text.replace(there, here)
        directory = Path(self.mktemp())
        directory.mkdir()
        secret = directory / "database-url"
        secret.write_text("postgresql://tunnelcloud:x@postgres/tunnelcloud\n")
        secret.chmod(0o600)
        text, count = re.subn(r'(?<=url_file = ")/run/\S+/database-url', str(secret), text)
        self.assertEqual(count, 1)
        path = directory / "pod.toml"
        path.write_text(text)
        return read_pod_settings(path, None)

    def ports_of(self, settings):
        listen = [
            *settings.ssh.listen,
            *settings.connectors.listen,
            *settings.web.listen,
            *settings.metrics.listen,
        ]
        from twisted.internet import reactor

        return {endpoint_of(reactor, "", one)._port for one in listen}

    def is_under(self, path, places):
        return any(path == one or path.startswith(f"{one}/") for one in places)

    def options_of(self, words, kind, mounted):
        """Read a service's words, and look whether each file they name is mounted."""
        options = deploying.service_options(words).subOptions
        self.assertIsInstance(options, kind)
        for name in ("config", "state", "join-file"):
            if options.get(name) is not None:
                self.assertTrue(self.is_under(str(options[name]), mounted), options[name])
        return options


class ComposeTests(DeployingTests):
    def setUp(self):
        self.whole = deploying.compose()
        self.ours = {
            name: one
            for name, one in self.whole["services"].items()
            if one["image"] == deploying.IMAGE
        }

    def mounted(self, service):
        kept = [one.split(":") for one in service.get("volumes", [])]
        for source, _, *_ in kept:
            if source.startswith("."):
                self.assertTrue((deploying.COMPOSE / source).exists(), source)
            else:
                self.assertIn(source, self.whole["volumes"])
        secrets = [f"/run/secrets/{one}" for one in service.get("secrets", [])]
        return [target for _, target, *_ in kept] + secrets

    def test_services_start_as_the_image_does(self):
        self.assertEqual(set(self.ours), {"pod", "connector"})
        kinds = {"pod": PodOptions, "connector": ConnectorOptions}
        for name, one in self.ours.items():
            mounted = self.mounted(one)
            self.options_of(one["command"], kinds[name], mounted)
            self.assertEqual(deploying.instruction("VOLUME"), [STATE])
            self.assertIn(STATE, mounted)
            self.assertTrue(one["read_only"])
            self.assertEqual((one["cap_drop"], one["tmpfs"]), (["ALL"], ["/tmp"]))

    def test_settings(self):
        text = (deploying.COMPOSE / "pod.toml").read_text()
        settings = self.read_pod(text)
        pod = self.ours["pod"]
        for path in re.findall(r'_file = "(\S+)"', text):
            self.assertTrue(self.is_under(path, self.mounted(pod)), path)
        ports = self.ports_of(settings)
        published = {int(one.rpartition(":")[2]) for one in pod["ports"]}
        self.assertEqual(published, ports)
        self.assertLessEqual(ports, set(map(int, deploying.instruction("EXPOSE")[0].split())))
        self.assertGreater(read_length(pod["stop_grace_period"]), settings.drain)
        self.assertEqual(settings.connectors.public_address.host, "pod")
        self.assertEqual(settings.database.url.partition("@")[2], "postgres/tunnelcloud")

    def test_names(self):
        for one in self.whole["services"].values():
            for kind in ("networks", "secrets"):
                self.assertLessEqual(set(one.get(kind, [])), set(self.whole[kind]))
        guide = (deploying.ROOT / "docs" / "compose.md").read_text()
        for one in self.whole["secrets"].values():
            self.assertIn(one["file"].removeprefix("./"), guide)
        build = self.ours["pod"]["build"]
        file = deploying.COMPOSE / build["context"] / build["dockerfile"]
        self.assertEqual(file.resolve(), deploying.ROOT / "Containerfile")


class SchemaTests(SynchronousTestCase):
    def test_the_checkers_are_given_all_files(self):
        given = set(re.findall(r"etc/\S+\.yaml", (deploying.ROOT / "tox.ini").read_text()))
        there = {*deploying.COMPOSE.glob("*.yaml"), *deploying.KUBERNETES.rglob("*.yaml")}
        there = {one for one in there if one.name != "kustomization.yaml"}
        self.assertEqual(given, {str(one.relative_to(deploying.ROOT)) for one in there})


class KubernetesTests(DeployingTests):
    def setUp(self):
        self.overlays = {one.name: deploying.manifests(one) for one in deploying.OVERLAYS}

    def mounts(self, container):
        return {one["name"]: one["mountPath"] for one in container["volumeMounts"]}

    def test_kustomize_is_told_of_all_files(self):
        for directory in deploying.OVERLAYS:
            whole = yaml.safe_load((directory / "kustomization.yaml").read_text())
            manifests = {one.name for one in directory.glob("*.yaml")} - {"kustomization.yaml"}
            self.assertEqual(set(whole["resources"]), manifests)
            self.assertEqual([one["name"] for one in whole["images"]], [deploying.IMAGE])
            made = {one["name"]: one["files"] for one in whole["configMapGenerator"]}
            for files in made.values():
                for file in files:
                    self.assertTrue((directory / file).is_file(), file)
            made |= {one["name"]: one["files"] for one in whole.get("secretGenerator", [])}
            for _, template in deploying.containers(deploying.manifests(directory)):
                for volume in template["volumes"]:
                    for kind, key in [("configMap", "name"), ("secret", "secretName")]:
                        if kind in volume and not volume[kind].get("optional"):
                            self.assertIn(volume[kind][key], made)

    def test_containers_are_confined_as_the_image_allows(self):
        user = int(deploying.instruction("USER")[0])
        for objects in self.overlays.values():
            for container, template in deploying.containers(objects):
                self.assertEqual(container["image"], deploying.IMAGE)
                found = template["securityContext"]
                self.assertTrue(found["runAsNonRoot"])
                self.assertEqual((found["runAsUser"], found["fsGroup"]), (user, user))
                # Else Kubernetes opens the files of the state directory to the group, each start.
                self.assertEqual(found["fsGroupChangePolicy"], "OnRootMismatch")
                own = container["securityContext"]
                self.assertTrue(own["readOnlyRootFilesystem"])
                self.assertFalse(own["allowPrivilegeEscalation"])
                self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
                volumes = {one["name"] for one in template["volumes"]} | {"state"}
                self.assertLessEqual(set(self.mounts(container)), volumes)
                self.assertFalse(template["automountServiceAccountToken"])

    def test_services_start_as_the_image_does(self):
        for name, kind in [("pods", PodOptions), ("connector", ConnectorOptions)]:
            container, _ = list(deploying.containers(self.overlays[name]))[-1]
            mounts = self.mounts(container)
            self.options_of(container["args"], kind, mounts.values())
            self.assertEqual(mounts["state"], STATE)

    def test_settings_of_pods(self):
        (first, template), (upgrade, _), (pod, _) = deploying.containers(self.overlays["pods"])
        text = (deploying.KUBERNETES / "pods" / "pod.toml").read_text()
        script = first["command"][-1]
        for path in re.findall(r'_file = "(\S+)"', text):
            self.assertTrue(self.is_under(path, self.mounts(pod).values()), path)
        made = re.findall(r"> (\S+)", script)
        options = self.options_of(pod["args"], PodOptions, self.mounts(pod).values())
        self.assertEqual(upgrade["args"], ["db", "upgrade", "--config", *made])
        self.assertEqual(upgrade["volumeMounts"], pod["volumeMounts"])
        settings = self.read_pod(text, **{"@POD@": "tunnelcloud-pod-0"})
        self.assertEqual(made, [str(options["config"])])
        self.assertEqual(settings.name, "tunnelcloud-pod-0")
        ports = {one["name"]: one["containerPort"] for one in pod["ports"]}
        self.assertEqual(set(ports.values()), self.ports_of(settings))
        self.assertGreater(template["terminationGracePeriodSeconds"], settings.drain)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = pod[probe]["httpGet"]
            served = (deploying.ROOT / "tunnelcloud" / "web" / "tree.py").read_text()
            self.assertIn(asked["path"].removeprefix("/"), ROUTES.findall(served))
            self.assertEqual(ports[asked["port"]], 8080)

    def test_each_pod_has_an_address_of_its_own(self):
        objects = self.overlays["pods"]
        (pods,) = deploying.of_kind(objects, "StatefulSet")
        own = [
            one["spec"]["selector"].get("statefulset.kubernetes.io/pod-name")
            for one in deploying.of_kind(objects, "Service")
        ]
        expected = [f"{pods['metadata']['name']}-{n}" for n in range(pods["spec"]["replicas"])]
        self.assertEqual(list(filter(None, own)), expected)
        names = {one["metadata"]["name"] for one in deploying.of_kind(objects, "Service")}
        self.assertIn(pods["spec"]["serviceName"], names)
        (budget,) = deploying.of_kind(objects, "PodDisruptionBudget")
        self.assertLess(budget["spec"]["maxUnavailable"], pods["spec"]["replicas"])

    def test_selectors_find_the_containers(self):
        for objects in self.overlays.values():
            (pods,) = deploying.of_kind(objects, "StatefulSet")
            labels = pods["spec"]["template"]["metadata"]["labels"]
            container = pods["spec"]["template"]["spec"]["containers"][0]
            ports = {one["name"] for one in container.get("ports", [])}
            self.assertEqual(pods["spec"]["selector"]["matchLabels"], labels)
            for one in deploying.of_kind(objects, "Service"):
                selector = dict(one["spec"]["selector"])
                selector.pop("statefulset.kubernetes.io/pod-name", None)
                self.assertLessEqual(set(selector.items()), set(labels.items()))
                for port in one["spec"].get("ports", []):
                    self.assertIn(port["targetPort"], ports)
            for kind, field in [
                ("NetworkPolicy", "podSelector"),
                ("PodDisruptionBudget", "selector"),
            ]:
                for one in deploying.of_kind(objects, kind):
                    self.assertEqual(one["spec"][field]["matchLabels"], labels)
            for one in deploying.of_kind(objects, "NetworkPolicy"):
                for rule in one["spec"].get("ingress", []):
                    for port in rule["ports"]:
                        self.assertIn(port["port"], ports)

    def test_settings_of_a_connector(self):
        path = deploying.KUBERNETES / "connector" / "connector.toml"
        settings = read_connector_settings(path, None)
        self.assertEqual(str(settings.state_directory), STATE)
