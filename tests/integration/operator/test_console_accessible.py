"""The console's pages pass axe's rules for WCAG 2.1 AA, and its best practices."""

import os
from importlib.resources import files
from itertools import product
from pathlib import Path

from browser import page
from console_pages import Clock, heard
from paceline_operator.console.listener import Listener
from paceline_operator.console.server import Console
from paceline_operator.listening import listening
from serving import free_ports

AXE = os.environ.get("AXE") or str(files("axe_core_python") / "axe.min.js")
FOUND = "axe.run().then((found) => found.violations.map((each) => `${each.id}: ${each.nodes[0].html}`))"


async def test_nothing_stands_in_anybodys_way(tmp_path: Path) -> None:
    async with page(tmp_path) as tab:
        for listener, paths in (
            (heard()[0], ("/", "/policies/shop/api", "/policies/shop/nobody")),
            (Listener(Clock()), ("/",)),
        ):
            (port,) = free_ports(1)
            address = f"127.0.0.1:{port}"
            console = Console(listener, now=heard()[1])
            async with listening(console.application(), address, what="it", setting="X"):
                for path, dark, width in product(paths, (False, True), (1280, 360)):
                    await tab.dark(on=dark)
                    await tab.size(width, 740, phone=width == 360)
                    await tab.open(f"http://{address}{path}")
                    await tab.evaluate(Path(AXE).read_text() + "; true")
                    assert await tab.evaluate(FOUND) == [], (path, dark, width)
