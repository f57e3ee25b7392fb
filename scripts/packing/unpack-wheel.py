"""unpack-wheel.py FOLDER INTO: what a program links and runs of the PyTorch wheel in FOLDER, and all licences.

Prints "cuda" and unpacks nothing where the wheel is a build for CUDA, whatever it is called.
"""

import glob
import os
import re
import shutil
import sys
import zipfile

FOLDER, INTO = sys.argv[1:]
LIBRARIES = re.compile(r"torch/lib/lib(torch_cpu|torch|c10|gomp[-.\w]*)\.(so|dylib)(\.\d+)?$")
KEPT = re.compile(r"torch/include/|torch/share/cmake/Torch/TorchConfig\.cmake$|[^/]*\.dist-info/licenses/")

with zipfile.ZipFile(glob.glob(f"{FOLDER}/torch-*.whl")[0]) as wheel:
    names = [name for name in wheel.namelist() if not name.endswith("/")]
    version = wheel.read("torch/version.py").decode()
    if any(re.match(r"torch/lib/lib(torch|c10)_cuda\b", name) for name in names) or not re.search(r"^cuda\b.*= None$", version, re.M):
        print("cuda")
        sys.exit()
    for name in names:
        if not (LIBRARIES.match(name) or KEPT.match(name)):
            continue
        # Without torch/ or torch-2.13.0.dist-info/.
        path = os.path.join(INTO, name.split("/", 1)[1])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with wheel.open(name) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
