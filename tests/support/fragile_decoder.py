"""A decoding process whose decoder can be brought down by what it is given; for tests of the pool only."""

import os
import sys
import time
from pathlib import Path

from app.config.args import Limits
from app.images import decode_worker
from app.images.decoder import DecodedImage, decode_crop
from app.images.preprocessing import Preprocessing

DIE, DIE_ONCE, HANG, LIE, HOARD = b"die", b"die once", b"hang", b"lie", b"hoard"


def fragile(data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> DecodedImage:
    word, _, rest = data.partition(b":")
    if word == DIE:
        os._exit(139)
    if word == DIE_ONCE:
        mark = Path(os.fsdecode(rest))
        if not mark.exists():
            mark.touch()
            os._exit(139)
        return DecodedImage(b"d" * 32, b"c" * 192)
    if word == HANG:
        Path(os.fsdecode(rest)).touch()
        time.sleep(60)
    if word == LIE:
        return DecodedImage(b"d" * 32, b"c" * 191)
    if word == HOARD:
        # More than any allowed picture needs; not touched, so that a machine without the limit stays well.
        len(bytearray(1 << 33))
        return DecodedImage(b"d" * 32, b"c" * 192)
    return decode_crop(data, preprocessing, limits, param)


if __name__ == "__main__":
    decode_worker.main(int(sys.argv[1]), fragile)
