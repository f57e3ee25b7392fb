"""Photos to normalised batches of random resized crops: torchvision on PIL, in a DataLoader."""

from pathlib import Path

from PIL import Image
from side import serve, side_arguments
from torch.utils.data import DataLoader, Dataset
from vision import transforms

BATCH = 32


class Photos(Dataset):
    def __init__(self, folder):
        self.paths = sorted(Path(folder).glob("*.jpg"))
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(224),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index]).convert("RGB")), index


if __name__ == "__main__":
    arguments = side_arguments()
    workers = int(arguments["workers"])
    # The workers stay between the runs, so that only the first pays for their start.
    loader = DataLoader(
        Photos(arguments["folder"]), batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0
    )
    serve(lambda: {"images": sum(images.shape[0] for images, _ in loader)})
