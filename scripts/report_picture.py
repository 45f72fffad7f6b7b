"""The picture of two reports in the README: a good run on a GPU beside one that failed.

    python scripts/report_picture.py [FILE]

The good one is what two H200 measured (docs/measurements/2026-11-27-h200), the failed one a simulated DGX Spark that is
stuck in its low-power state (tests/simulated/machines). Writes docs/report.png.
Needs Chromium and a C compiler (scripts/system-packages).
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chromium import PROGRAMS  # noqa: E402 (the folder has just been named)
from suites import kept_runs  # noqa: E402

from dgxcert.record.run import Run  # noqa: E402
from dgxcert.report import html  # noqa: E402

PICTURE = ROOT / "docs" / "report.png"
FAULTY, LIKE = "spark-stuck-low-power", "spark-idle"
WIDTH, HEIGHT, GAP = 780, 1250, 16
"""Of one report, and between both, in CSS pixels."""
COLOURS = 128
"""Of the picture: text and flat colours need no more, and it has a quarter of the size."""


def failing() -> Run:
    """The run of the simulated machine, under the name of a real one's host."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-picture-") as name:
        folder = Path(name)
        for machine in (FAULTY, LIKE):
            shutil.copy(ROOT / "tests" / "simulated" / "machines" / f"{machine}.yaml", folder)
        matrix = [sys.executable, str(ROOT / "tests" / "simulated" / "matrix.py"), str(folder), "--keep", str(folder)]
        subprocess.run(matrix, check=True, stdout=subprocess.DEVNULL)
        run = Run.model_validate_json((folder / f"{FAULTY}.json").read_text(encoding="utf-8"))
    named = run.machine.model_copy(update={"hostname": "spark-07", "product": "NVIDIA DGX Spark"})
    return run.model_copy(update={"machine": named, "name": f"simulated: {FAULTY}"})


def draw(browser: Any, reports: list[str], folder: Path) -> bytes:
    """The tops of pages side by side, as a PNG."""
    for at, report in enumerate(reports):
        (folder / f"{at}.html").write_text(report, encoding="utf-8")
    frames = "".join(f'<iframe src="{at}.html"></iframe>' for at in range(len(reports)))
    style = f"body {{ margin: 0; display: flex; gap: {GAP}px; background: #8a939c }} "
    style += f"iframe {{ width: {WIDTH}px; height: {HEIGHT}px; border: 0; background: #fff }}"
    both = folder / "both.html"
    both.write_text(f"<!doctype html><title>reports</title><style>{style}</style>{frames}", encoding="utf-8")
    width = len(reports) * WIDTH + (len(reports) - 1) * GAP
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme="light")
    page.goto(both.as_uri())
    for frame in page.frames[1:]:
        frame.evaluate("document.documentElement.style.overflow = 'hidden'")
    return bytes(page.screenshot())


def small(png: bytes) -> bytes:
    """The same picture with a palette."""
    from PIL import Image

    made = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=PICTURE)
    picture = parser.parse_args().file
    from playwright.sync_api import sync_playwright

    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit("Chromium is missing. Run: sudo scripts/system-packages")
    reports = [html.render(run) for run in (kept_runs.h200(), failing())]
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="dgxcert-picture-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        picture.write_bytes(small(draw(browser, reports, Path(folder))))
        browser.close()


if __name__ == "__main__":
    main()
