"""Run the benchmarks: ``make bench`` runs all, ``make bench`` with names only those.

Each benchmark is a script beside this one with ``main() -> None`` that prints its table. Figures depend on
the machine; ratios within one run are what counts.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def names() -> list[str]:
    """The benchmarks, by the names of their files."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")


def run(name: str) -> None:
    """Load one benchmark and run it."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"no benchmark {name}; there are: {', '.join(names())}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    print(f"\n== {name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
    module.main()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    for wanted in sys.argv[1:] or names():
        run(wanted)
