"""What a sweep leaves for people: the best student of each language with its card, and the run as a page."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from ..config import RunConfig
from ..credentials import masked
from ..dashboard.page import write_report
from ..export.card import model_card
from ..export.origin import CARD, Origin
from ..models.language_tokenizers import choose_language
from ..results.records import REPORT, read_records
from ..results.tables import best_per_language
from ..run_storage import RunStorage
from ..storage import replacing, write_text

log = logging.getLogger(__name__)


def choose_best(run: Path, config: RunConfig, storage: RunStorage) -> None:
    """Copy each language's best student to ``best/<lang>`` and write its card, where that is not done already.

    Where a language has none, an earlier one goes: it was made of other data, and still lies in its step.
    """
    for left_over in (run / "best").glob(".*.tmp"):  # of a sweep that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    records = read_records(run)
    chosen = best_per_language(records)
    for lang in config.langs:
        if lang not in chosen:
            storage.remove(f"{run.name}/best/{lang}")
    for lang, best in chosen.items():
        model = storage.bring(best.model_dir)
        # A card names its step and comes with its model in one move: where it is, the model is.
        place, card = run / "best" / lang, model_card(model, Origin(best, records, config))
        if (place / CARD).is_file() and (place / CARD).read_text(encoding="utf-8") == card:
            continue
        with replacing(place) as folder:
            # Files of now: of an older student's, a bucket cannot tell those of equal size.
            shutil.copytree(model, folder, copy_function=shutil.copyfile)
            choose_language(folder, lang)
            write_text(folder / CARD, card)


def write_page(run: Path, storage: RunStorage) -> None:
    """Write the run as a page, ``report.html``; a page that cannot be written takes nothing from the run."""
    try:
        write_report(storage.place_of(run), run / REPORT)
    except Exception as problem:
        log.warning("report.html was not written: %s", masked(str(problem)))
