"""Writes files/, small image files of every kind, and expected.json, what PIL reads in them.

python tests/images/make_images.py        (Pillow 13, with WebP, AVIF and LittleCMS)

An expected image is upright (ImageOps.exif_transpose), composed onto white (Image.alpha_composite), of 8 bits a sample
(the high byte of 16), its profile ignored. `rgb` and `grey` are its samples in base64, `rgba` those before the composition.
"""

import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageOps

WIDTH, HEIGHT = 18, 16
FOLDER = pathlib.Path(__file__).parent / "files"

y, x = np.mgrid[:HEIGHT, :WIDTH]
SAMPLES = np.stack(
    [40 + 10 * x, 20 + 13 * y, 128 + 100 * np.sin(x / 3) * np.cos(y / 4)], axis=-1
).astype(np.uint8)
ALPHA = ((x * 37 + y * 11) % 256).astype(np.uint8)
ALPHA[:4] = 0  # hidden colours
ALPHA[4:8] = 255

RGB = Image.fromarray(SAMPLES)
RGBA = Image.fromarray(np.dstack([SAMPLES, ALPHA]))
GREY = RGB.convert("L")
GREY_ALPHA = Image.merge("LA", [GREY, RGBA.getchannel("A")])
CMYK = Image.fromarray(np.dstack([SAMPLES, (4 * x + y).astype(np.uint8)]), mode="CMYK")

expected = {}


def samples(image):
    return base64.b64encode(image.tobytes()).decode()


def save(name, encoded, *, read=None):
    """Writes a file, and what PIL makes of it, or of `read`, which stands for what PIL cannot read."""
    data = encoded if isinstance(encoded, bytes) else encoded.getvalue()
    (FOLDER / name).write_bytes(data)
    image = ImageOps.exif_transpose(read or Image.open(io.BytesIO(data)))
    assert image.size == (WIDTH, HEIGHT), name
    rgba = image.convert("RGBA")
    composed = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    entry = {"rgb": samples(composed), "grey": samples(composed.convert("L"))}
    if rgba.getextrema()[3][0] < 255:
        entry["rgba"] = samples(rgba)
    expected[name] = entry


def encode(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(array, color_type):
    """A PNG of 16 bits a sample, which PIL writes for grey only."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def swapped_profile():
    """sRGB's profile with the primaries of red and green exchanged: who applies it cannot hide it."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")


def with_gamma(png):
    """The PNG with a gAMA chunk of 1.0 after its header."""
    data = png.getvalue()
    return data[:33] + chunk(b"gAMA", struct.pack(">I", 100_000)) + data[33:]


def stored(orientation):
    """What a camera stores so that the orientation turns it upright."""
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
             7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    turn = turns.get(orientation)
    return RGB.transpose(Image.Transpose[turn]) if turn else RGB


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


FOLDER.mkdir(exist_ok=True)
for old in FOLDER.iterdir():
    old.unlink()

other_frame = Image.new("RGB", RGB.size, "red")
save("rgb.png", encode(RGB, "PNG"))
save("rgba.png", encode(RGBA, "PNG"))
save("grey.png", encode(GREY, "PNG"))
save("grey_alpha.png", encode(GREY_ALPHA, "PNG"))
save("palette.png", encode(RGB.quantize(32), "PNG"))
save("palette_transparent.png", encode(RGB.quantize(32), "PNG", transparency=3))
save("one_bit.png", encode(RGB.convert("1"), "PNG"))
save("animated.png", encode(RGB, "PNG", save_all=True, append_images=[other_frame]))
save("profile.png", encode(RGB, "PNG", icc_profile=swapped_profile()))
save("gamma.png", with_gamma(encode(RGB, "PNG")))
save("orientation_6.png", encode(stored(6), "PNG", exif=exif(6)))
wide = SAMPLES.astype(np.uint16) * 256 + 200
save("rgb_16.png", png16(wide.reshape(HEIGHT, -1), 2))
save("rgba_16.png", png16(np.dstack([wide, ALPHA * np.uint16(257)]).reshape(HEIGHT, -1), 6))
save("grey_16.png", png16(np.asarray(GREY).astype(np.uint16) * 256 + 200, 0), read=GREY)

save("rgb.jpg", encode(RGB, "JPEG", quality=90))
save("rgb_444.jpg", encode(RGB, "JPEG", quality=95, subsampling=0))
save("progressive.jpg", encode(RGB, "JPEG", quality=90, progressive=True))
save("grey.jpg", encode(GREY, "JPEG", quality=90))
save("cmyk.jpg", encode(CMYK, "JPEG", quality=95, subsampling=0))
save("profile.jpg", encode(RGB, "JPEG", quality=95, subsampling=0, icc_profile=swapped_profile()))
for orientation in range(10):
    file = encode(stored(orientation), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    save(f"orientation_{orientation}.jpg", file)

save("rgb.webp", encode(RGB, "WEBP", lossless=True))
save("rgba.webp", encode(RGBA, "WEBP", lossless=True, exact=True))
save("lossy.webp", encode(RGB, "WEBP", quality=90))
save("animated.webp", encode(RGB, "WEBP", lossless=True, save_all=True, append_images=[other_frame]))
save("orientation_6.webp", encode(stored(6), "WEBP", lossless=True, exif=exif(6)))
save("rgb.avif", encode(RGB, "AVIF", quality=95, subsampling="4:4:4"))
save("rgba.avif", encode(RGBA, "AVIF", quality=95, subsampling="4:4:4"))
save("animated.gif", encode(RGB.quantize(64), "GIF", save_all=True, append_images=[other_frame.quantize(2)]))

lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(expected.items())]
(FOLDER.parent / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
