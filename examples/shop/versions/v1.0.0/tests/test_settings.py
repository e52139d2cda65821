"""Settings, logs and their forms."""

import json
import logging
import unittest
from unittest.mock import patch

from shop.log import JsonLines
from shop.settings import Settings


class Reading(unittest.TestCase):
    """The environment."""

    def test_everything_but_the_database_has_a_default(self) -> None:
        settings = Settings.read({"DATABASE_URL": "postgresql://db/shop"})
        self.assertEqual((settings.port, settings.log_level, settings.environment), (8080, "info", "local"))

    def test_every_problem_is_named_at_once(self) -> None:
        with self.assertRaises(ValueError) as caught:
            Settings.read({"PORT": "http", "LOG_LEVEL": "loud"})
        for name in ("DATABASE_URL", "PORT", "LOG_LEVEL"):
            self.assertIn(name, str(caught.exception))

    def test_a_secret_file_is_read_each_time(self) -> None:
        settings = Settings.read({"DATABASE_URL_FILE": "/run/secrets/url"})
        with patch("pathlib.Path.read_text", side_effect=["postgresql://old\n", "postgresql://new\n"]):
            self.assertEqual([settings.conninfo(), settings.conninfo()], ["postgresql://old", "postgresql://new"])


class Logging(unittest.TestCase):
    """The log."""

    def test_a_record_becomes_one_json_line(self) -> None:
        record = logging.makeLogRecord({"msg": "two\nlines", "levelname": "INFO", "fields": {"port": 8080}})
        text = JsonLines().format(record)
        self.assertNotIn("\n", text)
        line = json.loads(text)
        self.assertEqual((line["level"], line["message"], line["port"]), ("info", "two\nlines", 8080))


if __name__ == "__main__":
    unittest.main()
