"""Write the pages: `PYTHONPATH=docs python -m generate`."""

from generate.pages import FOLDER, PAGES, written

FOLDER.mkdir(exist_ok=True)
for page in FOLDER.glob("*.md"):
    if page.name not in PAGES:
        page.unlink()
for name in PAGES:
    (FOLDER / name).write_text(written(name), encoding="utf-8")
