"""A configuration comes from defaults, a file, ``--set`` and flags, in this order; mistakes are told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bistil_ray.config import RunConfig, differences, result_settings, to_yaml
from bistil_ray.config_sources import load_config, load_draft, read_config, shipped_configs
from bistil_ray.errors import ConfigError

LEAST: dict[str, Any] = {"langs": ["sw"], "teachers": ["big"], "corpora": "texts", "task_data": "labels"}


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A file with languages, teachers and data, and some settings."""
    file = tmp_path / "mine.yaml"
    values = {**LEAST, "densities": [0.5], "distil": {"steps": 5, "lr": 0.5}, "label_map": {"DATE": "O"}}
    file.write_text(yaml.safe_dump(values))
    return str(file)


def made(**values: Any) -> RunConfig:
    return load_config(defaults={**LEAST, **values})


def refused(*overrides: str, **flags: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(None, overrides, flags, LEAST)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_defaults_give_way_to_the_file_the_file_to_set_and_set_to_flags(mine: str) -> None:
    defaults = {"densities": [0.1], "seeds": [7], "storage": "below"}
    file_only = load_config(mine, defaults=defaults)
    assert (file_only.densities, file_only.seeds, file_only.storage) == ((0.5,), (7,), "below")
    with_set = load_config(mine, ["densities=0.6", "distil.steps=6", "storage=set"], defaults=defaults)
    assert (with_set.densities, with_set.distil.steps, with_set.distil.lr) == ((0.6,), 6, 0.5)
    flags = {"densities": "0.7", "workers": 3, "storage": None}
    with_flags = load_config(mine, ["densities=0.6", "storage=set", "execution.workers=2"], flags, defaults)
    assert (with_flags.densities, with_flags.execution.workers, with_flags.storage) == ((0.7,), 3, "set")


def test_a_dotted_key_adds_to_a_mapping_and_a_mapping_replaces_it(mine: str) -> None:
    assert load_config(mine, ["label_map.MISC=O"]).label_map == {"DATE": "O", "MISC": "O"}
    assert load_config(mine, ["label_map={}"]).label_map == {}


def test_lists_are_taken_from_commas_lone_values_and_yaml_each_value_once() -> None:
    config = load_config(
        None,
        ["densities=0.1,0.10,0.2", "seeds=4", "layers=[6, 3]"],
        {"langs": "swa, yo,swh", "teachers": "a,b,a"},
        LEAST,
    )
    assert config.densities == (0.1, 0.2)
    assert config.seeds == (4,)
    assert config.layers == (6, 3)
    assert config.langs == ("sw", "yo")
    assert config.teachers == ("a", "b")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("lnags=sw", "unknown key 'lnags' in --set lnags=sw: did you mean 'langs'?"),
        ("distil.stesp=5", "unknown key 'distil.stesp' in --set distil.stesp=5: did you mean 'distil.steps'?"),
        ("steps=5", "did you mean 'distil.steps' or 'merge.steps'?"),
        ("adapt.steps=5", "did you mean 'adapt.dense_steps' or 'adapt.sparse_steps'?"),
        ("lr=5", "did you mean 'adapt.lr' or 'distil.lr' or 'teach.lr' or 'finetune.lr' or 'merge.lr'?"),
        ("distil={stesp: 5}", "unknown key 'distil.stesp'"),
        ("packing.zzzz=5", "(known: length, held_out, max_megabytes, seed)"),
        ("densities", "--set 'densities' has no '='"),
        ("langs=[", "the value is not YAML"),
        ("langs=no", "put it in quotes"),
        ("distil=5", "distil is 5: must hold key: value pairs"),
        ("packing.length=x", "packing.length is 'x': must be a valid integer"),
        ("source=xx", "unknown language 'xx' in --source"),
        ("langs=swahli", "did you mean sw (Swahili)?"),
        ("name=steps", "name is 'steps'"),
        ("name=a/b", "name is 'a/b': must be letters"),
        ("task_teacher=[1]", "task_teacher is [1]"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(override: str, says: str) -> None:
    assert says in refused(override)


@pytest.mark.parametrize("densities", ["0", "1.5", "-0.1", "nan", "0.1,2", "some", ""])
def test_a_density_must_be_a_share(densities: str) -> None:
    assert refused(densities=densities).startswith("--densities is ")


def test_flags_are_called_by_their_own_names() -> None:
    assert refused(workers=0).startswith("--workers is 0: must be greater than 0")
    assert refused(density=2.0).startswith("--density is 2.0")
    assert (
        refused(recipes="x")
        == "--recipes is 'x': must be 'bistil', 'scratch', 'distilmbert', 'minilmv2', 'nodistil', 'bistil+', 'teacher' "
        "or 'mergedistill'"
    )


def test_what_is_missing_is_said_with_the_flag_that_gives_it() -> None:
    with pytest.raises(
        ConfigError, match=r"^task_data is not set: give it with --task-data or in the configuration file$"
    ):
        load_config(None, flags={**LEAST, "task_data": None})


def test_a_file_with_an_unknown_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("teach: {epohcs: 3}\n")
    with pytest.raises(
        ConfigError, match=f"unknown key 'teach.epohcs' in --config {file}: did you mean 'teach.epochs'"
    ):
        load_config(str(file))


@pytest.mark.parametrize(
    ("content", "says"), [(b"a: [", "is not YAML"), (b"\xff\xfe\x00", "is not YAML"), (b"- sw\n", "but holds a list")]
)
def test_a_file_that_is_no_configuration_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_config(str(tmp_path / "mine.yaml"))


def test_names_that_are_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'sample'"):
        read_config("sampel")
    with pytest.raises(ConfigError, match="no such file"):
        read_config(str(tmp_path / "mine.yaml"))


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_config("sample")


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    assert read_config(str(tmp_path / "mine.yaml")) == {}


def test_what_was_resolved_reads_back_the_same(mine: str, tmp_path: Path) -> None:
    config = load_config(mine, ["distil.precision=bf16", "task_teacher={big: tuned}"], {"gpus_per_worker": 0.5})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(str(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configurations_are_valid_though_some_leave_data_to_flags(name: str) -> None:
    draft = load_draft(name)
    assert "langs" in draft.still_to_give
    rest = {key: value for key, value in LEAST.items() if key in draft.still_to_give}
    whole = load_config(name, flags=rest)
    assert draft.model_dump(exclude=set(rest)) == whole.model_dump(exclude=set(rest))
    assert set(yaml.safe_load(to_yaml(draft))) == set(RunConfig.model_fields) - set(rest)


def test_a_draft_refuses_all_mistakes_but_gaps() -> None:
    assert load_draft(None).still_to_give == tuple(LEAST)
    for override in ("langs=[]", "densities=2", "lnags=sw"):
        with pytest.raises(ConfigError):
            load_draft(None, [override])


def test_runs_differ_by_what_changes_results_alone() -> None:
    old = made()
    elsewhere = made(
        storage="other",
        name="mine",
        execution={"workers": 4},
        distil={"accumulation": 2},
        teach={"checkpoint_minutes": 9},
    )
    assert differences(old, elsewhere) == []
    assert result_settings(old) == result_settings(elsewhere)
    other = made(langs=["sw", "yo"], distil={"steps": 3}, label_map={"DATE": "O"})
    assert differences(old, other) == ["distil.steps: 200000 -> 3", "label_map.DATE: None -> O", "langs: sw -> sw,yo"]
