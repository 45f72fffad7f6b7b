"""Chromium for tests of pages: what a page that was opened says and asks for, and what axe finds."""

from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Visit:
    """An open page, with its console messages, dialogs and requests."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(offline=True, **options)
        self.page = context.new_page()
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message) or dialog.dismiss())
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.path = path

    def require_silence(self) -> None:
        """No console message, no dialog, and no request except for the file itself."""
        assert self.messages == []
        assert self.requests == [self.path.as_uri()]


def axe(page: Any) -> list[str]:
    """Accessibility violations that axe reports."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in violations for node in each["nodes"]]
