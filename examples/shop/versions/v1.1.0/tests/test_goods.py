"""What is sold, and what is refused."""

import unittest

from shop.goods import Order, Product, Wish, Wrong, money, total_cents


class Pricing(unittest.TestCase):
    """Totals and how they are written."""

    def test_few_pieces_cost_the_plain_price(self) -> None:
        self.assertEqual(total_cents(1490, 4), 5960)

    def test_five_pieces_cost_five_percent_less(self) -> None:
        self.assertEqual(total_cents(1000, 5), 4750)

    def test_ten_pieces_cost_ten_percent_less(self) -> None:
        self.assertEqual(total_cents(1000, 10), 9000)

    def test_half_a_cent_is_rounded_up(self) -> None:
        self.assertEqual(total_cents(1, 10), 9)
        self.assertEqual(total_cents(890, 7), 5919)  # 5918.5

    def test_money_is_written_as_people_read_it(self) -> None:
        self.assertEqual([money(5), money(890), money(123450)], ["0.05 €", "8.90 €", "1,234.50 €"])


class Asking(unittest.TestCase):
    """What a customer may ask for."""

    def test_a_sound_wish_is_read(self) -> None:
        self.assertEqual(Wish.read({"product_id": 3, "quantity": 2, "key": "a-1"}), Wish(3, 2, "a-1"))

    def test_fields_that_the_shop_does_not_know_are_left_alone(self) -> None:
        self.assertEqual(Wish.read({"product_id": 3, "quantity": 2, "key": "a", "colour": "red"}), Wish(3, 2, "a"))

    def test_anything_else_is_refused_with_the_field_that_is_wrong(self) -> None:
        sound = {"product_id": 3, "quantity": 2, "key": "a"}
        wrong: dict[str, list[object]] = {
            "product_id": [None, 0, -1, "3", 3.0, True],
            "quantity": [None, 0, 11, "2", 2.5, True],
            "key": [None, "", "a b", "é", "a\x00", "x" * 81, 7],
        }
        for field, values in wrong.items():
            for value in values:
                with self.subTest(field=field, value=value), self.assertRaisesRegex(Wrong, f"^{field}: "):
                    Wish.read({**sound, field: value})

    def test_something_that_is_no_object_is_refused(self) -> None:
        nothings: list[object] = [None, [], "order", 7]
        for data in nothings:
            with self.subTest(data=data), self.assertRaises(Wrong):
                Wish.read(data)


class Notes(unittest.TestCase):
    """What may be written on an order."""

    ASKED = {"product_id": 3, "quantity": 2, "key": "a"}

    def test_a_note_is_optional_and_an_empty_one_is_none(self) -> None:
        self.assertEqual(Wish.read({**self.ASKED, "note": " wrap it "}).note, "wrap it")
        for note in (None, "", "  "):
            with self.subTest(note=note):
                self.assertIsNone(Wish.read({**self.ASKED, "note": note}).note)

    def test_a_note_that_is_too_long_or_no_text_is_refused(self) -> None:
        notes: list[object] = ["x" * 201, 7, ["x"], "a\x00"]
        for note in notes:
            with self.subTest(note=note), self.assertRaisesRegex(Wrong, "^note: "):
                Wish.read({**self.ASKED, "note": note})


class Showing(unittest.TestCase):
    """What the API shows."""

    def test_a_product_shows_its_price_in_both_forms(self) -> None:
        shown = Product(1, "Enamel mug", 1490, 120).public()
        self.assertEqual((shown["price"], shown["price_cents"]), ("14.90 €", 1490))

    def test_an_order_shows_what_was_asked_for_and_its_total(self) -> None:
        shown = Order(7, "a", 1, 2, 2980).public()
        self.assertEqual((shown["id"], shown["quantity"], shown["total"]), (7, 2, "29.80 €"))


if __name__ == "__main__":
    unittest.main()
