"""Random crops of JPEGs by Pillow, for jpeg.slow.test.ts: python3 jpeg-cases.py FOLDER writes the files and cases.json."""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

folder = Path(sys.argv[1])
random = np.random.default_rng(3)
cases = []


def photo(width, height):
    """Gradients, hard edges and noise."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1)
    for _ in range(40):
        left, top = random.integers(width), random.integers(height)
        side = random.integers(4, max(5, min(width, height) // 4))
        pixels[top : top + side, left : left + side] = random.integers(0, 256, 3)
    pixels += random.normal(0, 12, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def crops(file, count, most=128):
    image = Image.open(folder / file).convert("RGB")
    for index in range(count):
        width, height = (int(random.integers(1, side + 1)) for side in image.size)
        left, top = int(random.integers(image.width - width + 1)), int(random.integers(image.height - height + 1))
        size = (width, height) if index % 5 == 0 else tuple(int(side) for side in random.integers(1, most, 2))
        if index == 1:
            left, top, (width, height), size = 0, 0, image.size, (64, 64)
        flip = bool(random.integers(2))
        expected = image.crop((left, top, left + width, top + height)).resize(size, Image.BILINEAR)
        if flip:
            expected = expected.transpose(Image.FLIP_LEFT_RIGHT)
        (folder / f"{len(cases)}.expected").write_bytes(expected.tobytes())
        crop = {"left": left, "top": top, "width": width, "height": height}
        cases.append({"file": file, "crop": crop, "size": {"width": size[0], "height": size[1]}, "flip": flip})


for width, height in [(500, 375), (97, 203), (33, 17), (1300, 1000)]:
    for name, options in {
        "420": {"subsampling": 2},
        "422-progressive": {"subsampling": 1, "progressive": True},
        "444": {"subsampling": 0},
        "420-restart": {"subsampling": 2, "progressive": True, "optimize": True},
    }.items():
        file = f"{width}-{name}.jpg"
        photo(width, height).save(folder / file, quality=90, **options)
        crops(file, 12)
photo(101, 77).convert("L").save(folder / "grey.jpg")
crops("grey.jpg", 12)
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
photo(101, 77).save(folder / "srgb.jpg", icc_profile=profile)
crops("srgb.jpg", 12)
photo(101, 77).save(folder / "whole.png")
crops("whole.png", 40)
(folder / "cases.json").write_text(json.dumps(cases))
