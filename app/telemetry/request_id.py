"""Which request ids of clients are decent: short, printable ASCII that means nothing in a log, a header or a page."""

import re
from typing import Final

VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
