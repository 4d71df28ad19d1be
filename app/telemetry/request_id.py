"""Valid request ids of clients: short ASCII without characters that are special in logs, headers or HTML."""

import re
from typing import Final

VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
