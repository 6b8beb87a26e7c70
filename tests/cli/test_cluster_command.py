"""``bistil-ray cluster`` lists, fills in and checks launcher files; one that is unsafe or would not work is refused."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Bistil = Callable[..., tuple[int, str, str]]
FLAGS = {
    "aws": "--image ami-0123 --storage fs-0a.efs.us-west-2.amazonaws.com:/ --region eu-west-1 --instance g5.xlarge",
    "gcp": "--image projects/p/global/images/i --storage 10.0.0.2:/runs --set project=mine",
    "azure": "--image 24.12.11 --storage mine.file.core.windows.net:/mine/runs",
    "kuberay": "--storage my-claim --max-workers 2",
    "local": "--storage /srv/runs --set head=10.0.0.5 --set workers=10.0.0.6 --max-workers 1",
}
CHECKS = ["filled in", "schema", "dashboard", "token", "versions", "storage", "scaling"]


@pytest.fixture
def rendered(bistil: Bistil, tmp_path: Path) -> Callable[..., Path]:
    """A function that fills in a shipped file with the flags above and gives where it was written."""

    def write(name: str, *more: str) -> Path:
        file = tmp_path / f"{name}.yaml"
        assert bistil("cluster", "render", name, *FLAGS[name].split(), *more, "--out", str(file)) == (0, "", "")
        return file

    return write


def test_every_launcher_file_is_listed_with_what_can_be_set(bistil: Bistil) -> None:
    code, out, _ = bistil("cluster", "ls", "--json")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert (code, set(listed)) == (0, set(FLAGS))
    assert listed["gcp"]["settings"]["project"] is None and listed["gcp"]["settings"]["gpus"] == "1"
    _, table, _ = bistil("cluster", "ls")
    assert all(entry["about"] in table for entry in listed.values())


@pytest.mark.parametrize("storage", ["mount", "s3://bucket/runs"])
@pytest.mark.parametrize("name", sorted(FLAGS))
def test_what_is_filled_in_passes_every_check(
    bistil: Bistil, rendered: Callable[..., Path], name: str, storage: str
) -> None:
    file = rendered(name, *([] if storage == "mount" else ["--storage", storage]))
    code, out, err = bistil("cluster", "validate", str(file), "--json")
    assert (code, err) == (0, "")
    assert [finding["check"] for finding in json.loads(out)] == CHECKS


def test_without_out_the_file_is_printed_with_its_comments(bistil: Bistil) -> None:
    code, out, err = bistil("cluster", "render", "aws", *FLAGS["aws"].split())
    assert (code, err) == (0, "")
    assert out.startswith("# GPU workers on AWS")
    values = yaml.safe_load(out)
    assert values["provider"]["region"] == "eu-west-1"
    assert values["available_node_types"]["gpu"]["node_config"]["InstanceType"] == "g5.xlarge"


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("aws", "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "head_start_ray_commands[1] is '--dashboard"),
        ("gcp", "ray:2.", "ray:1.", "docker.image is 'rayproject/ray:1."),
        ("gcp", "-py3", "-py2", "docker.image is "),
        ("aws", "bistil-ray==", "bistil-ray==9.", "setup_commands is 'bistil-ray==9."),
        ("azure", "tune]==2.", "tune]==1.", "setup_commands is 'ray[default,data,train,tune]==1."),
        ("local", "python3.", "python3.1", "setup_commands is 'python3.1"),
        ("aws", "/mnt/bistil/runs\n", "/home/ray/runs\n", "metadata.storage is '/home/ray/runs': must be s3://"),
        ("aws", "- -v /mnt/bistil:/mnt/bistil", "- --cpus 4", "docker.run_options is "),
        ("local", "storage: /srv/runs", "storage: /home/me", "metadata.storage is '/home/me'"),
        ("aws", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "head_start_ray_commands[1] is 'ray start"),
        ("local", "RAY_AUTH_MODE=token ~", "~", "worker_start_ray_commands[1] is "),
        ("gcp", "~/.ray/auth_token: ~", "~/.ray/other: ~", "file_mounts is ['~/.ray/other']: must bring"),
        ("aws", "min_workers: 0", "min_workers: 2", "available_node_types.gpu.min_workers is 2: must be 0"),
        ("local", "min_workers: 0", "min_workers: 1", "available_node_types.local.cluster.node.min_workers is 1"),
        ("azure", "location: westus2", "location: <region>", "provider.location is '<region>': <region> is still"),
        ("aws", "max_workers: 4", "max_workers: four", "max_workers is 'four': 'four' is not of type 'integer'"),
        ("aws", "cluster_name:", "clustre_name:", "the file is "),
        ("aws", "type: aws", "type: asw", "provider.type is 'asw': must be one of aws, gcp, azure, local"),
        ("kuberay", "ClusterIP", "LoadBalancer", "headGroupSpec.serviceType is 'LoadBalancer': must be ClusterIP"),
        ("kuberay", "mode: token", "mode: disabled", "rayClusterSpec.authOptions.mode is 'disabled': must be token"),
        ("kuberay", "rayVersion: 2", "rayVersion: 1", "rayClusterSpec.rayVersion is '1."),
        ("kuberay", '"bistil-ray==', '"bistil-ray==9.', "runtimeEnvYAML is 'bistil-ray==9."),
        ("kuberay", 'pip: ["', '- ["', "runtimeEnvYAML is [["),
        ("kuberay", 'pip: ["', ']["', "runtimeEnvYAML is not YAML: "),
        ("kuberay", "kind: RayJob", "kind: 2024-13-45", "is not YAML: month must be in 1..12"),
        ("kuberay", "mountPath: /mnt/bistil", "mountPath: /mnt/other", "entrypoint's --storage is '/mnt/bistil/runs'"),
        ("kuberay", "--storage '/mnt/bistil/runs'", "--storage s3://a?b=c&d=e", "entrypoint is 'bistil-ray sweep"),
        ("kuberay", "--storage '/mnt/bistil/runs'", "--storage '/mnt", 'entrypoint is "bistil-ray sweep'),
        ("kuberay", "minReplicas: 0", "minReplicas: 1", "workerGroupSpecs.gpu.minReplicas is 1: must be 0"),
        ("kuberay", "minReplicas:", "minReplica:", "spec.rayClusterSpec.workerGroupSpecs.0.minReplica is 0"),
        ("kuberay", "Autoscaling: true", "Autoscaling: false", "rayClusterSpec.enableInTreeAutoscaling is False"),
    ],
)
def test_a_file_that_is_unsafe_or_would_not_work_is_refused_with_field_and_value(
    bistil: Bistil, rendered: Callable[..., Path], name: str, old: str, new: str, says: str
) -> None:
    file = rendered(name)
    text = file.read_text()
    start = text.index("cluster_name" if name != "kuberay" else "apiVersion")  # comments say the same words
    assert old in text[start:]
    file.write_text(text[:start] + text[start:].replace(old, new))
    code, out, err = bistil("cluster", "validate", str(file))
    assert (code, out) == (2, "")
    assert err.startswith((f"error: {file}: {says}", f"error: '{file}' {says}")), err
    assert err.count("\n") == 1


def test_options_of_a_bucket_reach_the_sweep_whole(bistil: Bistil, tmp_path: Path) -> None:
    storage, file = "s3://bucket/runs?endpoint_override=minio:9000&scheme=http", str(tmp_path / "mine.yaml")
    assert bistil("cluster", "render", "kuberay", "--storage", storage, "--out", file)[0] == 0
    text = Path(file).read_text()
    words = shlex.split(yaml.safe_load(text)["spec"]["entrypoint"])
    assert words[words.index("--storage") + 1] == storage
    for written in (f"--storage '{storage}'", f"'--storage={storage}'", f"--storage='{storage}'"):
        Path(file).write_text(text.replace(f"--storage '{storage}'", written))
        code, out, _ = bistil("cluster", "validate", file)
        assert code == 0 and storage in out


def test_an_image_that_holds_the_package_needs_no_installation(bistil: Bistil, rendered: Callable[..., Path]) -> None:
    file = rendered("kuberay")
    file.write_text(re.sub(r"    pip: .*\n", "    env_vars: {HF_HUB_OFFLINE: '1'}\n", file.read_text()))
    assert bistil("cluster", "validate", str(file))[0] == 0


def test_rays_own_defaults_are_checked_too(bistil: Bistil, rendered: Callable[..., Path]) -> None:
    file = rendered("aws")
    values: dict[str, Any] = yaml.safe_load(file.read_text())
    del values["head_start_ray_commands"]
    file.write_text(yaml.safe_dump(values))
    code, _, err = bistil("cluster", "validate", str(file))
    assert code == 2
    assert "head_start_ray_commands[1] is '--dashboard-host=0.0.0.0'" in err, "Ray's default for AWS is a public one"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "aws"], "aws.yaml needs --image, --storage"),
        (["render", "aws", "--set", "cpus"], "--set 'cpus' has no '='"),
        (["render", "aws", "--max-workers", "-1"], "--max-workers"),
        (["render", "kuberay", "--storage", "c", "--region", "x"], "kuberay.yaml has no 'region' to set"),
        (["validate", "no-such-file.yaml"], "'no-such-file.yaml' cannot be read: No such file"),
        (["validate", __file__], "is not YAML"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(bistil: Bistil, words: list[str], says: str) -> None:
    code, out, err = bistil("cluster", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("words", [["ls"], ["render"], ["validate"]])
def test_every_command_has_an_example(bistil: Bistil, words: list[str]) -> None:
    code, out, _ = bistil("cluster", *words, "--help")
    assert code == 0
    assert f"Example: bistil-ray cluster {words[0]}" in out
