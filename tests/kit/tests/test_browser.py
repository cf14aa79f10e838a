"""The browser that the page tests drive is a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page


async def test_a_page_runs_javascript_and_has_layout(page: Page) -> None:
    await page.set_content("<h1 style='width:300px'>Argus</h1><script>document.title = 6 * 7</script>")
    assert await page.title() == "42"
    box = await page.locator("h1").bounding_box()
    assert box is not None
    assert box["width"] == 300
