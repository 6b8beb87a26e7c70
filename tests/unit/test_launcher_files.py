"""Launcher files: every shipped one can be filled in, and a value that is missing, unknown or unusable is refused."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
import yaml

from bistil_ray import __version__
from bistil_ray.errors import ConfigError
from bistil_ray.launching.render import PLACEHOLDER, package, placeholders, render, shipped_launchers

MOUNTS = {
    "aws": {"image": "ami-0123", "storage": "fs-0a.efs.us-west-2.amazonaws.com:/"},
    "gcp": {"image": "projects/p/global/images/i", "project": "mine", "storage": "10.0.0.2:/runs"},
    "azure": {"image": "24.12.11", "storage": "mine.file.core.windows.net:/mine/runs"},
    "kuberay": {"storage": "my-claim"},
    "local": {"head": "10.0.0.5", "workers": "10.0.0.6,10.0.0.7", "max-workers": "2", "storage": "/srv/runs"},
}
IN_CLOUD = {name: values | {"storage": "s3://bucket/runs"} for name, values in MOUNTS.items()}


def test_every_shipped_file_is_among_those_tested() -> None:
    assert set(shipped_launchers()) == set(MOUNTS)


@pytest.mark.parametrize("given", [MOUNTS, IN_CLOUD], ids=["mount", "URI"])
@pytest.mark.parametrize("name", sorted(MOUNTS))
def test_what_is_filled_in_is_yaml_without_a_placeholder(name: str, given: dict[str, dict[str, str]]) -> None:
    text = render(name, given[name], package(__version__))
    assert not PLACEHOLDER.search(text)
    assert isinstance(yaml.safe_load(text), dict)
    assert f"bistil-ray=={__version__}" in text
    assert metadata.version("ray") in text
    assert all(value in text for value in given[name].values())


@pytest.mark.parametrize("name", sorted(MOUNTS))
def test_nothing_is_mounted_for_storage_in_a_cloud(name: str) -> None:
    mounted, in_cloud = (render(name, values[name], package(__version__)) for values in (MOUNTS, IN_CLOUD))
    asks = re.compile(r"mountpoint|mountPath|-v /mnt")
    assert asks.search(mounted)
    assert not asks.search(in_cloud)


def test_a_default_is_used_where_nothing_is_given_and_wherever_its_name_stands() -> None:
    assert placeholders("<a> <b=x> <b> <ray>") == {"a": None, "b": "x"}
    text = yaml.safe_load(render("aws", MOUNTS["aws"] | {"max-workers": "7"}, package(__version__)))
    assert (text["max_workers"], text["available_node_types"]["gpu"]["max_workers"]) == (7, 7)
    assert text["provider"]["region"] == "us-west-2"


def test_each_file_says_what_it_needs_from_a_user() -> None:
    needed = {
        name: {key for key, default in placeholders(text).items() if default is None}
        for name, text in shipped_launchers().items()
    }
    assert needed == {
        "aws": {"image", "storage"},
        "gcp": {"image", "storage", "project"},
        "azure": {"image", "storage"},
        "kuberay": {"storage"},
        "local": {"head", "storage"},
    }


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("heroku", {}, "no launcher file 'heroku': the shipped ones are aws, azure"),
        ("aws", {"colour": "red"}, "aws.yaml has no 'colour' to set: it has "),
        ("aws", {"region": "us west"}, "--region is 'us west': must be letters"),
        ("aws", {"region": "a\nb: c"}, "--region is "),
        ("aws", {"storage": "/home/me"}, "--storage is '/home/me': must be an NFS export"),
        ("kuberay", {"storage": "/mnt/x"}, "--storage is '/mnt/x': must be the name of a PersistentVolumeClaim"),
        ("local", {"storage": "runs"}, "--storage is 'runs': must be a folder that every machine has mounted"),
        ("gcp", {"storage": "azure://runs"}, "--storage is 'azure://runs'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, changed: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}"):
        render(name, MOUNTS.get(name, {}) | changed, package(__version__))


def test_what_is_missing_is_named_by_its_flag() -> None:
    with pytest.raises(ConfigError, match=r"^gcp.yaml needs --set project=\.\.\., --image, --storage$"):
        render("gcp", {}, package(__version__))


def test_a_wheel_must_be_of_the_version_that_is_installed() -> None:
    url = "https://host/bistil_ray-1.2.3-py3-none-any.whl"
    assert package("1.2.3", url) == f"bistil-ray @ {url}"
    with pytest.raises(ConfigError, match="must be a wheel of version 1.2.4"):
        package("1.2.4", url)
