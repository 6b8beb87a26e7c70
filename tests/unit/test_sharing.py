"""Students can share a forward pass of their teacher only where they see the same batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bistil_ray.config_sources import load_config
from bistil_ray.errors import ConfigError
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan
from bistil_ray.planning.sharing import companions

Found = list[list[tuple[str, int, int]]]


@pytest.fixture
def groups(toy_settings: dict[str, Any]) -> Callable[..., Found]:
    """A function giving recipe, depth and seed of the students that share, group by group, of a run's settings."""

    def find(*overrides: str) -> Found:
        config = load_config(None, overrides, None, toy_settings)
        plan = make_plan(config, gather_facts(config))
        together = {id(group): group for group in companions(plan).values()}.values()
        return [
            [tuple(step.about[name] for name in ("recipe", "layers", "seed")) for step in group] for group in together
        ]

    return find


def test_depths_and_recipes_share_and_seeds_do_not(groups: Callable[..., Found]) -> None:
    assert groups("layers=[2,1]", "recipes=[bistil,minilmv2]", "seeds=[0,1]") == [
        [("bistil", 2, seed), ("bistil", 1, seed), ("minilmv2", 2, seed), ("minilmv2", 1, seed)] for seed in (0, 1)
    ]


def test_who_has_no_teacher_in_phase_1_or_no_companion_shares_nothing(groups: Callable[..., Found]) -> None:
    assert groups("recipes=[scratch,nodistil]", "layers=[2]", "densities=[0.1]") == []
    assert groups("recipes=[scratch,teacher]", "layers=[2,1]") == []


def test_densities_of_one_student_share_in_phase_2(toy_settings: dict[str, Any]) -> None:
    settings = "densities=[0.1,0.2]", "recipes=[bistil,nodistil]", "seeds=[0,1]", "layers=[2]"
    config = load_config(None, settings, None, toy_settings)
    plan = make_plan(config, gather_facts(config))
    groups = companions(plan)
    tuned = [step for step in plan if step.kind == "finetune"]
    assert groups.keys() == {step.key for step in tuned}, "students of one depth alone share nothing in phase 1"
    for step in tuned:
        about = [{**other.about, "density": None} for other in groups[step.key]]
        assert about == [{**step.about, "density": None}] * 2


def test_who_sees_other_corruptions_is_no_companion(groups: Callable[..., Found]) -> None:
    settings = "layers=[2,1]", "recipes=[bistil,distilmbert]", "distil.mask=0"
    assert groups(*settings) == [[("bistil", 2, 0), ("bistil", 1, 0)], [("distilmbert", 2, 0), ("distilmbert", 1, 0)]]
    assert len(groups(*settings, "distil.logit_weight=1")) == 1, "predictions need as much to predict"


@pytest.mark.parametrize(
    ("other", "named"), [("execution.workers=2", "--workers 2"), ("pruning.enabled=true", "pruning.enabled=true")]
)
def test_what_does_not_go_with_sharing_is_refused(toy_settings: dict[str, Any], other: str, named: str) -> None:
    with pytest.raises(ConfigError, match="--share-teacher") as error:
        load_config(None, [other], {"share_teacher": True}, toy_settings)
    assert named in str(error.value) and len(str(error.value).splitlines()) == 1
