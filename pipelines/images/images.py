"""Pictures become thumbnails, with Pillow."""

import base64
import glob
import io

from PIL import Image


def pictures(pattern, turns):
    """Every picture that matches, turned a little further each time."""
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise FileNotFoundError(f"no picture matches {pattern}")
    for turn in range(turns):
        for path in paths:
            yield {"path": path, "degrees": turn * 360 // turns}


def thumbnail(picture, size):
    """A small JPEG of it, and the colour that it has on average."""
    with Image.open(picture["path"]) as image:
        small = image.convert("RGB").rotate(picture["degrees"], expand=True)
    small.thumbnail((size, size))
    average = small.resize((1, 1), Image.BOX).getpixel((0, 0))
    data = io.BytesIO()
    small.save(data, "JPEG")
    return {
        **picture,
        "width": small.width,
        "height": small.height,
        "average": "#%02x%02x%02x" % average,
        "jpeg": base64.b64encode(data.getvalue()).decode(),
    }
