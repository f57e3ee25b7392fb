"""Writes image files of many kinds into a folder, and what Pillow makes of each: the peer of decode.test.ts.

Usage: pillow-cases.py FOLDER. For every case, cases.json holds the file, the request, and the name of a file
with the expected pixels, H x W x 3 bytes.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

folder = Path(sys.argv[1])
rng = np.random.RandomState(0)


def photo(width, height, channels=3):
    """Smooth waves with edges and some noise: compresses like a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 70 * np.sin(x / (9 + 5 * c) + c) * np.cos(y / (11 + 3 * c)) + 40 * ((x + c * 20) // 40 % 2)
        for c in range(channels)
    ]
    return np.clip(np.stack(planes, -1) + rng.normal(0, 4, (height, width, channels)), 0, 255).astype(np.uint8)


def over_white(image):
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


cases = []


def case(name, file, size, crop=None, flip=False, fit="fill", opened=None):
    image = opened if opened is not None else over_white(ImageOps.exif_transpose(Image.open(folder / file)))
    if fit == "cover":
        scale = max(size[0] / image.width, size[1] / image.height)
        w, h = size[0] / scale, size[1] / scale
        box = ((image.width - w) / 2, (image.height - h) / 2, (image.width + w) / 2, (image.height + h) / 2)
        expected = image.resize(size, Image.BILINEAR, box=box)
    else:
        left, top, width, height = crop or (0, 0, *image.size)
        expected = image.crop((left, top, left + width, top + height)).resize(size, Image.BILINEAR)
    if flip:
        expected = ImageOps.mirror(expected)
    (folder / f"{name}.expected").write_bytes(np.asarray(expected.convert("RGB")).tobytes())
    request = {"size": {"width": size[0], "height": size[1]}, "flip": flip, "fit": fit}
    if crop:
        request["crop"] = dict(zip(("left", "top", "width", "height"), crop))
    cases.append({"name": name, "file": file, "request": request, "width": image.width, "height": image.height})


image = Image.fromarray(photo(200, 150))
image.save(folder / "photo.jpg", quality=90)
image.save(folder / "photo.png")
image.save(folder / "photo.webp", lossless=True)
image.save(folder / "photo.tif")
case("png", "photo.png", (64, 48))
case("png-same-size", "photo.png", (200, 150))
case("png-enlarged", "photo.png", (300, 225))
case("png-crop-flip", "photo.png", (48, 48), crop=(31, 17, 90, 81), flip=True)
case("png-cover", "photo.png", (50, 50), fit="cover")
case("jpeg", "photo.jpg", (120, 90))
case("jpeg-shrunk-on-load", "photo.jpg", (40, 30))
case("jpeg-crop", "photo.jpg", (48, 48), crop=(100, 50, 100, 100))
case("webp", "photo.webp", (64, 48))
case("tiff", "photo.tif", (64, 48))

rgba = photo(120, 100, 4)
rgba[20:40, 30:60, 3] = 0
Image.fromarray(rgba, "RGBA").save(folder / "alpha.png")
Image.fromarray(rgba, "RGBA").save(folder / "alpha.webp", lossless=True)
case("png-alpha", "alpha.png", (120, 100))
case("webp-alpha", "alpha.webp", (120, 100))

grey = photo(100, 80, 1)[:, :, 0]
Image.fromarray(grey).save(folder / "grey.jpg", quality=92)
Image.fromarray(grey).save(folder / "grey.png")
Image.fromarray(np.dstack([grey, 255 - grey]), "LA").save(folder / "grey-alpha.png")
case("jpeg-grey", "grey.jpg", (50, 40))
case("png-grey", "grey.png", (100, 80))
case("png-grey-alpha", "grey-alpha.png", (100, 80))
deep = grey.astype(np.uint16) * 257
Image.fromarray(deep).save(folder / "grey16.png")
case("png-16-bit", "grey16.png", (100, 80), opened=Image.fromarray(grey).convert("RGB"))
Image.fromarray(grey > 128).save(folder / "bits.png")
case("png-1-bit", "bits.png", (100, 80))
palette = Image.fromarray(photo(90, 70)).quantize(64)
palette.save(folder / "palette.png", transparency=3)
case("png-palette", "palette.png", (90, 70))

for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = f"orientation{orientation}.jpg"
    Image.fromarray(photo(80, 60)).save(folder / file, quality=95, exif=exif)
    turned = ImageOps.exif_transpose(Image.open(folder / file))
    case(f"exif-{orientation}", file, (turned.width, turned.height))
    case(f"exif-{orientation}-crop", file, (20, 24), crop=(5, 9, 40, 48), flip=True)

frames = [Image.fromarray(photo(60, 60)).quantize(128) for _ in range(3)]
frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:], duration=50)
first = Image.open(folder / "animated.gif")
case("gif-first-frame", "animated.gif", (60, 60), opened=over_white(first))
Image.fromarray(photo(60, 60)).save(
    folder / "animated.webp", save_all=True, lossless=True, append_images=[Image.fromarray(photo(60, 60) // 2)]
)
case("webp-first-frame", "animated.webp", (60, 60))
Image.fromarray(photo(100, 80)).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
case("jpeg-cmyk", "cmyk.jpg", (100, 80))

for mode, source in (("1", grey > 128), ("L", grey), ("P", None), ("RGB", photo(51, 40)), ("RGBA", rgba)):
    made = palette if source is None else Image.fromarray(source)
    made.save(folder / f"{mode}.bmp")
    case(f"bmp-{mode}", f"{mode}.bmp", made.size)
case("bmp-crop-flip", "RGB.bmp", (20, 24), crop=(5, 9, 40, 28), flip=True)


def bmp(name, width, height, bits, data, compression=0, size=40, masks=(), colours=(), top_down=False):
    """A BMP file written by hand: what Pillow reads but does not write."""
    if size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
        table = b"".join(bytes(colour[::-1]) for colour in colours)
    else:
        header = struct.pack(
            "<IiiHHIIiiII", size, width, -height if top_down else height, 1, bits, compression, len(data), 0, 0, len(colours), 0
        )
        header += b"".join(struct.pack("<I", mask) for mask in masks)
        header += bytes(max(0, size - len(header)))
        table = b"".join(bytes([*colour[::-1], 0]) for colour in colours)
    start = 14 + len(header) + len(table)
    (folder / f"{name}.bmp").write_bytes(struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + table + data)
    case(f"bmp-{name}", f"{name}.bmp", (width, height))


colours = [tuple(int(v) for v in rng.randint(0, 256, 3)) for _ in range(16)]
noise = lambda width, height, bits: rng.randint(0, 256, (width * bits + 31) // 32 * 4 * height).astype(np.uint8).tobytes()
bmp("4-bit", 37, 11, 4, noise(37, 11, 4), colours=colours)
bmp("4-bit-top-down", 37, 11, 4, noise(37, 11, 4), colours=colours, top_down=True)
bmp("1-bit-coloured", 37, 11, 1, noise(37, 11, 1), colours=colours[:2])
bmp("os2", 37, 11, 4, noise(37, 11, 4), size=12, colours=colours)
bmp("24-bit-os2", 37, 11, 24, noise(37, 11, 24), size=12)
bmp("555", 37, 11, 16, noise(37, 11, 16))
bmp("565", 37, 11, 16, noise(37, 11, 16), compression=3, masks=(0xF800, 0x7E0, 0x1F))
bmp("32-bit", 37, 11, 32, noise(37, 11, 32), top_down=True)
bmp("32-bit-other-order", 37, 11, 32, noise(37, 11, 32), compression=3, masks=(0xFF000000, 0xFF0000, 0xFF00))
bmp("32-bit-alpha", 37, 11, 32, noise(37, 11, 32), compression=3, size=108, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000))
run = bytes([5, 3, 0, 4, 1, 2, 3, 4, 0, 3, 7, 8, 9, 0, 0, 0, 12, 15, 0, 0, 3, 1, 9, 6, 0, 0, 12, 2, 0, 0, 12, 9, 0, 1])
bmp("rle8", 12, 5, 8, run, compression=1, colours=colours)
run = bytes([5, 0x3A, 0, 4, 0x12, 0x34, 3, 0x67, 0, 0, 12, 0xF1, 0, 0, 3, 0x77, 9, 0x6B, 0, 0, 12, 2, 0, 0, 12, 9, 0, 1])
bmp("rle4", 12, 5, 4, run, compression=2, colours=colours)

(folder / "cases.json").write_text(json.dumps(cases))
