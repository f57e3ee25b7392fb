#!/bin/bash
# @huggingface/transformers 4.3.2 (npm, Node.js): what its preprocessor resizes by bilinear or bicubic (`resample` 2, 3: nearly every
# vision model) is interpolated between the nearest pixels whatever the factor, although a comment says that it matches Pillow, whose
# filter grows with the factor. Of stripes two pixels wide, reduced eight times, Pillow 12.1.1 makes one grey, and transformers.js
# stripes again of full contrast (its lanczos is weaker).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --silent --ignore-scripts @huggingface/transformers@4.3.2 > /dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==12.1.1
cat > look.mjs <<'JS'
import { RawImage } from '@huggingface/transformers';
const [WIDTH, HEIGHT, FACTOR] = [520, 64, 8];
const data = new Uint8ClampedArray(WIDTH * HEIGHT * 3);
for (let i = 0; i < data.length; i++) data[i] = (Math.floor(i / 3) % WIDTH) % 5 < 2 ? 255 : 0;
const image = new RawImage(data, WIDTH, HEIGHT, 3);
const contrast = async (resample) => {
  const { data: small } = await image.resize(WIDTH / FACTOR, HEIGHT / FACTOR, { resample });
  // Without the pixels at the edges.
  const row = Array.from({ length: WIDTH / FACTOR - 4 }, (_, x) => small[3 * (4 * (WIDTH / FACTOR) + x + 2)]);
  return Math.max(...row) - Math.min(...row);
};
console.log(await contrast(2), await contrast(3), await contrast(1));
JS
cat > look.py <<'PY'
from PIL import Image
image = Image.new('RGB', (520, 64))
image.putdata([(255 if x % 5 < 2 else 0,) * 3 for y in range(64) for x in range(520)])
def contrast(resample):
    small = image.resize((65, 8), resample)
    row = [small.getpixel((x, 4))[0] for x in range(2, 63)]
    return max(row) - min(row)
print(*[contrast(each) for each in (Image.BILINEAR, Image.BICUBIC, Image.LANCZOS)])
PY
read -r bilinear bicubic lanczos <<< "$(node look.mjs)"
read -r theirs_bilinear theirs_bicubic theirs_lanczos <<< "$(venv/bin/python look.py)"
echo "brightest less darkest pixel (bilinear, bicubic, lanczos): transformers.js 4.3.2 $bilinear $bicubic $lanczos, Pillow 12.1.1 $theirs_bilinear $theirs_bicubic $theirs_lanczos"
((bilinear > 150 && bicubic > 150 && theirs_bilinear < 40 && theirs_bicubic < 40))
