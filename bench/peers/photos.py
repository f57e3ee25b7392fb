"""Photos of a folder, as often as are wanted, each through a transform."""

from pathlib import Path

from PIL import Image
from torch.utils.data import Dataset


class Photos(Dataset):
    def __init__(self, folder, count, transform):
        paths = sorted(Path(folder).glob("*.jpg"))
        self.paths = [paths[i % len(paths)] for i in range(count)]
        self.transform = transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index]).convert("RGB"))
