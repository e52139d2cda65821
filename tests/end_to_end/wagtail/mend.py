# Part of the released service: a default that Django takes away and the version before cannot do without.
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("wagtailusers", "0015_userprofile_keyboard_shortcuts")]
    operations = [
        migrations.RunSQL(
            "alter table wagtailusers_userprofile alter column keyboard_shortcuts set default true",
            "alter table wagtailusers_userprofile alter column keyboard_shortcuts drop default",
        )
    ]
