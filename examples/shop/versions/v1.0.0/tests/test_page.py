"""The page."""

import unittest

from shop.goods import Product
from shop.page import render
from shop.settings import Settings

SETTINGS = Settings(version="1.2.3", environment="staging")


class Page(unittest.TestCase):
    """What people see."""

    def test_it_shows_version_environment_and_every_product(self) -> None:
        page = render(SETTINGS, [Product(1, "Mug", 1490, 12), Product(2, "Lamp", 8900, 3)], key="k")
        for text in ("1.2.3", "staging", "Mug", "14.90 €", "12 in stock", "Lamp", "3 left"):
            self.assertIn(text, page)

    def test_every_form_has_a_key_of_its_own(self) -> None:
        page = render(SETTINGS, [Product(1, "Mug", 1490, 12), Product(2, "Lamp", 8900, 3)], key="k")
        self.assertIn('value="k-1"', page)
        self.assertIn('value="k-2"', page)

    def test_nothing_that_came_from_outside_becomes_markup(self) -> None:
        page = render(SETTINGS, [Product(1, "<b>Mug</b>", 1490, 12)], key="k", notice="<script>")
        self.assertNotIn("<b>", page)
        self.assertNotIn("<script>", page)


if __name__ == "__main__":
    unittest.main()
