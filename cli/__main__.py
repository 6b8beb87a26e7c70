"""``python -m bistil_ray.cli`` is the same as ``bistil-ray``."""

from __future__ import annotations

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
