"""The page."""

import unittest

from shop.goods import Pick, Product
from shop.page import render
from shop.settings import Settings

SETTINGS = Settings(version="1.2.3", environment="staging", greeting="Hello <you>")


class Page(unittest.TestCase):
    """What people see."""

    def test_it_shows_version_environment_and_every_product(self) -> None:
        page = render(SETTINGS, [Product(1, "Mug", 1490, 12), Product(2, "Lamp", 8900, 3)], [], key="k")
        for text in ("1.2.3", "staging", "Mug", "14.90 €", "12 in stock", "Lamp", "3 left"):
            self.assertIn(text, page)

    def test_every_form_has_a_key_of_its_own(self) -> None:
        page = render(SETTINGS, [Product(1, "Mug", 1490, 12), Product(2, "Lamp", 8900, 3)], [], key="k")
        self.assertIn('value="k-1"', page)
        self.assertIn('value="k-2"', page)

    def test_nothing_that_came_from_outside_becomes_markup(self) -> None:
        page = render(
            SETTINGS, [Product(1, "<b>Mug</b>", 1490, 12)], [Pick(1, "<i>new</i>")], key="k", notice="<script>"
        )
        for markup in ("<b>", "<i>", "<script>", "<you>"):
            self.assertNotIn(markup, page)

    def test_it_greets_and_sets_the_picks_of_the_week_apart(self) -> None:
        page = render(SETTINGS, [Product(1, "Mug", 1490, 12)], [Pick(1, "Holds tea")], key="k")
        self.assertIn("Hello &lt;you&gt;", page)
        self.assertIn("Holds tea", page)
        self.assertNotIn('greeting"', render(Settings(), [], [], key="k"))


if __name__ == "__main__":
    unittest.main()
