# Part of the released service: what its editors do, tried on whatever schema there is.
import uuid

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402  # Django must be set up before its models are imported
from home.models import HomePage  # noqa: E402
from wagtail.users.models import UserProfile  # noqa: E402

name = uuid.uuid4().hex
page = HomePage.objects.first().add_child(instance=HomePage(title=name))
page.save_revision().publish()
UserProfile.get_for_user(get_user_model().objects.create_user(name))
assert HomePage.objects.live().filter(title=name).exists()
